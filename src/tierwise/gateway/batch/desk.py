"""The desk where files and batches are handed in and collected: paths → what answers. Every key sees only its
own."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from tierwise.batches import BatchStore
from tierwise.dialects.base import Dialect
from tierwise.http1 import Reply, Request

from .. import reply as writing
from ..exchange import Gate
from ..prefixes import bare
from .anthropic import Messages
from .openai import OpenAI
from .runner import Runner
from .visit import Visit

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
                    visit.body = await request.body()
                    status, kind, body = await place.answer(visit, words)
            finally:
                self._gate.admission.leave(caller.key)
        writing.plain(reply, status, body, kind)


def _words(path: str) -> list[str]:
    return [word for word in bare(path).split("/") if word]
