"""`python -m benchmarks.ledger`: what the ledger costs a call, and how long a report over many rows takes.

The same gateway with its rows, with a budget on the key, and (benchmarks.unrecorded) without rows, in turns
before one instant upstream; with --postgres URL on Postgres too. Processor time a request (user + system, the
gateway's process with all its threads, so rolling up too) is the steadiest figure. Then a ledger of --rows
million calls is made (260 MB a million; in Postgres 600) and rolled up, unless it is there already, and
reported on. Needs wrk, but not with --reports-only.

One process of a gateway differs from the next by more than a budget costs, so --budget PAIRS starts that many
pairs afresh and gives the mean of their ratios with its interval; nothing else is measured then.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from tierwise.judging.distributions import t_quantile
from tierwise.ledger import By, Reader, open_ledger, read_ledger

from .load import Load, Result, Target, run
from .rows import fill
from .run import OTHER, SUBJECT, TOML, free_port, loads, start

ROUNDS = 12
SECONDS = 2
PATIENCE = 5
DAY_US = 86_400_000_000
ODD_US = 37 * 60_000_000
RANGES = (
    ("all", None, None),
    ("7 days", 7 * DAY_US, None),
    ("1 day", DAY_US, None),
    ("12 days and 5 hours, both ends within an hour", 20 * DAY_US + ODD_US, 8 * DAY_US - 5 * DAY_US // 24),
    ("29 days, both ends within an hour", 29 * DAY_US + ODD_US, 2 * ODD_US),
)
"""What is reported on: from and until so long ago."""
TURNS = 3
PAIR_ROUNDS = 4
LEVEL = 0.95


def main(arguments: Sequence[str]) -> int:
    """Measures and prints. Exit status 1 when a call failed."""
    asked = argparse.ArgumentParser(prog="benchmarks.ledger")
    asked.add_argument("--postgres", metavar="URL", help="an empty database; its tables stay")
    asked.add_argument("--rows", type=int, default=10, metavar="N", help="million calls; 0: no reports")
    asked.add_argument("--rows-in", metavar="URL", help="where those calls are or will be; stays")
    asked.add_argument("--folder", type=Path, default=None, help="where the rows are made")
    asked.add_argument("--reports-only", action="store_true", help="not what the ledger costs a call")
    asked.add_argument("--budget", type=int, default=0, metavar="PAIRS", help="only what a budget adds")
    said = asked.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tierwise-ledger-", dir=said.folder) as folder:
        if said.budget:
            return 1 if budget(Path(folder), said.budget) else 0
        failed = 0 if said.reports_only else cost(Path(folder), said.postgres)
        if said.rows:
            report(said.rows_in or f"sqlite:///{folder}/many.db", said.rows * 1_000_000)
    return 1 if failed else 0


def cost(folder: Path, postgres: str | None) -> int:
    """Prints the table of what a call costs; how many calls failed."""
    os.environ["BENCH_KEY"] = "bench"
    with ExitStack() as stack:
        upstream = free_port()
        start(stack, OTHER, [sys.executable, "-m", "benchmarks.mock", str(upstream)], upstream)
        (folder / "tierwise.toml").write_text(TOML.format(upstream=upstream))
        kinds = {"without": f"sqlite:///{folder}/without.db", "sqlite": f"sqlite:///{folder}/rows.db"}
        kinds["sqlite, budget"] = f"sqlite:///{folder}/budget.db"
        if postgres is not None:
            kinds["postgres"] = postgres
        targets = [gateway(stack, folder, name, url) for name, url in kinds.items()]
        load = next(load for load in loads() if load.connections == 64)
        found: dict[str, list[Result]] = {target.name: [] for target in targets}
        for seconds in [1, *[SECONDS] * ROUNDS]:
            for target in targets:
                made = run(target, Load(load.name, load.connections, seconds, load.body), folder, OTHER)
                if seconds > 1:
                    found[target.name].append(made)
    return shown(found)


def budget(folder: Path, pairs: int) -> int:
    """Prints what a budget on the key adds, by `pairs` of gateways; how many calls failed."""
    os.environ["BENCH_KEY"] = "bench"
    added: list[float] = []
    failed = 0
    with ExitStack() as stack:
        upstream = free_port()
        start(stack, OTHER, [sys.executable, "-m", "benchmarks.mock", str(upstream)], upstream)
        (folder / "tierwise.toml").write_text(TOML.format(upstream=upstream))
        load = next(load for load in loads() if load.connections == 64)
        while len(added) < pairs:
            with ExitStack() as pair:
                names = ("plain", "budget") if len(added) % 2 else ("budget", "plain")
                url = f"sqlite:///{folder}/{len(added)}"
                targets = [gateway(pair, folder, name, f"{url}-{name}.db") for name in names]
                cpu: dict[str, list[float]] = {name: [] for name in names}
                for seconds in [1, *[SECONDS] * PAIR_ROUNDS]:
                    for target in targets:
                        made = run(
                            target, Load(load.name, load.connections, seconds, load.body), folder, OTHER
                        )
                        failed += made.errors
                        if seconds > 1:
                            cpu[target.name].append(made.cpu_us)
            added.append(statistics.mean(cpu["budget"]) / statistics.mean(cpu["plain"]) - 1)
            print(f"pair {len(added)}: {added[-1]:+.1%}", flush=True)
    mean, half = statistics.mean(added), math.inf
    if pairs > 1:
        half = t_quantile((1 + LEVEL) / 2, pairs - 1) * statistics.stdev(added) / math.sqrt(pairs)
    print(f"a budget adds {mean:+.1%} ({LEVEL:.0%}: {mean - half:+.1%} to {mean + half:+.1%})")
    return failed


def gateway(stack: ExitStack, folder: Path, name: str, url: str) -> Target:
    """One gateway, with a key of its own."""
    common = ["--config", str(folder / "tierwise.toml"), "--db", url]
    cap = ["--budget-usd", "1000000"] if "budget" in name else []
    create = [sys.executable, "-m", "tierwise", "keys", "create", "bench", "--json", *cap, *common]
    made = subprocess.run(create, capture_output=True, check=True)
    port = free_port()
    serve = ["benchmarks.unrecorded"] if name == "without" else ["tierwise", "serve"]
    ports = ["--port", str(port), "--admin-port", str(free_port())]
    pid = start(stack, SUBJECT, [sys.executable, "-m", *serve, *ports, *common], port, "/readyz")
    key = json.loads(made.stdout)["key"]
    return Target(name, f"http://127.0.0.1:{port}/v1/chat/completions", key, (pid,))


def shown(found: dict[str, list[Result]]) -> int:
    """Prints medians and ratios round by round to the gateway without rows; how many calls failed."""
    print("| rows | CPU µs/request | × without | req/s | of without |\n|---|---|---|---|---|")
    base = found["without"]
    for name, rounds in found.items():
        times = statistics.median(one.cpu_us / other.cpu_us for one, other in zip(rounds, base, strict=True))
        share = statistics.median(one.rps / other.rps for one, other in zip(rounds, base, strict=True))
        cpu, rps = (statistics.median(getattr(one, what) for one in rounds) for what in ("cpu_us", "rps"))
        print(f"| {name} | {cpu:.0f} | {times:.2f} | {rps:,.0f} | {share:.0%} |")
    plain, budget = found["sqlite"], found["sqlite, budget"]
    added = statistics.median(one.cpu_us / other.cpu_us for one, other in zip(budget, plain, strict=True))
    print(f"a budget adds {added - 1:+.1%}; load average {os.getloadavg()[0]:.1f} (a quiet machine: about 2)")
    return sum(one.errors for rounds in found.values() for one in rounds)


def report(url: str, calls: int) -> None:
    """Makes the rows where there are none, rolls them up, and prints how long the reports take."""
    open_ledger(url, {})._store.release()
    if not read_ledger(url).report("kind").all.calls:
        began = time.perf_counter()
        fill(url, calls)
        print(f"{calls:,} calls made in {time.perf_counter() - began:.0f} s")
        roll_up(url, calls)
    reader, now_us = read_ledger(url), int(time.time() * 1e6)
    for name, since_ago, until_ago in RANGES:
        span = [None if ago is None else now_us - ago for ago in (since_ago, until_ago)]
        times = {by: statistics.median(turn(reader, by, span) for _ in range(TURNS)) for by in get_args(By)}
        said = ", ".join(f"{by} {times[by]:.2f}" for by in sorted(times, key=lambda by: -times[by]))
        print(f"report over {name}, median seconds by: {said}")
    began = time.perf_counter()
    first = next(iter(reader.rows(now_us - DAY_US)), None)
    assert first is not None
    print(f"export of the last day: {time.perf_counter() - began:.2f} s to its first row")
    print(f"load average {os.getloadavg()[0]:.1f}")


def roll_up(url: str, calls: int) -> None:
    """Rolls all rows up, and prints what it took."""
    ledger = open_ledger(url, {})
    began, spent = time.perf_counter(), time.process_time()
    waited = 0
    while waited < PATIENCE:
        # Postgres holds back what a transaction of its own, such as a vacuum's, might not have seen.
        waited = 0 if ledger.roll() else waited + 1
        time.sleep(waited)
    took, spent = time.perf_counter() - began, time.process_time() - spent
    ledger._store.release()
    print(f"rolled up in {took:.0f} s, {1e6 * spent / calls:.1f} µs of processor time a call")


def turn(reader: Reader, by: By, span: Sequence[int | None]) -> float:
    """Seconds that one report takes."""
    began = time.perf_counter()
    reader.report(by, *span)
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
