"""What goes back to a caller."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from tierwise.errors import TierwiseError

from .head import Block, Headers, header_block, status_line
from .request import Request

Handler = Callable[[Request, "Reply"], Awaitable[None]]
"""Answers one request."""
_SMALL = 16384
_BODILESS = frozenset((204, 304))


class Taker(Protocol):
    """The connection a reply goes to."""

    def keeps(self, delimited: bool) -> bool:
        """Settles whether the connection will be used again; `delimited`: the reply shows where it ends."""

    def date_line(self) -> bytes:
        """The Date header with its CRLF."""

    def put(self, data: bytes) -> None: ...

    def put_lines(self, lines: Iterable[bytes]) -> None: ...

    def room(self) -> asyncio.Future[None] | None:
        """None, or while too much is unsent, what to wait for."""

    def reply_ended(self) -> None: ...

    def cut(self, hard: bool) -> None: ...


class Reply:
    """One reply, sent whole by `send`, or in pieces by `start`, `write`, `end`.

    `started` is True once its head is on its way; `ended` once its last byte is; `stopping` once its handler
    is cancelled because the server ends, and not because the client left. After the client has gone every
    call does nothing.
    """

    __slots__ = ("_bodiless", "_chunked", "_head_only", "_minor", "_taker", "ended", "started", "stopping")

    def __init__(self, taker: Taker, head_only: bool, minor: int) -> None:
        self.started = False
        self.ended = False
        self.stopping = False
        self._taker = taker
        self._head_only = head_only
        self._minor = minor
        self._chunked = False
        self._bodiless = False

    def send(self, status: int, headers: Headers | Block, body: bytes = b"") -> None:
        """The whole reply; Content-Length is added. BadHeader for CR, LF or NUL in a header."""
        self._bodiless = status in _BODILESS
        framing = b"" if self._bodiless else b"content-length: %d\r\n" % len(body)
        head = self._open(status, headers, framing, self._taker.keeps(True))
        if self._head_only or self._bodiless or not body:
            self._taker.put(head)
        elif len(body) <= _SMALL:
            self._taker.put(head + body)
        else:
            self._taker.put_lines((head, body))
        self.ended = True
        self._taker.reply_ended()

    def start(self, status: int, headers: Headers | Block, size: int | None = None) -> None:
        """The head of a reply whose body follows in pieces, of `size` bytes in all where that is known.
        BadHeader as in `send`."""
        self._bodiless = status in _BODILESS
        self._chunked = self._minor == 1 and not self._bodiless and size is None
        keep = self._taker.keeps(size is not None or self._chunked or self._bodiless or self._head_only)
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        if size is not None:
            framing = b"content-length: %d\r\n" % size
        self._taker.put(self._open(status, headers, framing, keep))

    async def write(self, data: bytes) -> None:
        """The next piece of the body. Suspends while the client reads too slowly."""
        if not self.started or self.ended:
            raise TierwiseError("A body was written outside of its reply.")
        if not data or self._head_only or self._bodiless:
            return
        if not self._chunked:
            self._taker.put(data)
        elif len(data) <= _SMALL:
            self._taker.put(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            self._taker.put_lines((b"%x\r\n" % len(data), data, b"\r\n"))
        room = self._taker.room()
        if room is not None:
            await room

    def end(self, last: bytes = b"") -> None:
        """Completes the body, with its `last` piece in the same write."""
        if self.ended or not self.started:
            return
        silent = self._head_only or self._bodiless
        if self._chunked and not silent:
            piece = b"%x\r\n%b\r\n" % (len(last), last) if last else b""
            self._taker.put(piece + b"0\r\n\r\n")
        elif last and not silent:
            self._taker.put(last)
        self.ended = True
        self._taker.reply_ended()

    def abort(self) -> None:
        """Ends the connection so that the client notices that the body is incomplete.

        What was written is still sent where the framing shows the loss (chunked); else it is a reset. The
        handler goes on: it is not cancelled for what it did itself.
        """
        if not self.ended:
            self.ended = True
            self._taker.cut(hard=not self._chunked or self._head_only)

    def _open(self, status: int, headers: Headers | Block, framing: bytes, keep: bool) -> bytes:
        if self.started:
            raise TierwiseError("A reply was started twice.")
        if keep:
            connection = b"" if self._minor else b"connection: keep-alive\r\n"
        else:
            connection = b"connection: close\r\n"
        block = header_block(headers)
        self.started = True
        return b"".join((status_line(status), self._taker.date_line(), block, framing, connection, b"\r\n"))
