"""A request that takes long to read or to translate holds up nobody else."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import live
import provider

CHAT = "/v1/chat/completions"
RESPONSES = "/v1/responses"


def longest_wait(gateway: live.Gateway, path: str, body: dict[str, Any]) -> float:
    """The longest that others waited for an answer while `body` was on its way, as a share of all of it."""
    key, got = gateway.key(), list[live.Got]()
    sent = json.dumps(body).encode()
    large = threading.Thread(target=lambda: got.append(live.post(gateway.port, path, sent, key)))
    began = time.monotonic()
    large.start()
    longest = 0.0
    while large.is_alive():
        asked = time.monotonic()
        assert live.request(gateway.port, "GET", "/healthz").status == 200
        longest = max(longest, time.monotonic() - asked)
    assert got[0].status == 200, got[0].body
    return longest / (time.monotonic() - began)


def test_others_are_answered_while_a_large_request_is_translated(tmp_path: Path) -> None:
    upstream = provider.Provider(lambda _sent: [provider.whole(200, provider.message())])
    gateway = live.Gateway(tmp_path, live.config("anthropic_messages", upstream.port))
    turns = [{"role": "user" if n % 2 else "assistant", "content": "a"} for n in range(1, 100_000)]
    body = {"model": "agg/anthropic/claude-haiku-4", "max_tokens": 9, "messages": turns}
    assert longest_wait(gateway, CHAT, body) < 1 / 2  # on the loop it is nearly all
    assert len(json.loads(upstream.sent[0].body)["messages"]) == len(turns)
    assert gateway.stop() == 0
    upstream.close()


def test_others_are_answered_while_a_large_request_is_read(tmp_path: Path) -> None:
    answer = {"id": "r", "object": "response", "status": "completed", "model": "m", "output": []}
    upstream = provider.Provider(lambda _sent: [provider.whole(200, answer)])
    gateway = live.Gateway(tmp_path, live.config("openai_responses", upstream.port))
    items = [{"role": "user", "content": "a"}] * 300_000
    assert longest_wait(gateway, RESPONSES, {"model": "agg/anthropic/claude-haiku-4", "input": items}) < 1 / 2
    assert gateway.stop() == 0
    upstream.close()
