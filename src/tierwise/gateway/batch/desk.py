"""The desk where files and batches are handed in and collected: paths → what answers. Every key sees only its
own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import parse_qsl

import msgspec

from tierwise.batches import BatchStore
from tierwise.dialects.base import Dialect
from tierwise.http1 import Reply, Request

from .. import reply as writing
from ..exchange import Gate
from ..mounts import bare
from .anthropic import Messages
from .openai import OpenAI
from .paths import endpoint_of
from .runner import Runner
from .visit import Pieces, Visit

_MADE = (["batches"], ["messages", "batches"])
"""Where a batch is made."""
_AT_ONCE = 2
"""Bodies read at the same time: each may be as large as a file."""


class Desk:
    """Answers `/files…`, `/batches…` and `/messages/batches…`."""

    def __init__(self, gate: Gate, store: BatchStore, runner: Runner) -> None:
        self._gate = gate
        self._openai = OpenAI(gate, store, runner)
        self._messages = Messages(gate, store, runner)
        self._reading = asyncio.Semaphore(_AT_ONCE)

    def knows(self, path: str) -> bool:
        """Whether the desk answers there."""
        return _words(path)[:1] in (["files"], ["batches"]) or _words(path)[:2] == ["messages", "batches"]

    async def answer(self, request: Request, reply: Reply, surface: Dialect) -> None:
        """Answers one request, which `knows` its path. Raises TierwiseError for the caller to be told."""
        caller = self._gate.callers.of(request)
        visit = Visit(request, caller, surface, dict(parse_qsl(request.query)))
        words = _words(request.path)
        place = self._messages if words[0] == "messages" else self._openai
        if request.method != "POST":
            status, kind, body = await place.answer(visit, words)
        else:
            pending = self._gate.admission.enter(caller.key)
            if pending is not None:
                await pending
            try:
                async with self._reading:
                    visit.body = await request.take()
                    if words in _MADE:
                        await self._once(visit, reply, partial(_made, place, words))
                        return
                    status, kind, body = await place.answer(visit, words)
            finally:
                self._gate.admission.leave(caller.key)
        if isinstance(body, bytes):
            writing.plain(reply, status, body, kind)
        else:
            await _in_pieces(reply, status, body, kind)

    def takes_later(self, request: Request) -> bool:
        """Whether a call asks for a handle now and its answer later, and is one that can wait."""
        asked = (request.header(b"prefer") or b"").lower().split(b",")
        named = [each.partition(b";")[0].strip() for each in asked]
        return b"respond-async" in named and bool(endpoint_of(request.path))

    async def later(self, request: Request, reply: Reply, surface: Dialect) -> None:
        """202 with a batch of this one call, in the caller's dialect. Raises TierwiseError."""
        caller = self._gate.callers.of(request)
        visit = Visit(request, caller, surface, {})
        pending = self._gate.admission.enter(caller.key)
        if pending is not None:
            await pending
        try:
            visit.body = await request.body()
            await self._once(visit, reply, self._single)
        finally:
            self._gate.admission.leave(caller.key)

    async def _once(
        self, visit: Visit, reply: Reply, answer: Callable[[Visit, Reply], Awaitable[bool]]
    ) -> None:
        """Answers a visit that makes a batch; one that is sent again under its Idempotency-Key makes none."""
        token = visit.request.header(b"idempotency-key")
        if token is None:
            await answer(visit, reply)
        else:
            await self._gate.replays.once(visit, token, reply, answer)

    async def _single(self, visit: Visit, reply: Reply) -> bool:
        place = self._messages if visit.surface.name == "anthropic_messages" else self._openai
        path = visit.request.path
        batch, told = await place.one(visit, endpoint_of(path))
        where = path.removesuffix(bare(path)) + f"{place.PATH}/{batch.id}"
        headers = [
            (b"content-type", b"application/json"),
            (b"location", where.encode("ascii", "replace")),
            (b"preference-applied", b"respond-async"),
        ]
        reply.send(202, headers, msgspec.json.encode(told))
        return True


async def _made(place: Messages | OpenAI, words: list[str], visit: Visit, reply: Reply) -> bool:
    status, kind, body = await place.answer(visit, words)
    assert isinstance(body, bytes)
    writing.plain(reply, status, body, kind)
    return True


async def _in_pieces(reply: Reply, status: int, told: Pieces, kind: bytes) -> None:
    """Sends each piece as it comes. Raises what the first one raises, before the reply has begun; later the
    reply is cut, so that it does not look whole."""
    piece = await anext(told.pieces, b"")
    reply.start(status, [(b"content-type", kind)], told.size)
    while piece and not reply.ended:
        await reply.write(piece)
        piece = await anext(told.pieces, b"")
    reply.end()


def _words(path: str) -> list[str]:
    return [word for word in bare(path).split("/") if word]
