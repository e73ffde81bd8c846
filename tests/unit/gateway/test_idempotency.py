"""What is held for an Idempotency-Key: its memory is bounded by what it takes, not by the words alone."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from tierwise.gateway import idempotency
from tierwise.gateway.idempotency import Replays
from tierwise.http1 import Block

HEAD = [(b"content-type", b"application/json"), (b"x-tierwise-exchange", b"ex_" + b"0" * 32)]


class Asked:
    """A request and the Reply to it; `told` is what it was answered."""

    path, query, body, started = "/v1/chat/completions", "", b"{}", False

    def __init__(self) -> None:
        self.told: tuple[bytes, bytes] = (b"", b"")
        self.caller = self.key = self.request = self
        self.id = "key_1"

    def send(self, status: int, headers: Any, body: bytes) -> None:
        self.told = Block(headers).lines if isinstance(headers, list) else headers.lines, body


async def ask(replays: Replays, token: bytes) -> tuple[bytes, bytes]:
    async def answer(_: Any, reply: Any) -> bool:
        reply.send(200, HEAD, b"answer to " + token)
        return True

    asked: Any = Asked()
    await replays.once(asked, token, asked, answer)
    return asked.told


async def test_small_replies_take_no_more_memory_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MOST_BYTES", 1 << 20)
    replays = Replays()
    tracemalloc.start()
    for number in range(3000):
        await ask(replays, b"token-%032d" % number)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert replays.held <= 1 << 20
    assert 1 << 19 < taken < 1.2 * (1 << 20)
    for number, again in ((2999, True), (0, False), (0, True)):
        head, body = await ask(replays, b"token-%032d" % number)
        assert body == b"answer to token-%032d" % number
        assert (b"x-tierwise-replayed: true\r\n" in head) is again
        assert head.startswith(b"content-type: application/json\r\nx-tierwise-exchange: ex_")
