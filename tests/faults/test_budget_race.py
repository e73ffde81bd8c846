"""200 concurrent calls on a budget for ten: at most ten reach the provider, and nothing is overspent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider

COST = 800 * 10**6 + 50 * 5 * 10**6
BODY = {"model": "tier/haiku", "max_tokens": 50, "messages": [{"role": "user", "content": "ticket " * 780}]}


def answer(sent: provider.Sent) -> Iterator[Any]:
    yield provider.whole(200, provider.chat())


def test_a_budget_for_ten_lets_ten_through_at_most(tmp_path: Path) -> None:
    """litellm#34732."""
    upstream = provider.Provider(answer)
    gateway = live.Gateway(tmp_path / "g", live.config("openai_chat", upstream.port))
    key = gateway.key("--budget-usd", "0.0105")
    got: list[live.Got] = []

    def one() -> None:
        got.append(live.post(gateway.port, "/v1/chat/completions", BODY, key))

    threads = [threading.Thread(target=one) for _ in range(200)]
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
    assert sum(row["cost_pico"] for row in gateway.closes()) == len(served) * COST <= 10_500_000_000
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_no_answer_crosses_from_one_key_to_another(tmp_path: Path) -> None:
    """litellm#29955."""
    upstream = provider.Provider(answer)
    gateway = live.Gateway(tmp_path / "g", live.config("openai_chat", upstream.port))
    for key in (gateway.key(), gateway.key()):
        assert live.post(gateway.port, "/v1/chat/completions", BODY, key).status == 200
    assert len(upstream.sent) == 2
    assert len({row["key"] for row in gateway.closes()}) == 2
    assert gateway.stop() == 0
