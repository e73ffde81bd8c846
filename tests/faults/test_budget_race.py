"""200 concurrent calls on a budget for ten: at most ten reach the provider, and nothing is overspent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider
from postgres import Postgres, postgres  # noqa: F401  a fixture

COST = 800 * 10**6 + 50 * 5 * 10**6
BODY = {"model": "tier/haiku", "max_tokens": 50, "messages": [{"role": "user", "content": "ticket " * 780}]}


def answer(sent: provider.Sent) -> Iterator[Any]:
    yield provider.whole(200, provider.chat())


def race(gateways: list[live.Gateway], upstream: provider.Provider) -> None:
    """200 calls at once, dealt out to `gateways` of one ledger, of which the budget allows ten."""
    key = gateways[0].key("--budget-usd", "0.0105")
    for gateway in gateways:
        # A replica learns of a new key within a moment.
        assert live.wait_for(lambda at=gateway: at.knows(key))
    got: list[live.Got] = []

    def one(port: int) -> None:
        got.append(live.post(port, "/v1/chat/completions", BODY, key))

    threads = [threading.Thread(target=one, args=[gateways[n % len(gateways)].port]) for n in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    served = [g for g in got if g.status == 200]
    refused = [g for g in got if g.status != 200]
    assert 1 <= len(served) <= 10
    assert len(upstream.sent) == len(served)
    assert {g.status for g in refused} == {402}
    assert all(g.headers["x-should-retry"] == "false" and "retry-after" not in g.headers for g in refused)
    assert sum(row["cost_pico"] for row in gateways[0].closes()) == len(served) * COST <= 10_500_000_000
    assert gateways[0].verify() == ""
    assert [gateway.stop() for gateway in gateways] == [0] * len(gateways)


def test_a_budget_for_ten_lets_ten_through_at_most(tmp_path: Path) -> None:
    """litellm#34732."""
    upstream = provider.Provider(answer)
    race([live.Gateway(tmp_path / "g", live.config("openai_chat", upstream.port))], upstream)


def test_so_it_does_on_two_replicas(tmp_path: Path, postgres: Postgres) -> None:  # noqa: F811
    upstream, url = provider.Provider(answer), postgres.new_url()
    toml = live.config("openai_chat", upstream.port)
    race([live.Gateway(tmp_path / name, toml, db=url) for name in "ab"], upstream)


def test_no_answer_crosses_from_one_key_to_another(tmp_path: Path) -> None:
    """litellm#29955."""
    upstream = provider.Provider(answer)
    gateway = live.Gateway(tmp_path / "g", live.config("openai_chat", upstream.port))
    for key in (gateway.key(), gateway.key()):
        assert live.post(gateway.port, "/v1/chat/completions", BODY, key).status == 200
    assert len(upstream.sent) == 2
    assert len({row["key"] for row in gateway.closes()}) == 2
    assert gateway.stop() == 0
