"""The server side of HTTP/1.1: strict, pipelining in order, with back-pressure both ways."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from email.utils import formatdate

import msgspec

from tierwise.clock import now_us
from tierwise.errors import Overloaded, TierwiseError

from .head import Headers
from .inbound import Inbound
from .limits import Limits
from .line import Line, Spread
from .listening import Listening
from .reply import Handler, Reply
from .request import Request
from .sweeper import Sweeper

_logger = logging.getLogger("tierwise.http1")
_LAST_WORDS_S = 1.0
WriteError = Callable[[Request | None, TierwiseError], tuple[int, Headers, bytes]]


def plain_error(request: Request | None, error: TierwiseError) -> tuple[int, Headers, bytes]:
    """The default error reply: status, headers and `{"error": {"message", "type"}}`."""
    body = msgspec.json.encode({"error": {"message": error.sentence(), "type": error.kind}})
    return error.status, [(b"content-type", b"application/json")], body


class Server:
    """Listens on one address and answers every request by `handle`, one task each.

    The task starts when the head is complete, and is cancelled when the client leaves before the reply has
    ended (a client that closes its sending side counts as gone). `write_error` shapes protocol faults and
    expected errors.
    """

    def __init__(
        self, handle: Handler, limits: Limits | None = None, write_error: WriteError | None = None
    ) -> None:
        self.handle = handle
        self.limits = limits or Limits()
        self.write_error = write_error or plain_error
        self.line = Line(self.limits.at_once)
        self.turned_away = Spread()
        self.port = 0
        self.draining = False
        self.inbound: set[Inbound] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self._listening: Listening | None = None
        self._sweeper: Sweeper | None = None
        self._quiet: asyncio.Future[None] | None = None
        self._date_at = 0
        self._date = b""

    @property
    def in_flight(self) -> int:
        """Requests that are being answered, or wait in line."""
        return len(self.tasks) + len(self.line.waiting)

    async def start(self, host: str, port: int) -> None:
        """Listens; `port` 0 takes a free one, which `self.port` then names. OSError if it is in use."""
        loop = asyncio.get_running_loop()
        self._sweeper = sweeper = Sweeper(loop)
        self._listening = listening = Listening(lambda: Inbound(self, loop, sweeper))
        self.port = await listening.open(host, port)

    async def drain(self, timeout_s: float) -> int:
        """Stops accepting, closes idle connections, waits for running requests; how many were cut.

        Those left at `timeout_s` are cancelled, and have a second to say so (`Reply.stopping`) before their
        connections are reset.
        """
        self.draining = True
        if self._listening is not None:
            self._listening.close()
        for inbound in tuple(self.inbound):
            inbound.close_if_idle()
        deadline = asyncio.get_running_loop().time() + timeout_s
        await self._wait_until_gone(deadline)
        cut = self.in_flight
        for inbound in tuple(self.inbound):
            inbound.stop()
        await self._wait_until_gone(asyncio.get_running_loop().time() + _LAST_WORDS_S)
        for inbound in tuple(self.inbound):
            inbound.cut(hard=True)
        if self.tasks:
            await asyncio.wait(tuple(self.tasks), timeout=1.0)
        return cut

    async def turn_away(self, request: Request, reply: Reply) -> None:
        """Refuses a request when too many wait already."""
        raise Overloaded(
            f"{self.limits.max_waiting} requests wait here already.",
            "Retry in a moment.",
            self.turned_away.next_s(),
        )

    async def close(self) -> None:
        """Ends everything now."""
        await self.drain(0)
        if self._sweeper is not None:
            self._sweeper.stop()

    async def _wait_until_gone(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        while (self.inbound or self.tasks) and (left := deadline - loop.time()) > 0:
            self._quiet = loop.create_future()
            await asyncio.wait((self._quiet,), timeout=left)

    def changed(self) -> None:
        """The connections' word that one of them, or a task, has ended."""
        if self._quiet is not None and not self._quiet.done():
            self._quiet.set_result(None)

    def date_line(self) -> bytes:
        """The Date header with its CRLF, made once a second."""
        second = now_us() // 1_000_000
        if second != self._date_at:
            self._date_at = second
            self._date = f"date: {formatdate(second, usegmt=True)}\r\n".encode()
        return self._date

    def error_parts(self, request: Request | None, error: TierwiseError) -> tuple[int, Headers, bytes]:
        """What `write_error` makes of an error; the default shape when it fails itself."""
        try:
            return self.write_error(request, error)
        except Exception:  # recorded: log
            _logger.exception("write_error failed")
            return plain_error(request, error)
