"""kill -9 during load: no row of a completed reply is lost, every upstream call has its OPEN.

TIERWISE_KILLS=20 kills that often.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider

ROUNDS = int(os.environ.get("TIERWISE_KILLS", "4"))


def test_kill9_loses_no_completed_reply(tmp_path: Path) -> None:
    def ok(sent: provider.Sent) -> Iterator[Any]:
        yield provider.whole(200, provider.message())

    upstream = provider.Provider(ok)
    gateway = live.Gateway(tmp_path / "gateway", live.config("anthropic_messages", upstream.port))
    key = gateway.key()
    done: list[str] = []
    stop = threading.Event()
    body = {"model": "tier/haiku", "max_tokens": 10, "messages": [{"role": "user", "content": "x"}]}

    def load() -> None:
        while not stop.is_set():
            try:
                got = live.post(gateway.port, "/anthropic/v1/messages", body, key)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if got.status == 200:
                done.append(got.headers["x-tierwise-exchange"])

    threads = [threading.Thread(target=load) for _ in range(12)]
    for thread in threads:
        thread.start()
    draw = random.Random(7)
    for _ in range(ROUNDS):
        before = len(done)
        assert live.wait_for(lambda n=before: len(done) >= n + 20)
        time.sleep(draw.uniform(0.0, 0.5))
        gateway.kill()
        gateway.start()
    before = len(done)
    assert live.wait_for(lambda: len(done) >= before + 20)
    stop.set()
    for thread in threads:
        thread.join()
    rows = gateway.rows()
    closed = Counter(row["exchange"] for row in rows if row["event"] == "close" and row["outcome"] == "ok")
    assert [exchange for exchange in done if closed[exchange] != 1] == []
    assert sum(row["event"] == "open" for row in rows) >= len(upstream.sent)
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_sigterm_lets_streams_finish(tmp_path: Path) -> None:
    def slow(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for frame in provider.chat_frames(*["word "] * 20):
            yield provider.piece(frame)
            yield 0.05
        yield provider.piece(b"")

    upstream = provider.Provider(slow)
    gateway = live.Gateway(tmp_path / "gateway", live.config("openai_chat", upstream.port))
    key = gateway.key()
    body = {"model": "tier/haiku", "messages": [{"role": "user", "content": "x"}], "stream": True}
    got: list[bytes] = []

    def one() -> None:
        got.append(live.post(gateway.port, "/v1/chat/completions", body, key).body)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    assert live.wait_for(lambda: len(upstream.sent) == 20)
    assert gateway.stop() == 0
    for thread in threads:
        thread.join()
    assert all(text.endswith(b"data: [DONE]\n\n") for text in got)
    assert len(got) == 20
    assert Counter(row["outcome"] for row in gateway.closes()) == {"ok": 20}
    assert gateway.verify() == ""
