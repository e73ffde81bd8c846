"""Shadow calls from outside: every dialect is heard, the daily cap holds, evidence survives a crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
from postgres import postgres  # noqa: F401  a fixture
from tierwise.ledger import read_ledger
from tierwise.money import pico_to_usd

TICKET = "I cancelled team plan on the 1st and was still charged."
SYSTEM = "Classify the support ticket into one of these labels: Billing, Technical, Account, General."
TASK = """
[server]
admin_secret = "env:UPSTREAM_KEY"
[task.classification]
shadow_share = 1.0
shadow_daily_usd = {cap}
"""
OURS = {"anthropic-version": "2023-06-01"}
HEADERS = {"x-tierwise-task": "classification"}
TURNS = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TICKET}]
GEMINI = {
    "systemInstruction": {"parts": [{"text": SYSTEM}]},
    "contents": [{"role": "user", "parts": [{"text": TICKET}]}],
    "generationConfig": {"maxOutputTokens": 20},
}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "auto", "messages": TURNS, "max_tokens": 20}),
    "anthropic": (
        "/anthropic/v1/messages",
        {"model": "auto", "system": SYSTEM, "messages": TURNS[1:], "max_tokens": 20},
    ),
    "responses": (
        "/v1/responses",
        {"model": "auto", "instructions": SYSTEM, "input": TICKET, "max_output_tokens": 20},
    ),
}


class World:
    """A simulator whose models are always right about the ticket, and a gateway that shadows every call."""

    def __init__(self, folder: Path, dialect: str, cap: str = "5", db: str = "") -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.asked = 0
        labels = folder / "labels.csv"
        labels.write_text(f"text,category\n{TICKET},Billing\n")
        profile = folder / "profile.json"
        right = {name: {"accuracy": {"classification": 1.0}} for name in ("haiku", "sonnet", "opus")}
        profile.write_text(json.dumps({"model": right}))
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--speed", "0", "--labels", str(labels),
            "--profile", str(profile),
        )  # fmt: skip
        toml = live.config(dialect, self.simulator.port, extra=TASK.format(cap=cap))
        place = folder / "gateway"
        self.gateway = live.SharedGateway(place, toml, db) if db else live.Gateway(place, toml)
        self.key = self.gateway.key()
        # There are no shadow calls before their cap is in the ledger.
        assert live.wait_for(self.capped)

    def capped(self) -> bool:
        found = read_ledger(self.gateway.db).balances()
        return any(each.budget.scope == "shadow:classification" for each in found)

    def ask(self, name: str = "chat", stream: bool = False) -> live.Got:
        """Asks in other words than before: what is merely repeated is no evidence."""
        self.asked += 1
        if name == "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path, body = f"/gemini/v1beta/models/auto:{verb}", dict(GEMINI)
            body["generationConfig"] = {"maxOutputTokens": 20 + self.asked}
        else:
            path, fields = CALLS[name]
            limit = "max_output_tokens" if name == "responses" else "max_tokens"
            body = {**fields, "stream": stream, limit: 20 + self.asked}
        got = live.post(
            self.gateway.port, path, body, self.key, {**HEADERS, **(OURS if "anth" in path else {})}
        )
        assert got.status == 200, got.body
        assert got.headers["x-tierwise-tier"] == "haiku"
        return got

    def alarm(self) -> dict[str, Any]:
        """What `policy show` says of the task's shadow."""
        shown = json.loads(self.gateway.command("policy", "show", "--json").stdout)["rules"]
        found = next(rule for rule in shown if rule["task"] == "classification")["shadow"]
        return found or {"n": 0, "unscored": 0, "scores": {}}

    def shadows(self) -> list[dict[str, Any]]:
        return [row for row in self.gateway.closes() if row["kind"] == "shadow"]

    def metrics(self) -> str:
        return live.request(self.gateway.admin, "GET", "/metrics").body.decode()

    def page(self, path: str) -> Any:
        """A page of the dashboard as JSON."""
        bearer = {"authorization": "Bearer sk-upstream-canary"}
        got = live.request(self.gateway.admin, "GET", path, None, bearer)
        assert got.status == 200, got.body
        return got.json()

    def close(self) -> None:
        assert self.gateway.verify() == ""
        assert self.gateway.stop() == 0
        self.simulator.stop()


