"""Kept calls from outside: opted-in tasks only, capped, no secret among them, and a suite drawn from them."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live

SYSTEM = "Classify the support ticket into one of these labels: Billing, Technical, Account, General."
TASKS = """
[task.classification]
start = "sonnet"
sample_share = 1.0
sample_daily = {daily}
{more}
"""
N = 30


class World:
    """A simulator and a gateway that keeps every call of one task, up to a number a day."""

    def __init__(self, folder: Path, daily: int = 500, more: str = "", dialect: str = "openai_chat") -> None:
        self.tickets = [(f"Ticket {i}: my card was charged twice", "Billing") for i in range(N)]
        labels = folder / "labels.csv"
        labels.write_text("text,category\n" + "".join(f'"{text}",{label}\n' for text, label in self.tickets))
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--speed", "0", "--labels", str(labels)
        )
        toml = live.config(dialect, self.simulator.port, extra=TASKS.format(daily=daily, more=more))
        self.gateway = live.Gateway(folder / "gateway", toml)
        self.key = self.gateway.key()

    @property
    def folder(self) -> Path:
        return self.gateway.folder / "samples"

    def ask(self, text: str, task: str = "classification", **fields: Any) -> live.Got:
        turns = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
        body = {"model": "auto", "messages": turns, "max_tokens": 20, **fields}
        got = live.post(self.gateway.port, "/v1/chat/completions", body, self.key, {"x-tierwise-task": task})
        assert got.status == 200, got.body
        return got

    def samples(self) -> list[dict[str, Any]]:
        paths = sorted(self.folder.glob("*/*.jsonl"))
        return [json.loads(line) for path in paths for line in live.lines(path)]

    def eval(self, *arguments: str) -> Any:
        return self.gateway.command("eval", "--from-ledger", "--task", "classification", "--json", *arguments)

    def close(self) -> None:
        assert self.gateway.verify() == ""
        assert self.gateway.stop() == 0
        self.simulator.stop()


@pytest.fixture(scope="module", params=["openai_chat", "anthropic_messages"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("samples"), dialect=request.param)
    yield made
    made.close()


def test_only_opted_in_tasks_are_kept_and_no_secret(world: World) -> None:
    leaked = "my key is sk-live-abcdefghijklmnopqrstuvwx and yours sk-upstream-canary"
    for number, (text, _) in enumerate(world.tickets):
        world.ask(text, stream=bool(number % 2))
    world.ask(world.tickets[0][0])
    world.ask("Write a poem.", task="summarisation")
    world.ask(leaked)
    assert live.wait_for(lambda: len(world.samples()) == N + 2), world.samples()
    [folder] = world.folder.iterdir()
    assert folder.name == "classification"
    for path in (*folder.iterdir(), folder):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077
    kept = "".join(path.read_text() for path in folder.iterdir())
    for secret in ("sk-live", "sk-upstream-canary", world.key):
        assert secret not in kept
    assert "my key is [secret] and yours [secret]" in kept
    first = world.samples()[0]
    assert (first["tier"], first["answer"]) == ("sonnet", "Billing")
    assert [turn["role"] for turn in first["messages"]] == ["system", "user"]
    assert SYSTEM not in json.dumps(world.gateway.rows())


def test_a_suite_is_drawn_from_them_and_calls_itself_agreement(world: World) -> None:
    done = world.eval("--tiers", "haiku,sonnet", "--html", "r.html", "-j", "4")
    assert done.returncode in (0, 4), done.stderr
    found = json.loads(done.stdout)
    # Each question once, though one was asked twice.
    assert found["n"] == N + 1
    assert (found["labels"], found["suite"]["scorer"]) == ("reference", "agreement")
    assert any("32 kept calls (sonnet 32): 31 different questions" in note for note in found["notes"])
    assert "agreement" in (world.gateway.folder / "r.html").read_text().lower()
    score = {tier["card"]["name"]: tier["score"]["value"] for tier in found["tiers"]}
    assert score["sonnet"] > 0.9
    plan = world.eval("--tiers", "haiku,sonnet", "--plan")
    assert "kept calls" in json.loads(plan.stdout)["drawn"]


def test_what_cannot_be_drawn_says_why_and_what_to_do(world: World) -> None:
    done = world.eval("--tiers", "haiku,opus")
    assert done.returncode == 1
    assert "answered by opus (sonnet" in done.stderr
    assert "--reference" in done.stderr
    other = world.gateway.command("eval", "--from-ledger", "--task", "chat", "--tiers", "haiku,sonnet")
    assert other.returncode == 1
    assert "sample_share" in other.stderr
    for wrong in (("--from-ledger", "--tiers", "a,b"), ("x.csv", "--from-ledger", "--task", "x")):
        (world.gateway.folder / "x.csv").write_text("input,target\na,b\n")
        assert world.gateway.command("eval", *wrong).returncode == 2


def test_the_day_has_its_number_and_the_shadows_answer_is_a_label(tmp_path: Path) -> None:
    more = 'shadow_share = 1.0\nshadow_daily_usd = 5\nshadow_tier = "opus"\n'
    # Thirty calls and thirty shadow calls: of forty kept ones ten at least are the shadow's.
    world = World(tmp_path, daily=40, more=more)
    try:
        for text, _ in world.tickets:
            world.ask(text)
        assert live.wait_for(lambda: len(world.samples()) >= 40)
        assert live.wait_for(lambda: f'result="compared"}} {N}' in metrics(world)), metrics(world)
        assert 'tierwise_shadow_cost_usd_total{task="classification"} 0.' in metrics(world)
        assert 'tierwise_samples_total{task="classification",result="kept"} 40' in metrics(world)
        world.gateway.kill()
        world.gateway.start()
        for text, _ in world.tickets[:3]:
            world.ask(text)
        assert live.wait_for(lambda: 'result="capped"' in metrics(world))
        kept = world.samples()
        assert len(kept) == 40
        assert {sample["tier"] for sample in kept} == {"sonnet", "opus"}
        done = world.eval("--tiers", "sonnet,opus")
        assert done.returncode in (0, 4), done.stderr
        assert json.loads(done.stdout)["reference"] == "opus"
    finally:
        world.close()


def metrics(world: World) -> str:
    """The samples' and shadow's lines of /metrics."""
    port = int(world.gateway.arguments[4])
    text = live.request(port, "GET", "/metrics").body.decode()
    return "\n".join(line for line in text.splitlines() if "samples_total{" in line or "shadow" in line)
