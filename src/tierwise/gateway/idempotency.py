"""`Idempotency-Key`: a request that is sent again under its key is answered once and paid once.

While the first is under way the others wait for it; afterwards they get the same bytes. A reply that failed
or broke off is not kept: the next one is asked anew. Replies are held in this process alone, for 24 hours at
most and in bounded memory: a replica or a restart knows nothing of them.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import cast

from tierwise.clock import now_us
from tierwise.errors import BadRequest, Unprocessable
from tierwise.http1 import Reply
from tierwise.upstream import Header

from .passing import Passing
from .walk import Walk

KEEP_US = 24 * 3600 * 1_000_000
MOST_BYTES = 64 << 20
"""Of all replies that are held."""
_LARGEST = 2 << 20
_LONGEST = 255
_AGAIN = (b"x-tierwise-replayed", b"true")

Answer = Callable[[Walk, Reply], Awaitable[bool]]
"""Answers a Walk; whether it was answered whole."""


class _Told:
    """A reply as it was sent: whole, or a stream in one piece. `done` once it is known whether it is kept."""

    def __init__(self, mark: bytes, done: asyncio.Future[None]) -> None:
        self.mark = mark
        self.done = done
        self.at_us = now_us()
        self.streamed = False
        self.status = 0
        self.headers: list[Header] = []
        self.body = b""


class Replays:
    """Replies by caller and Idempotency-Key, the oldest first. `held` is their size in bytes."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, bytes], _Told] = OrderedDict()
        self.held = 0

    async def once(self, walk: Walk, token: bytes, reply: Reply, answer: Answer) -> None:
        """Answers `walk` by `answer`, or with what it was told before under this key. Raises Unprocessable
        where the key came with another request."""
        if not 0 < len(token) <= _LONGEST:
            raise BadRequest(f"Idempotency-Key has {len(token)} bytes.", f"Send 1 to {_LONGEST}.")
        name, mark = (walk.caller.key.id, token), _mark(walk)
        while (told := self._told.get(name)) is not None and now_us() - told.at_us < KEEP_US:
            if told.mark != mark:
                raise Unprocessable(
                    "This Idempotency-Key came with another request before.",
                    "Use a new key for a new request.",
                )
            if told.done.done():
                await _replay(told, reply)
                return
            await asyncio.shield(told.done)
        await self._first(name, mark, walk, reply, answer)

    async def _first(
        self, name: tuple[str, bytes], mark: bytes, walk: Walk, reply: Reply, answer: Answer
    ) -> None:
        self._drop(name)
        told = self._told[name] = _Told(mark, asyncio.get_running_loop().create_future())
        heard = _Recorder(reply, told)
        whole = False
        try:
            whole = await answer(walk, cast(Reply, heard))
        finally:
            told.done.set_result(None)
            told.body = heard.body()
            self.held += len(told.body)
            if not whole or heard.size > _LARGEST:
                self._drop(name)
            while self.held > MOST_BYTES or self._stale():
                self._drop(next(iter(self._told)))

    def _stale(self) -> bool:
        oldest = next(iter(self._told.values()), None)
        return oldest is not None and oldest.done.done() and now_us() - oldest.at_us >= KEEP_US

    def _drop(self, name: tuple[str, bytes]) -> None:
        told = self._told.pop(name, None)
        if told is not None:
            self.held -= len(told.body)


class _Recorder(Passing):
    """Stands before a Reply, has its methods, and keeps what passes, up to what is worth keeping."""

    def __init__(self, reply: Reply, told: _Told) -> None:
        super().__init__(reply)
        self._told = told
        self._pieces: list[bytes] = []
        self.size = 0

    def body(self) -> bytes:
        """All that was kept."""
        return b"".join(self._pieces)

    def send(self, status: int, headers: list[Header], body: bytes = b"") -> None:
        """A whole reply."""
        self._told.status, self._told.headers = status, headers
        self._keep(body)
        self._reply.send(status, headers, body)

    def start(self, status: int, headers: list[Header]) -> None:
        """The head of a stream."""
        self._told.status, self._told.headers, self._told.streamed = status, headers, True
        self._reply.start(status, headers)

    async def write(self, data: bytes) -> None:
        """A piece of a stream."""
        self._keep(data)
        await self._reply.write(data)

    def end(self, last: bytes = b"") -> None:
        """The end of a stream."""
        self._keep(last)
        self._reply.end(last)

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > _LARGEST:
            self._pieces.clear()
        else:
            self._pieces.append(data)


async def _replay(told: _Told, reply: Reply) -> None:
    headers = [*told.headers, _AGAIN]
    if told.streamed:
        reply.start(told.status, headers)
        reply.end(told.body)
    else:
        reply.send(told.status, headers, told.body)


def _mark(walk: Walk) -> bytes:
    """What makes a request the same: where it went and every byte of its body."""
    request = walk.request
    head = f"{request.path}?{request.query}\n".encode("utf-8", "surrogateescape")
    return hashlib.sha256(head + walk.body).digest()
