"""`python -m benchmarks.lab`: how fast the laboratory runs and judges, and how much memory it takes.

10,000 Cases on two tiers against the simulator at concurrency 500, beside a bare client that only sends the
same bodies and reads the replies; and a Verdict over 100,000 Cases. Prints a Markdown table.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import uvloop

from tierwise.http1 import Call, Origin, Pool
from tierwise.judging import Pair, judge_pairs
from tierwise.judging.decision import Terms
from tierwise.lab import evaluate, make_suite
from tierwise.lab.suites import Shape
from tierwise.nouns import Case

CASES, JOBS = 10_000, 500
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
    with tempfile.TemporaryDirectory(prefix="tierwise-lab-") as folder:
        simulator = subprocess.Popen(
            [sys.executable, "-m", "tierwise", "simulator", "--port", "0", "--speed", "0"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert simulator.stdout is not None
        url = simulator.stdout.readline().split()[1]
        try:
            bare = uvloop.run(bare_rate(url, "x"))
            through = gateway_rate(url, Path(folder))
            small_mb = memory_mb()
            rate = uvloop.run(eval_rate(url, Path(folder)))
            grown_mb = memory_mb() - small_mb
        finally:
            simulator.terminate()
            simulator.wait(20)
    seconds = verdict_seconds()
    print("| what | measured |\n|---|---|")
    print(f"| bare client, {JOBS} in flight | {bare:,.0f} calls/s |")
    print(f"| the same client through a gateway | {through:,.0f} calls/s |")
    print(f"| `eval`, {CASES:,} Cases × 2 tiers, {JOBS} in flight | {rate:,.0f} calls/s |")
    print(f"| of the bare client; of the gateway | {rate / bare:.0%}; {rate / through:.0%} |")
    print(f"| memory above the bare client's peak | {grown_mb:,.0f} MB |")
    print(f"| Verdict over 100,000 Cases | {seconds:.2f} s |")
    return 0 if seconds < 2 else 1


def body(number: int, model: str) -> bytes:
    """A streamed classification request."""
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": f"ticket {number}: my bill"},
    ]
    return json.dumps(
        {"model": model, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    ).encode()


def gateway_rate(url: str, folder: Path) -> float:
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
        return uvloop.run(bare_rate(address, json.loads(made.stdout)["key"]))
    finally:
        gateway.terminate()
        gateway.wait(60)


async def bare_rate(url: str, key: str) -> float:
    """Calls a second of a client that does nothing but send and read."""
    pool, (origin, _) = Pool(max_idle_per_origin=JOBS), Origin.parse(url)
    numbers = iter(range(2 * CASES))
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
    rate = 2 * CASES / (time.perf_counter() - began)
    await pool.close()
    return rate


async def eval_rate(url: str, folder: Path) -> float:
    """Calls a second of a whole evaluation: reading, pricing, scoring, keeping every Trial, judging."""
    cases = []
    for number in range(CASES):
        text = f"ticket {number}: my bill"
        messages: tuple[dict[str, Any], ...] = (
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": text},
        )
        cases.append((f"case {number}", Case(f"q{number}", text, "Billing", messages=messages)))
    suite = make_suite("bench", cases, Shape())
    (folder / "tierwise.toml").write_text("")
    began = time.perf_counter()
    found = await evaluate(
        suite, TIERS, base_url=f"{url}/v1", key="x", jobs=JOBS, runs=str(folder / "runs"),
        config=str(folder / "tierwise.toml"),
    )  # fmt: skip
    rate = 2 * CASES / (time.perf_counter() - began)
    assert sum(tier.outcomes.get("ok", 0) for tier in found.tiers) == 2 * CASES, found.tiers
    return rate


def verdict_seconds() -> float:
    """Seconds to judge 100,000 graded, clustered pairs: the slowest method."""
    pairs = [Pair((i * 7 % 11) / 10, (i * 3 % 11) / 10, f"c{i % 5000}") for i in range(100_000)]
    began = time.perf_counter()
    judge_pairs(pairs, Terms())
    judge_pairs([Pair(float(i % 9 > 0), float(i % 10 > 0)) for i in range(100_000)], Terms())
    return time.perf_counter() - began


def memory_mb() -> float:
    """The most this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
