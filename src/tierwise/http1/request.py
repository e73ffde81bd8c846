"""What a caller sent, as the gateway sees it."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Protocol

from tierwise.errors import BadRequest

from .head import Head
from .intake import Chunked, Fixed


class Giver(Protocol):
    """The connection a body comes from."""

    def want_body(self) -> None:
        """Lets the client go on sending: 100 Continue, and reading resumed."""


class Request:
    """One request. `headers` have lower-case names; `path` as sent, without the query.

    `waited_us`: for how long it waited to be begun, microseconds; 0: not at all.

    `attended`: somebody waits for the reply.

    `alike` is scratch that the requests of a connection share while their heads differ in the body's length
    alone: what was worked out from one head need not be again.
    """

    attended: ClassVar[bool] = True
    __slots__ = (
        "_fault", "_first", "_giver", "_waiter", "alike", "headers", "intake", "keep_alive", "method",
        "path", "query", "unanswered_expect", "waited_us",
    )  # fmt: skip

    def __init__(self, head: Head, intake: Fixed | Chunked, giver: Giver) -> None:
        self.method = head.method
        self.path = head.path
        self.query = head.query
        self.headers = head.headers
        self.alike = head.alike
        self.keep_alive = head.keep_alive
        self.intake = intake
        self.unanswered_expect = head.expects and not intake.done
        self.waited_us = 0
        self._first = head.first
        self._giver = giver
        self._fault: BadRequest | None = None
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of the header, by its lower-case name."""
        return self._first.get(name)

    def whole(self) -> bytes | None:
        """The whole body if it is here; None: `body` has to be awaited."""
        return self.intake.body() if self.intake.done else None

    async def body(self) -> bytes:
        """The whole body, without suspending when it is already here.

        TooLarge over the limit; BadRequest when it is malformed, or (status 408) when it comes too slowly.
        """
        intake = self.intake
        if not intake.done:
            await self._come(intake)
        return intake.body()

    async def take(self) -> bytes | bytearray:
        """As `body`, for once: nothing of it is held here any more, nor was copied."""
        if not self.intake.done:
            await self._come(self.intake)
        return self.intake.take()

    async def _come(self, intake: Fixed | Chunked) -> None:
        self._giver.want_body()
        while not intake.done:
            if self._fault is not None:
                raise self._fault
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    def arrived(self, fault: BadRequest | None = None) -> None:
        """The server's word that the body is complete, or that it never will be."""
        self._fault = fault
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
