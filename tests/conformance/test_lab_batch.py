"""eval --batch: the calls of a run handed in as batches, to a provider's own or through the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live

N = 24
SYSTEM = "Classify the support ticket into one of these labels: Billing, Technical, Account, General."


class World:
    """A simulator that knows the tickets, and a gateway before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        rows = "".join(f'"Ticket {i}: my card was charged twice",Billing\n' for i in range(N))
        (folder / "tickets.csv").write_text("text,category\n" + rows)
        self.log = folder / "bill.jsonl"
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--speed", "0", "--labels", "tickets.csv",
            "--log", str(self.log),
        )  # fmt: skip
        toml = live.config("openai_chat", self.simulator.port)
        (folder / "tierwise.toml").write_text(toml)
        self.gateway = live.Gateway(folder / "g", toml)
        self.url = ("--base-url", f"{self.gateway.url}/v1", "--key", self.gateway.key())

    def speak(self, dialect: str) -> tuple[str, ...]:
        """The options by which the run asks the simulator itself, in another dialect."""
        (self.folder / f"{dialect}.toml").write_text(live.config(dialect, self.simulator.port))
        return "--config", f"{dialect}.toml"

    def eval(self, *arguments: str, suite: bool = True) -> subprocess.CompletedProcess[str]:
        tiers = "tier/haiku,tier/opus" if "--base-url" in arguments else "haiku,opus"
        given = ("tickets.csv", "--tiers", tiers, "--system", SYSTEM) if suite else ()
        return subprocess.run(
            [sys.executable, "-m", "tierwise", "eval", *given, *arguments, "--json"],
            capture_output=True, text=True, cwd=self.folder, check=False, timeout=120,
            env={**os.environ, "UPSTREAM_KEY": "sk-upstream-canary"},
        )  # fmt: skip

    def found(self, *arguments: str, suite: bool = True) -> Any:
        done = self.eval(*arguments, suite=suite)
        assert done.returncode in (0, 3, 4), done.stderr
        return json.loads(done.stdout)

    def calls(self) -> int:
        return len(live.lines(self.log))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("batch"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.simulator.stop()


def counts(said: Any) -> Any:
    return said["comparisons"][0]["verdict"]["counts"]


def test_through_the_gateway_the_verdict_is_the_same_and_every_row_is_in_its_ledger(world: World) -> None:
    plain = world.found(*world.url)
    before = world.calls()
    said = world.found(*world.url, "--batch")
    assert counts(said) == counts(plain)
    assert world.calls() == before + 2 * N
    rows = [row for row in world.gateway.closes() if row["kind"] == "batch"]
    assert len(rows) == 2 * N
    # At its usual price, and not timed.
    assert round(float(said["spent_usd"]) * 1e12) == sum(row["cost_pico"] for row in rows)
    assert [tier["total_p50_ms"] for tier in said["tiers"]] == [None, None]
    assert any("by batch" in note for note in said["notes"])


@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_a_providers_own_batch_is_billed_at_its_batch_price(world: World, dialect: str) -> None:
    there = world.speak(dialect)
    plain = world.found("--margin", "0.1", *there)
    before = world.calls()
    said = world.found("--batch", "--margin", "0.1", *there)
    assert counts(said) == counts(plain)
    assert world.calls() == before + 2 * N
    prices = {tier["card"]["name"]: tier["card"]["price"] for tier in said["tiers"]}
    assert set(prices) == {"haiku", "opus"}
    spent = {tier["card"]["name"]: tier["cost_pico"] for tier in said["tiers"]}
    whole = {tier["card"]["name"]: tier["cost_pico"] for tier in plain["tiers"]}
    for name, pico in spent.items():
        # Half, or not known where no batch price is.
        assert pico in (None, whole[name] // 2)
    assert any(spent.values())


@pytest.mark.parametrize("dialect", ["", "anthropic_messages"])
def test_a_run_that_was_cut_off_collects_its_batch_and_hands_nothing_in_twice(
    world: World, dialect: str
) -> None:
    there = world.speak(dialect) if dialect else world.url
    said = world.found(*there, "--batch", "--margin", "0.2")
    folder = world.folder / ".tierwise/runs" / said["run"]
    # As kill -9 leaves it between handing in and collecting: no Trial, the batches not collected.
    handed = [json.loads(line) for line in (folder / "batches.jsonl").read_text().splitlines()]
    (folder / "batches.jsonl").write_text(
        "".join(json.dumps(each) + "\n" for each in handed if not each["collected"])
    )
    (folder / "trials.jsonl").write_text("")
    before = world.calls()
    again = world.found("--resume", said["run"], *(there if dialect else there[2:]), suite=False)
    assert world.calls() == before
    assert counts(again) == counts(said)
    assert again["spent_usd"] == said["spent_usd"]


def test_a_provider_whose_batches_are_not_spoken_is_refused_unspent(world: World) -> None:
    before = world.calls()
    done = world.eval("--batch", *world.speak("gemini"))
    assert done.returncode == 1
    assert "not spoken here" in done.stderr
    assert "--base-url" in done.stderr
    assert world.calls() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sequential",), "--sequential"),
        (("--cost-limit", "0.000001"), "paid as a whole"),
    ],
)
def test_what_does_not_go_with_a_batch_is_refused_unspent(
    world: World, arguments: tuple[str, ...], words: str
) -> None:
    before = world.calls()
    done = world.eval(*world.url, "--batch", *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert world.calls() == before
