"""`python -m benchmarks.lab`: how fast the laboratory runs and judges, and how much memory it takes.

10,000 Cases (`--cases N` for fewer) on two tiers against the simulator at concurrency 500, beside a bare
client that only sends the same bodies and reads the replies; a Verdict over 100,000 Cases; and the peak
memory of runs of 1,000, 10,000 and 50,000 Cases whose tiers answer at once, each in a process of its own.
Prints a Markdown table; exit status 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tierwise.http1 import Call, Origin, Pool
from tierwise.judging import Pair, judge_pairs
from tierwise.judging.decision import Terms as JudgingTerms
from tierwise.lab import evaluate, make_suite
from tierwise.lab.cases.suites import Shape
from tierwise.lab.compare import Seen, evaluate_seen
from tierwise.lab.grading.scoring import judge_of, parse_spec
from tierwise.lab.running.records import Manifest, SuiteCard, Terms, TierCard
from tierwise.lab.running.replies import Reply
from tierwise.lab.running.runner import Runner, Work
from tierwise.lab.running.store import RunFolder
from tierwise.nouns import Case, Suite, Usage

CASES, JOBS = 10_000, 500
SIZES = (1_000, 10_000, 50_000)
MOST_BYTES = 4096
TIERS = ("anthropic/claude-haiku-4", "anthropic/claude-opus-4.7")
TOML = """
[[provider]]
name = "bench"
dialect = "openai_chat"
base_url = "{url}/v1"
key = "env:BENCH_KEY"
models = {models}
"""
SYSTEM = "Classify the support ticket into: Billing, Technical, Account, or General."


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="How fast the laboratory runs and judges.")
    parser.add_argument("--cases", type=int, default=CASES)
    parser.add_argument("--memory", type=int, help="only run so many Cases and print the peak in KB")
    asked = parser.parse_args()
    if asked.memory:
        print(asyncio.run(peak_kb(asked.memory)))
        return 0
    cases = asked.cases
    with tempfile.TemporaryDirectory(prefix="tierwise-lab-") as folder:
        simulator = subprocess.Popen(
            [sys.executable, "-m", "tierwise", "simulator", "--port", "0", "--speed", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert simulator.stdout is not None
        url = simulator.stdout.readline().split()[1]
        try:
            bare = uvloop.run(bare_rate(url, "x", cases))
            through = gateway_rate(url, Path(folder), cases)
            rate = uvloop.run(eval_rate(url, Path(folder), cases))
        finally:
            simulator.terminate()
            simulator.wait(20)
    seconds = verdict_seconds()
    peaks = {n: memory_kb(n) for n in SIZES}
    each = (peaks[SIZES[-1]] - peaks[SIZES[0]]) * 1024 / (SIZES[-1] - SIZES[0])
    print("| what | measured |\n|---|---|")
    print(f"| bare client, {JOBS} in flight | {bare:,.0f} calls/s |")
    print(f"| the same client through a gateway | {through:,.0f} calls/s |")
    print(f"| `eval`, {cases:,} Cases × 2 tiers, {JOBS} in flight | {rate:,.0f} calls/s |")
    print(f"| of the gateway (at least 80 %); of the bare client | {rate / through:.0%}; {rate / bare:.0%} |")
    print(f"| Verdict over 100,000 Cases (below 2 s) | {seconds:.2f} s |")
    for n, peak in peaks.items():
        print(f"| peak memory of a run of {n:,} Cases × 2 tiers | {peak / 1024:,.0f} MB |")
    print(f"| growth a Case, the Case itself included (below {MOST_BYTES:,}) | {each:,.0f} bytes |")
    return 0 if seconds < 2 and rate >= 0.8 * through and each < MOST_BYTES else 1


class Instant:
    """A tier that answers at once, one in ten wrongly."""

    def __init__(self, name: str) -> None:
        self.card = TierCard(name, "provider", name, "", name)
        self.price = None
        self.free = False

    async def answer(self, case: Case, repeat: int) -> Reply:
        text = "Billing" if hash((case.id, self.card.name)) % 10 else "Technical"
        return Reply(text, "ok", Usage(20, output=2), 1000, 2000, 1000, served=self.card.model)


async def peak_kb(n: int) -> int:
    """The most memory this process has held, kilobytes, after a run of `n` Cases and its Verdict."""
    suite, tiers = suite_of(n), [Instant("cheap"), Instant("dear")]
    with tempfile.TemporaryDirectory(prefix="tierwise-lab-") as folder:
        card = SuiteCard(suite.name, suite.task, suite.hash, n, "exact")
        cards = tuple(tier.card for tier in tiers)
        manifest = Manifest("run", "2026-11-22T00:00:00Z", card, Terms("dear", n=n), cards)
        run = RunFolder.create(manifest, suite, Path(folder))
        run.open_to_write()
        judge = judge_of(parse_spec("exact"), suite.cases)
        runner = Runner(run, suite.cases, tiers, judge, Work(jobs=JOBS))
        runner.load([tier.card.name for tier in tiers], 1)
        await runner.run()
        run.close()
        evaluate_seen(Seen(manifest, runner.order, runner.tallies, ("cheap",)))
    # Not ru_maxrss: a child begins with its parent's.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def memory_kb(n: int) -> int:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.lab", "--memory", str(n)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def body(number: int, model: str) -> bytes:
    """A streamed classification request."""
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"ticket {number}: my bill"},
    ]
    return json.dumps(
        {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    ).encode()


def gateway_rate(url: str, folder: Path, cases: int) -> float:
    """Calls a second of the same client through a gateway."""
    (folder / "gateway").mkdir()
    config, db = folder / "gateway" / "tierwise.toml", f"sqlite:///{folder}/ledger.db"
    config.write_text(TOML.format(url=url, models=json.dumps(TIERS)))
    command = [sys.executable, "-m", "tierwise"]
    common = ["--config", str(config), "--db", db]
    environ = {**os.environ, "BENCH_KEY": "x"}
    made = subprocess.run(
        [*command, "keys", "create", "b", "--json", *common], capture_output=True, check=True, env=environ
    )
    gateway = subprocess.Popen(
        [*command, "serve", "--port", "0", "--admin-port", "0", *common],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ,
    )  # fmt: skip
    assert gateway.stdout is not None
    try:
        address = gateway.stdout.readline().split()[1]
        return uvloop.run(bare_rate(address, json.loads(made.stdout)["key"], cases))
    finally:
        gateway.terminate()
        gateway.wait(60)


async def bare_rate(url: str, key: str, cases: int) -> float:
    """Calls a second of a client that does nothing but send and read."""
    pool, (origin, _) = Pool(max_idle_per_origin=JOBS), Origin.parse(url)
    numbers = iter(range(2 * cases))
    headers = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + key.encode())]

    async def work() -> None:
        for number in numbers:
            sent = body(number // 2, TIERS[number % 2])
            reply = await pool.send(Call(origin, "POST", "/v1/chat/completions", headers, sent))
            assert reply.status == 200, await reply.read(10_000)
            while await reply.chunk():
                pass
            reply.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(JOBS)))
    rate = 2 * cases / (time.perf_counter() - began)
    await pool.close()
    return rate


async def eval_rate(url: str, folder: Path, cases: int) -> float:
    """Calls a second of a whole evaluation: reading, pricing, scoring, keeping every Trial, judging."""
    suite = suite_of(cases)
    (folder / "tierwise.toml").write_text("")
    began = time.perf_counter()
    found = await evaluate(
        suite, TIERS, base_url=f"{url}/v1", key="x", jobs=JOBS, runs=str(folder / "runs"),
        config=str(folder / "tierwise.toml"),
    )  # fmt: skip
    rate = 2 * cases / (time.perf_counter() - began)
    assert sum(tier.outcomes.get("ok", 0) for tier in found.tiers) == 2 * cases, found.tiers
    return rate


def suite_of(n: int) -> Suite:
    """`n` Cases of a ticket each."""
    cases = []
    for number in range(n):
        text = f"ticket {number}: my bill"
        messages: tuple[dict[str, Any], ...] = (
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": text},
        )
        cases.append((f"case {number}", Case(f"q{number}", text, "Billing", messages=messages)))
    return make_suite("bench", cases, Shape())


def verdict_seconds() -> float:
    """Seconds to judge 100,000 graded, clustered pairs: the slowest method."""
    pairs = [Pair((i * 7 % 11) / 10, (i * 3 % 11) / 10, f"c{i % 5000}") for i in range(100_000)]
    began = time.perf_counter()
    judge_pairs(pairs, JudgingTerms())
    judge_pairs([Pair(float(i % 9 > 0), float(i % 10 > 0)) for i in range(100_000)], JudgingTerms())
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
