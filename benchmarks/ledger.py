"""`python -m benchmarks.ledger`: what the ledger costs a call, and how long a report over many rows takes.

The same gateway with its rows and (benchmarks.unrecorded) without, in turns before one instant upstream; with
--postgres URL on Postgres too. Processor time a request (user + system, the gateway's process with all its
threads, so rolling up too) is the steadiest figure. One process of a gateway differs from the next by more
than a budget costs: what that adds is measured in one process, a key with a budget and one without in turns.
Then a ledger of --rows million calls is made (260 MB a million; in Postgres 600) and rolled up, unless it is
there already, and reported on. Needs wrk, but not with --reports-only.
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

from msgspec import structs

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
WARM = 2
LEVEL = 0.95


def main(arguments: Sequence[str]) -> int:
    """Measures and prints. Exit status 1 when a call failed."""
    asked = argparse.ArgumentParser(prog="benchmarks.ledger")
    asked.add_argument("--postgres", metavar="URL", help="an empty database; its tables stay")
    asked.add_argument("--rows", type=int, default=10, metavar="N", help="million calls; 0: no reports")
    asked.add_argument("--rows-in", metavar="URL", help="where those calls are or will be; stays")
    asked.add_argument("--folder", type=Path, default=None, help="where the rows are made")
    asked.add_argument("--reports-only", action="store_true", help="not what the ledger costs a call")
    asked.add_argument("--budget-only", action="store_true", help="only what a budget adds")
    asked.add_argument("--pairs", type=int, default=40, help="of turns with a budget and without, 2 s each")
    said = asked.parse_args(arguments)
    if said.pairs < 2:
        asked.error("--pairs: one pair has no spread; at least 2 are needed for an interval.")
    with tempfile.TemporaryDirectory(prefix="tierwise-ledger-", dir=said.folder) as folder:
        failed = 0
        if not said.reports_only:
            failed = budget(Path(folder), said.pairs)
            failed += 0 if said.budget_only else cost(Path(folder), said.postgres)
        if said.rows and not said.budget_only:
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
    """Prints what a budget on the key adds to a call, by `pairs` of turns; how many calls failed."""
    os.environ["BENCH_KEY"] = "bench"
    ratios: list[float] = []
    failed = 0
    with ExitStack() as stack:
        upstream = free_port()
        start(stack, OTHER, [sys.executable, "-m", "benchmarks.mock", str(upstream)], upstream)
        (folder / "tierwise.toml").write_text(TOML.format(upstream=upstream))
        url = f"sqlite:///{folder}/budget.db"
        plain = gateway(stack, folder, "plain", url)
        capped = structs.replace(plain, name="budget", key=new_key(folder, url, "--budget-usd", "1000000"))
        load = structs.replace(next(load for load in loads() if load.connections == 64), seconds=1)
        for number in range(WARM + pairs):
            # The order changes: what a turn leaves behind, such as rows to be rolled up, is the next one's.
            turns = (plain, capped) if number % 2 else (capped, plain)
            made = {target.name: run(target, load, folder, OTHER) for target in turns}
            failed += made["plain"].errors + made["budget"].errors
            if number >= WARM:
                ratios.append(math.log(made["budget"].cpu_us / made["plain"].cpu_us))
    mean = statistics.mean(ratios)
    half = t_quantile((1 + LEVEL) / 2, pairs - 1) * statistics.stdev(ratios) / math.sqrt(pairs)
    low, middle, high = (math.expm1(each) for each in (mean - half, mean, mean + half))
    print(
        f"a budget adds {middle:+.1%} CPU a request ({LEVEL:.0%}: {low:+.1%} to {high:+.1%}; {pairs} pairs)"
    )
    return failed


def gateway(stack: ExitStack, folder: Path, name: str, url: str) -> Target:
    """One gateway, with a key of its own."""
    key, port = new_key(folder, url), free_port()
    serve = ["benchmarks.unrecorded"] if name == "without" else ["tierwise", "serve"]
    ports = ["--port", str(port), "--admin-port", str(free_port())]
    common = ["--config", str(folder / "tierwise.toml"), "--db", url]
    pid = start(stack, SUBJECT, [sys.executable, "-m", *serve, *ports, *common], port, "/readyz")
    return Target(name, f"http://127.0.0.1:{port}/v1/chat/completions", key, (pid,))


def new_key(folder: Path, url: str, *terms: str) -> str:
    """The secret of a key made in the ledger at `url`, whose server may be up."""
    create = ["keys", "create", "bench", "--json", *terms, "--config", str(folder / "tierwise.toml")]
    made = subprocess.run(
        [sys.executable, "-m", "tierwise", *create, "--db", url], capture_output=True, check=True
    )
    secret: str = json.loads(made.stdout)["key"]
    return secret


def shown(found: dict[str, list[Result]]) -> int:
    """Prints medians and ratios round by round to the gateway without rows; how many calls failed."""
    print("| rows | CPU µs/request | × without | req/s | of without |\n|---|---|---|---|---|")
    base = found["without"]
    for name, rounds in found.items():
        times = statistics.median(one.cpu_us / other.cpu_us for one, other in zip(rounds, base, strict=True))
        share = statistics.median(one.rps / other.rps for one, other in zip(rounds, base, strict=True))
        cpu, rps = (statistics.median(getattr(one, what) for one in rounds) for what in ("cpu_us", "rps"))
        print(f"| {name} | {cpu:.0f} | {times:.2f} | {rps:,.0f} | {share:.0%} |")
    print(f"load average {os.getloadavg()[0]:.1f} (a quiet machine: about 2)")
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