@pytest.fixture(scope="module", params=sorted(live.BASES))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("shadow"), request.param)
    yield made
    made.close()


def test_every_callers_dialect_is_heard_plain_and_streamed(world: World) -> None:
    names = [*CALLS, "gemini"]
    exchanges = [
        world.ask(name, stream).headers["x-tierwise-exchange"] for name in names for stream in (False, True)
    ]
    assert live.wait_for(lambda: world.alarm()["n"] >= len(exchanges)), world.alarm()
    assert world.alarm()["scores"] == {"1": len(exchanges)}
    rows = world.shadows()
    assert sorted(row["exchange"] for row in rows) == sorted(exchanges)
    for row in rows:
        usage = row["usage"]
        assert (row["tier"], row["outcome"], row["usage_source"]) == ("opus", "ok", "reported")
        assert row["cost_pico"] == usage["input"] * 5 * 10**6 + usage["output"] * 25 * 10**6


def test_shadow_calls_are_not_timed_among_the_callers_own(world: World) -> None:
    served = [row for row in world.gateway.closes() if row["kind"] == "call"]

    def sampled() -> dict[str, int]:
        got = world.page("/api/v1/tiers")
        return {line["tier"]: line["sampled"] for line in got["tiers"]}

    assert sampled() == {"haiku": len(served), "sonnet": 0, "opus": 0}


def test_reports_tell_shadow_money_apart(world: World) -> None:
    world.ask()  # also where another process has the test before this one
    assert live.wait_for(lambda: world.alarm()["n"])
    done = world.gateway.command("ledger", "report", "--by", "kind", "--json")
    lines = {line["group"]: line for line in json.loads(done.stdout)["lines"]}
    assert lines["shadow"]["calls"] == len(world.shadows())
    shown = world.gateway.command("policy", "show").stdout
    assert "haiku and opus agreed 100.0 %" in " ".join(shown.split())
    rules = {rule["task"]: rule["shadow"] for rule in world.page("/api/v1/policy")["rules"]}
    assert "haiku and opus agreed 100.0 %" in rules["classification"]
    assert rules["coding"] == ""


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_the_daily_cap_holds_and_users_do_not_notice(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    db = request.getfixturevalue("postgres").new_url() if store == "postgres" else ""
    world = World(tmp_path, "openai_chat", "0.002", db)
    try:
        for _ in range(20):
            world.ask()
        assert live.wait_for(lambda: world.alarm()["n"] > 0)
        assert live.wait_for(lambda: 'result="capped"' in world.metrics())
        task = 'task="classification"'

        def compared() -> bool:
            told = f'tierwise_shadow_total{{{task},result="compared"}} {len(world.shadows())}\n'
            return told in world.metrics()

        assert live.wait_for(compared)
        rows = world.shadows()
        assert 0 < len(rows) < 20
        spent = sum(row["cost_pico"] for row in rows)
        assert spent <= 2 * 10**9
        cost = f"{pico_to_usd(spent):f}"
        assert f"tierwise_shadow_cost_usd_total{{{task}}} {cost}" in world.metrics()
    finally:
        world.close()


def test_evidence_survives_kill_9(tmp_path: Path) -> None:
    world = World(tmp_path, "openai_chat")
    try:
        for _ in range(5):
            world.ask()
        assert live.wait_for(lambda: world.alarm()["n"] == 5)
        world.gateway.kill()
        world.gateway.start()
        assert live.wait_for(lambda: "haiku" in world.ask().headers["x-tierwise-tier"])
        assert live.wait_for(lambda: world.ask() and world.alarm()["n"] > 5)
    finally:
        world.close()
