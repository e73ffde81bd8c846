"""Notices of budgets: a webhook, a log line, a count; each once, whatever restarts and however many look."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider
from postgres import Postgres, postgres  # noqa: F401  a fixture

CHAT = "/v1/chat/completions"
COST = (800 + 50 * 5) * 10**6
BODY = {"model": "tier/haiku", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
SECRET = "whsec_" + base64.b64encode(b"canary").decode()


class World:
    """A provider that is also where notices are posted: the first of them is answered with 500."""

    def __init__(self) -> None:
        self.posted: list[provider.Sent] = []
        self.provider = provider.Provider(self.answer)

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        if sent.path != "/hook":
            yield provider.whole(200, provider.chat())
            return
        self.posted.append(sent)
        yield provider.whole(500 if len(self.posted) == 1 else 200, {})

    def toml(self) -> str:
        alerts = f'[alerts]\nwebhook = "http://127.0.0.1:{self.provider.port}/hook"\nsecret = "env:HOOK"\n'
        return live.config("openai_chat", self.provider.port) + alerts

    def thresholds(self) -> list[Any]:
        """Of what was taken, each once however often it was tried."""
        told = {sent.headers["webhook-id"]: json.loads(sent.body) for sent in self.posted}
        return [notice["threshold"] for notice in told.values()]

    def told(self, *expected: Any) -> bool:
        return live.wait_for(lambda: sorted(map(str, self.thresholds())) == sorted(map(str, expected)))


def spend(gateway: live.Gateway, key: str, calls: int) -> list[int]:
    return [live.post(gateway.port, CHAT, BODY, key).status for _ in range(calls)]


def test_each_threshold_is_told_once_through_a_restart(tmp_path: Path) -> None:
    world = World()
    gateway = live.Gateway(tmp_path / "g", world.toml(), {"HOOK": SECRET})
    made = gateway.command("keys", "create", "team", "--json", "--budget-usd", f"{4 * COST / 10**12:.6f}")
    key = json.loads(made.stdout)
    assert spend(gateway, key["key"], 2) == [200] * 2
    assert world.told(50)
    assert live.wait_for(lambda: len(world.posted) == 2)  # the first try was answered with 500
    first, again = world.posted
    assert first.headers["webhook-id"] == again.headers["webhook-id"]
    for sent in world.posted:
        signed = f"{sent.headers['webhook-id']}.{sent.headers['webhook-timestamp']}.".encode() + sent.body
        mac = base64.b64encode(hmac.new(b"canary", signed, hashlib.sha256).digest()).decode()
        assert sent.headers["webhook-signature"] == f"v1,{mac}"
    notice = json.loads(first.body)
    assert (notice["event"], notice["scope"]) == ("budget.threshold", f"key:{key['id']}")
    assert (notice["spent_pico"], notice["cap_pico"]) == (2 * COST, 4 * COST)
    assert gateway.stop() == 0
    gateway.start()
    assert spend(gateway, key["key"], 1) == [200]
    assert spend(gateway, key["key"], 3)[-1] == 402
    assert world.told(50, 80, 100)
    metrics = live.request(gateway.admin, "GET", "/metrics").body.decode()
    assert 'tierwise_budget_alerts_total{threshold="100 %"} 1' in metrics
    assert live.wait_for(
        lambda: (
            b'tierwise_alert_webhooks_total{result="delivered"} 2'
            in live.request(gateway.admin, "GET", "/metrics").body
        )
    )
    log = gateway.log.read_text()
    assert "has reached 50 %" in log
    assert "canary" not in log
    assert spend(gateway, key["key"], 1) == [402]
    assert gateway.stop() == 0
    assert sorted(map(str, world.thresholds())) == ["100", "50", "80"]


def test_two_replicas_tell_it_once(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    world, url = World(), postgres.new_url()
    # All others are taken at once.
    world.posted.append(provider.Sent("", {"webhook-id": ""}, b'{"threshold": "-"}'))
    gateways = [live.Gateway(tmp_path / n, world.toml(), {"HOOK": SECRET}, "--db", url) for n in "ab"]
    for gateway in gateways:
        gateway.common = (*gateway.common, "--db", url)  # the last one counts
    key = gateways[0].key("--project", "p")
    cap = f"{4 * COST / 10**12:.6f}"
    assert gateways[1].command("budgets", "set", "project:p", cap).returncode == 0
    for gateway in (*gateways, *gateways):
        assert live.wait_for(lambda: spend(gateway, key, 1)[0] in (200, 402))  # noqa: B023  called at once
    for gateway in gateways:
        assert live.wait_for(lambda: spend(gateway, key, 1) == [402])  # noqa: B023  called at once
    assert world.told("-", 50, 80, 100)
    assert all(gateway.stop() == 0 for gateway in gateways)
    assert sorted(map(str, world.thresholds())) == ["-", "100", "50", "80"]


def test_a_call_larger_than_the_whole_cap_says_nothing_of_what_is_spent(tmp_path: Path) -> None:
    world = World()
    gateway = live.Gateway(tmp_path / "g", world.toml(), {"HOOK": SECRET})
    key = gateway.key("--budget-usd", f"{10 * COST / 10**12:.6f}")
    assert spend(gateway, key, 1) == [200]
    huge = live.post(gateway.port, CHAT, {**BODY, "max_tokens": 1_000_000}, key)
    assert huge.status == 402
    # A look at the budgets later, 50 % is true, and it alone is told.
    assert spend(gateway, key, 4) == [200] * 4
    assert world.told(50)
    assert gateway.stop() == 0
