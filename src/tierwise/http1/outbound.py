"""One client connection to an upstream: a call out, its reply in."""

from __future__ import annotations

import asyncio
import select
from math import inf
from typing import Protocol, cast

import httptools

from tierwise.errors import UpstreamBroke, UpstreamError, UpstreamTimeout
from tierwise.nouns.origin import Origin

from .response import Response
from .sweeper import Sweeper

_HEAD_LIMIT = 131072
_HEADERS_LIMIT = 256
_FRESH_S = 1.0


class Stock(Protocol):
    """Where connections go between calls."""

    sweeper: Sweeper
    idle_s: float

    def keep(self, outbound: Outbound) -> bool:
        """Takes an idle connection; False when there are enough."""

    def forget(self, outbound: Outbound) -> None:
        """The connection has ended."""


class Outbound(asyncio.Protocol):
    """Carries one call at a time. While idle it ends itself when the upstream closes or says anything."""

    __slots__ = (
        "_complete", "_extra", "_head_bytes", "_head_only", "_headers", "_idle_s", "_loop", "_parser",
        "_pieces", "_reading", "_reusable", "_since", "_status", "_stock", "_transport",
        "deadline", "lost", "origin", "response",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, origin: Origin, stock: Stock, loop: asyncio.AbstractEventLoop) -> None:
        self.origin = origin
        self.response: Response | None = None
        self.deadline = inf
        self.lost = False
        self._stock = stock
        self._loop = loop
        self._parser: httptools.HttpResponseParser | None = None
        self._since = 0.0
        self._reading = True
        self._reusable = False
        self._begin_reply()

    def _begin_reply(self) -> None:
        self._status = 0  # 0 until the head is complete
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._head_bytes = 0
        self._complete = False
        self._extra = False

    # --- the pool's calls

    def alive(self) -> bool:
        """Whether an idle connection can be used, as far as this side can know."""
        if self.lost or self._transport.is_closing():
            return False
        if self._loop.time() - self._since < _FRESH_S:
            return True
        # After a pause the upstream may have closed while the event loop was busy elsewhere.
        sock = self._transport.get_extra_info("socket")
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN)
        return not poll.poll(0)

    def send(self, data: tuple[bytes, ...], head_only: bool, waits: tuple[float, float]) -> Response | None:
        """Writes a call; `waits` are the first-byte and idle timeouts. None when the bytes were refused."""
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._begin_reply()
        self._head_only = head_only
        self._idle_s = waits[1]
        response = self.response = Response(self)
        self.deadline = deadline = self._loop.time() + waits[0]
        self._stock.sweeper.hasten(deadline)
        if len(data) == 1:
            self._transport.write(data[0])
        else:
            self._transport.writelines(data)
        if self._transport.is_closing():
            self.response = None
            return None
        return response

    def abort(self) -> None:
        self.deadline = inf
        if not self.lost:
            self._transport.abort()

    # --- the response's calls

    def wait_starts(self) -> None:
        self.deadline = deadline = self._loop.time() + self._idle_s
        self._stock.sweeper.hasten(deadline)

    def wait_ends(self) -> None:
        if self.response is not None:
            self.deadline = inf

    def hold_back(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def go_on(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def part_with(self, whole: bool) -> None:
        self.response = None
        if self.lost:
            return
        if not whole or not self._reusable or self._transport.get_write_buffer_size():
            self.abort()
            return
        self.go_on()
        self._since = self._loop.time()
        self.deadline = self._since + self._stock.idle_s
        if self._stock.keep(self):
            self._stock.sweeper.hasten(self.deadline)
        else:
            self._transport.close()

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._stock.sweeper.add(self)

    def data_received(self, data: bytes) -> None:
        response = self.response
        if response is None:
            self.abort()  # nothing was asked: these bytes cannot be trusted to answer the next call
            return
        if self._complete:
            self._reusable = False
            return
        if not self._status:
            self._head_bytes += len(data)
        assert self._parser is not None
        error: UpstreamError | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            error = UpstreamBroke("The provider switched protocols, which was not asked for.")
        except httptools.HttpParserError:
            if self._complete:
                self._extra = True
            else:
                error = UpstreamBroke("The provider's reply is not well-formed HTTP.")
        if not response.status and error is None and self._head_too_long():
            error = UpstreamBroke("The head of the provider's reply is too long.")
            self._status = 0
        self._deliver(response, error)

    def eof_received(self) -> bool:
        response = self.response
        if response is not None and not self._complete and self._until_close():
            self._complete = True
            response.done = True
            self._reusable = False
            response.wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.deadline = inf
        self._parser = None
        self._stock.sweeper.discard(self)
        self._stock.forget(self)
        response, self.response = self.response, None
        if response is not None and not self._complete:
            begun = self._status or self._head_bytes
            where = "in the middle of its reply" if begun else "before its reply"
            how = "reset" if exc is not None else "closed"
            response.failed(UpstreamBroke(f"The provider {how} the connection {where}."))

    def expire(self, now: float) -> None:
        self.deadline = inf
        response, self.response = self.response, None
        if response is not None:
            what = "went silent in the middle of its reply" if self._status else "did not answer in time"
            response.failed(UpstreamTimeout(f"The provider {what}."))
        self.abort()

    # --- the parser's calls

    def on_message_begin(self) -> None:
        if self._complete:
            self._extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:
            self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        if self._complete:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._headers = []  # an interim reply: the real one follows
            return
        self._status = status
        self._reusable = self._parser.should_keep_alive()
        if self._head_only:
            self._complete = True
            self._reusable = self._reusable and not self._until_close()

    def on_body(self, data: bytes) -> None:
        if self._complete:
            self._extra = True
        else:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        if self._status:
            self._complete = True

    # --- inside

    def _deliver(self, response: Response, error: UpstreamError | None) -> None:
        if self._status and not response.status:
            self.deadline = inf
            try:
                response.opened(self._status, self._headers)
            except UpstreamError as refused:
                error = refused
        if self._pieces:
            pieces, self._pieces = self._pieces, []
            response.came(pieces)
        if error is not None:
            self.response = None
            response.failed(error)
            self.abort()
            return
        if self._complete:
            response.done = True
            self.deadline = inf
            if self._head_only:
                self._parser = None  # it still expects the body that a reply to HEAD does not have
            if self._extra:
                self._reusable = False
        response.wake()

    def _head_too_long(self) -> bool:
        if len(self._headers) > _HEADERS_LIMIT:
            return True
        # Of a complete head only its own bytes count: the same read may have brought a large body.
        return self._head_bytes > _HEAD_LIMIT and (
            not self._status or sum(len(name) + len(value) for name, value in self._headers) > _HEAD_LIMIT
        )

    def _until_close(self) -> bool:
        """Whether the body ends where the connection does."""
        return bool(self._status) and not any(
            name in (b"content-length", b"transfer-encoding") for name, _ in self._headers
        )
