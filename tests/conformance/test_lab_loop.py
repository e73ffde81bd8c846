"""The loop: eval on 200 tickets → verdict → apply → the running gateway routes by it; and eval through a
gateway.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import live
from postgres import postgres  # noqa: F401  a fixture

LABELS = "Billing, Technical, Account, General"
SYSTEM = f"Classify the support ticket into one of these labels: {LABELS}."


def tickets(folder: Path) -> Path:
    """The demo's 200 tickets."""
    path = folder / "tickets.csv"
    text = resources.files("tierwise.cli.demo").joinpath("tickets.csv").read_text()
    path.write_text(text)
    assert len(list(csv.DictReader(text.splitlines()))) == 200
    return path


def profile(folder: Path, haiku: float, opus: float) -> Path:
    path = folder / "profile.json"
    models = {
        "haiku": {"accuracy": {"classification": haiku}},
        "opus": {"accuracy": {"classification": opus}},
    }
    path.write_text(json.dumps({"model": models, "correlation": 0.95}))
    return path


class World:
    """A simulator that knows the tickets, and a gateway before it."""

    def __init__(self, folder: Path, haiku: float = 0.985, opus: float = 0.99, db: str = "") -> None:
        self.folder = folder
        self.tickets = tickets(folder)
        self.log = folder / "simulator.jsonl"
        options = ("--port", "0", "--labels", str(self.tickets), "--speed", "0", "--log", str(self.log))
        self.simulator = live.Process(
            folder, "simulator", *options, "--profile", str(profile(folder, haiku, opus))
        )
        place, toml = folder / "gateway", live.config("openai_chat", self.simulator.port)
        self.gateway = live.SharedGateway(place, toml, db) if db else live.Gateway(place, toml)
        self.key = self.gateway.key()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A tierwise command in the gateway's folder, with its configuration."""
        return subprocess.run(
            [sys.executable, "-m", "tierwise", *arguments, "--config", "tierwise.toml"],
            capture_output=True, text=True, cwd=self.gateway.folder, check=False,
            env={**os.environ, "UPSTREAM_KEY": "sk-upstream-canary"},
        )  # fmt: skip

    def eval(self, *arguments: str) -> Any:
        done = self.command("eval", str(self.tickets), "--system", SYSTEM, *arguments, "--json")
        assert done.returncode in (0, 3, 4), done.stderr
        return json.loads(done.stdout)

    def ask(self, task: str) -> live.Got:
        body = {"model": f"task/{task}", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
        return live.post(self.gateway.port, "/v1/chat/completions", body, self.key)

    def close(self) -> None:
        assert self.gateway.verify() == ""
        assert self.gateway.stop() == 0
        self.simulator.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("loop"))
    yield made
    made.close()


def test_eval_verdict_apply_and_the_gateway_routes_by_it(world: World) -> None:
    # `coding` starts at sonnet before evidence, so that the verdict must move it down.
    assert world.ask("coding").headers["x-tierwise-tier"] == "sonnet"
    said = world.eval("--tiers", "haiku,opus", "--task", "coding", "-j", "64")
    assert (said["decision"], said["chosen"]) == ("switch", "haiku")
    assert said["n"] == 200
    calls = [json.loads(line) for line in world.log.read_text().splitlines()]
    assert len([call for call in calls if call["path"] == "/v1/chat/completions"]) == 400 + 1
    spent = sum(
        call["usage"]["input"] * price[0] + call["usage"]["output"] * price[1]
        for call in calls[1:]
        for price in [(10**6, 5 * 10**6) if "haiku" in call["model"] else (5 * 10**6, 25 * 10**6)]
    )
    assert said["spent_pico"] == spent
    diff = world.command("policy", "diff", said["run"])
    assert '+tiers = ["haiku", "sonnet", "opus"]' in diff.stdout
    done = world.command("policy", "apply", said["run"], "--yes")
    assert done.returncode == 0, done.stderr
    assert live.wait_for(lambda: world.ask("coding").headers["x-tierwise-tier"] == "haiku")
    route = world.ask("coding").headers["x-tierwise-route"]
    assert "good enough" in route
    shown = json.loads(world.command("policy", "show", "--json").stdout)["rules"]
    rule = next(each for each in shown if each["task"] == "coding")
    assert (rule["state"], rule["verdict"]) == ("measured", f"{said['run']}/haiku")


