"""The whole loop, as docs/loop.md tells it: eval on 200 tickets → verdict → apply → the gateway routes by it
→ the cheap tier is made worse → shadow contradicts the rule → the task is demoted.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import live

SYSTEM = "Classify the support ticket into one of these labels: Billing, Technical, Account, General."
TASK = """
[task.coding]
shadow_share = 1.0
shadow_daily_usd = 5
shadow_demote = true
"""
HAIKU, OPUS = (10**6, 5 * 10**6), (5 * 10**6, 25 * 10**6)


def labelled(haiku: float) -> dict[str, Any]:
    """A simulator's profile in which haiku is right so often, and opus nearly always."""
    accuracy = {"haiku": haiku, "opus": 0.99}
    return {
        "model": {name: {"accuracy": {"classification": share}} for name, share in accuracy.items()},
        "correlation": 0.95,
    }


class World:
    """A simulator that knows 200 tickets, and a gateway that shadows the task `coding`."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "tickets.csv"
        self.file.write_text(resources.files("tierwise.cli.demo").joinpath("tickets.csv").read_text())
        rows = list(csv.DictReader(self.file.read_text().splitlines()))
        self.tickets = [row.get("text") or row["input"] for row in rows]
        profile = folder / "profile.json"
        profile.write_text(json.dumps(labelled(0.985)))
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--labels", str(self.file), "--speed", "0",
            "--profile", str(profile),
        )  # fmt: skip
        toml = live.config("openai_chat", self.simulator.port, extra=TASK)
        self.gateway = live.Gateway(folder / "gateway", toml)
        self.key = self.gateway.key()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tierwise", *arguments, "--config", "tierwise.toml"],
            capture_output=True, text=True, cwd=self.gateway.folder, check=False,
            env={**os.environ, "UPSTREAM_KEY": "sk-upstream-canary"},
        )  # fmt: skip

    def ask(self, number: int) -> live.Got:
        """One ticket as a user sends it; every other one is streamed."""
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": self.ticket(number)}]
        body = {"model": "task/coding", "messages": messages, "max_tokens": 20, "stream": number % 2 == 1}
        got = live.post(self.gateway.port, "/v1/chat/completions", body, self.key)
        assert got.status == 200, got.body
        return got

    def ticket(self, number: int) -> str:
        return self.tickets[number % len(self.tickets)]

    def rule(self) -> dict[str, Any]:
        shown = json.loads(self.command("policy", "show", "--json").stdout)["rules"]
        return next(rule for rule in shown if rule["task"] == "coding")

    def shadows(self) -> list[dict[str, Any]]:
        return [row for row in self.gateway.closes() if row["kind"] == "shadow"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("loop"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.simulator.stop()


def test_the_loop(world: World) -> None:
    # Before evidence the task starts where the prior has it.
    assert world.ask(0).headers["x-tierwise-tier"] == "sonnet"

    # 1. Measure on 200 labelled tickets: the verdict is to switch.
    done = world.command(
        "eval", str(world.file), "--system", SYSTEM, "--tiers", "haiku,opus", "--task", "coding", "--json"
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["decision"], said["n"]) == ("switch", 200)

    # 2. Apply: the running gateway routes by it.
    assert world.command("policy", "apply", said["run"], "--yes").returncode == 0
    assert live.wait_for(lambda: world.ask(0).headers["x-tierwise-tier"] == "haiku")
    assert world.rule()["state"] == "measured"

    # 3. While haiku is as good as measured, shadow calls do not contradict.
    for number in range(60):
        assert world.ask(number).headers["x-tierwise-tier"] == "haiku"
    numbers = itertools.count(60)

    def compared() -> bool:
        """Calls during a reload, as at midnight, are not compared: then a few more are needed."""
        if (world.rule()["shadow"] or {"n": 0})["n"] >= 60:
            return True
        world.ask(next(numbers))
        return False

    assert live.wait_for(compared)
    rule = world.rule()
    assert rule["state"] == "measured"
    assert rule["shadow"]["agreement"] > 0.9
    assert rule["shadow"]["watch"]["verdict"] == f"{said['run']}/haiku"
    assert {row["tier"] for row in world.shadows() if row["key"] == ""} <= {"opus"}

    # 4. The provider's cheap model gets worse; nobody told us.
    assert live.post(world.simulator.port, "/simulator/profile", labelled(0.5)).status == 200
    assert live.wait_for(lambda: world.ask(next(numbers)).headers["x-tierwise-tier"] != "haiku")

    # 5. Contradicted and demoted: it stays with the next dearer tier, and says why.
    assert world.ask(1).headers["x-tierwise-tier"] == "sonnet"
    assert "contradict" in world.ask(1).headers["x-tierwise-route"]
    rule = world.rule()
    assert (rule["state"], rule["tiers"]) == ("contradicted", ["sonnet", "opus"])
    assert "demoted from haiku" in rule["evidence"]
    assert "before: good enough" in rule["evidence"]
    shown = world.command("policy", "show").stdout
    assert "contradicted" in shown

    # The money: each shadow call is a line of its own, priced exactly, on nobody's key.
    rows = world.shadows()
    assert all(row["key"] == "" and row["task"] == "coding" and row["outcome"] == "ok" for row in rows)
    opus = [row for row in rows if row["tier"] == "opus"]
    assert len(opus) >= 70
    for row in opus:
        assert row["cost_pico"] == row["usage"]["input"] * OPUS[0] + row["usage"]["output"] * OPUS[1]
        assert row["scopes"] == ["shadow:coding"]
    calls = {row["exchange"]: row for row in world.gateway.closes() if row["kind"] == "call"}
    assert all(calls[row["exchange"]]["attempt"] != row["attempt"] for row in rows)


def test_a_new_verdict_puts_the_rule_back_in_force(world: World) -> None:
    """Follows the loop: the provider has mended its model, and a person measures anew."""
    assert live.post(world.simulator.port, "/simulator/profile", labelled(0.985)).status == 200
    done = world.command(
        "eval", str(world.file), "--system", SYSTEM, "--tiers", "haiku,opus", "--task", "coding", "--json"
    )
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)["run"]
    assert world.command("policy", "apply", run, "--yes").returncode == 0
    assert live.wait_for(lambda: world.ask(0).headers["x-tierwise-tier"] == "haiku")
    rule = world.rule()
    assert (rule["state"], rule["verdict"]) == ("measured", f"{run}/haiku")
    assert "demoted" not in rule["evidence"]


def test_users_never_wait_for_shadow_calls(world: World) -> None:
    """The other tier answers nothing at all: users get replies, and shutting down does not wait."""
    hang = {"model": {"opus": {"faults": {"hang": 1.0}}}}
    assert live.post(world.simulator.port, "/simulator/profile", hang).status == 200
    got: list[int] = []

    def ask(first: int) -> None:
        got.extend(world.ask(number).status for number in range(first, first + 25))

    threads = [threading.Thread(target=ask, args=(first,)) for first in (0, 50, 100, 150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert got == [200] * 100
