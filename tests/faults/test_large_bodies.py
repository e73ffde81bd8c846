"""A request that takes long to translate holds up nobody else."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import live
import provider

CHAT = "/v1/chat/completions"


def test_others_are_answered_while_a_large_request_is_translated(tmp_path: Path) -> None:
    upstream = provider.Provider(lambda _sent: [provider.whole(200, provider.message())])
    gateway = live.Gateway(tmp_path, live.config("anthropic_messages", upstream.port))
    turns = [{"role": "user" if n % 2 else "assistant", "content": "a"} for n in range(1, 100_000)]
    body = json.dumps({"model": "agg/anthropic/claude-haiku-4", "max_tokens": 9, "messages": turns}).encode()
    key, got = gateway.key(), list[live.Got]()
    large = threading.Thread(target=lambda: got.append(live.post(gateway.port, CHAT, body, key)))
    began = time.monotonic()
    large.start()
    longest = 0.0
    while large.is_alive():
        asked = time.monotonic()
        assert live.request(gateway.port, "GET", "/healthz").status == 200
        longest = max(longest, time.monotonic() - asked)
    whole = time.monotonic() - began
    assert got[0].status == 200, got[0].body
    assert len(json.loads(upstream.sent[0].body)["messages"]) == len(turns)
    assert longest < whole / 2, (longest, whole)  # on the loop it is nearly all
    assert gateway.stop() == 0
    upstream.close()