def test_eval_through_the_gateway_by_its_url(world: World) -> None:
    before = len(world.gateway.closes())
    said = world.eval(
        "--tiers", "tier/haiku,tier/opus", "-n", "60", "-j", "16",
        "--base-url", f"http://127.0.0.1:{world.gateway.port}/v1", "--key", world.key,
    )  # fmt: skip
    closes = world.gateway.closes()[before:]
    assert len(closes) == 120
    assert {row["tier"] for row in closes} == {"haiku", "opus"}
    # Priced by our own configuration to the pico-dollar, as the ledger has it.
    assert said["spent_pico"] == sum(row["cost_pico"] for row in closes)
    assert said["reference"] == "opus"
    tier = said["tiers"][0]
    assert tier["card"]["served"]
    assert tier["ttft_p50_ms"] > 0


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_policy_plan_replays_the_ledger(tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    db = request.getfixturevalue("postgres").new_url() if store == "postgres" else ""
    world = World(tmp_path, db=db)

    def plan(new: object) -> tuple[int, Any]:
        done = world.gateway.command("policy", "plan", str(new), "--last", "1h", "--json")
        return done.returncode, json.loads(done.stdout or "{}")

    try:
        for _ in range(5):
            assert world.ask("coding").headers["x-tierwise-tier"] == "sonnet"
        rows = world.gateway.closes()
        haiku = sum(row["usage"]["input"] * 10**6 + row["usage"]["output"] * 5 * 10**6 for row in rows)
        new = world.gateway.folder / "new.toml"
        new.write_text('[[rule]]\ntask = "coding"\ntiers = ["haiku"]\n')
        code, said = plan(new)
        assert (code, said["moved"]) == (3, 5)
        assert said["delta_pico"] == haiku - sum(row["cost_pico"] for row in rows) < 0
        assert any("unmeasured" in fault for fault in said["faults"])
        new.write_text('[[rule]]\ntask = "coding"\ntiers = ["sonnet"]\n')
        assert plan(new)[0] == 0
        # With a verdict of haiku against sonnet, quality has an interval and nothing stops.
        found = world.eval("--tiers", "haiku,sonnet", "--task", "coding", "--margin", "0.2")
        assert found["decision"] == "switch"
        code, said = plan(found["run"])
        assert (code, said["no_worse"], said["moved"]) == (0, True, 5)
        [move] = said["tasks"]
        assert (move["old"], move["new"]) == ("sonnet", "haiku")
        assert move["quality"]["low"] <= found["difference"] <= move["quality"]["high"]
        assert said["quality"]["value"] == pytest.approx(found["difference"])
        # Applied, and taken back by a file that no longer names the task: dearer.
        assert world.command("policy", "apply", found["run"], "--yes").returncode == 0
        assert live.wait_for(lambda: world.ask("coding").headers["x-tierwise-tier"] == "haiku")
        new.write_text("")
        code, said = plan(new)
        assert code == 3
        assert said["faults"] == ["the new policy is dearer"]
        # What sonnet served already does not move back to it.
        assert 0 < said["moved"] < said["calls"]
    finally:
        world.close()


@pytest.mark.parametrize("dialect", ["anthropic_messages"])
def test_a_provider_of_another_dialect_gives_the_same_answers(
    tmp_path: Path, world: World, dialect: str
) -> None:
    (tmp_path / "tierwise.toml").write_text(live.config(dialect, world.simulator.port))
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", "eval", str(world.tickets), "--system", SYSTEM, "-n", "40",
         "--tiers", "haiku,opus", "--json"],
        capture_output=True, text=True, cwd=tmp_path, check=False, env={**os.environ, "UPSTREAM_KEY": "k"},
    )  # fmt: skip
    assert done.returncode in (0, 3, 4), done.stderr
    there = json.loads(done.stdout)
    here = world.eval("--tiers", "haiku,opus", "-n", "40")
    assert there["comparisons"][0]["verdict"]["counts"] == here["comparisons"][0]["verdict"]["counts"]


def test_a_bad_cheap_tier_is_kept_out_with_exit_3(tmp_path: Path) -> None:
    world = World(tmp_path, haiku=0.7)
    try:
        done = world.command(
            "eval", str(world.tickets), "--system", SYSTEM, "--tiers", "haiku,opus", "--task", "qa"
        )
        assert done.returncode == 3, done.stdout + done.stderr
        assert "Keep opus" in done.stdout
        assert world.command("policy", "apply", "--yes").returncode == 0
        assert live.wait_for(lambda: world.ask("qa").headers["x-tierwise-tier"] == "opus")
    finally:
        world.close()


def test_a_wrong_model_name_or_key_ends_at_once_with_what_to_do(world: World, tmp_path: Path) -> None:
    done = world.command(
        "eval", str(world.tickets), "--tiers", "tier/haiku,tier/opus",
        "--base-url", f"http://127.0.0.1:{world.gateway.port}/v1", "--key", "tw-wrong",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Check the key" in done.stderr
    assert "Traceback" not in done.stderr
