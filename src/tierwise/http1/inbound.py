"""One client connection of the server: bytes in, one request at a time to the handler, its reply out."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Awaitable, Iterable
from math import inf
from typing import Protocol, cast

from tierwise.clock import tick_us
from tierwise.errors import BadRequest, Overloaded, TierwiseError, TooLarge

from .head import Head, Headers, Last, head_too_long, line_only, read_head
from .intake import Chunked, Fixed, too_slow
from .limits import Limits
from .line import Line
from .reply import Handler, Reply
from .request import Request
from .sweeper import Sweeper

_logger = logging.getLogger("tierwise.http1")
_AHEAD = 65536  # bytes read beyond the current request before reading pauses
_BODY_AHEAD = 262144  # bytes of body read before the handler asks for it
_SKIM = 65536  # bytes of an unread body that are thrown away to keep the connection
_REMEMBERED = 4096  # bytes of a head worth keeping for the requests after it
_LINGER_S = 2.0
_PROGRESS = 4096  # bytes of body that restart the clock of a slow client


class Front(Protocol):
    """What a connection knows of its server."""

    limits: Limits
    draining: bool
    line: Line
    tasks: set[asyncio.Task[None]]
    inbound: set[Inbound]

    def handle(self, request: Request, reply: Reply, /) -> Awaitable[None]: ...

    def turn_away(self, request: Request, reply: Reply, /) -> Awaitable[None]: ...

    def date_line(self) -> bytes: ...

    def error_parts(self, request: Request | None, error: TierwiseError) -> tuple[int, Headers, bytes]: ...

    def changed(self) -> None: ...


class Inbound(asyncio.Protocol):
    """One client connection. Knows at most one request at a time; bytes beyond it wait in `_held`."""

    __slots__ = (
        "_begun", "_blocked", "_closing", "_front", "_held", "_keep", "_last", "_loop", "_lost", "_marked",
        "_queued", "_reading", "_reply", "_request", "_scanned", "_skimming", "_stalled", "_sweeper",
        "_task", "_transport", "_unsent", "_wanted", "deadline",
    )  # fmt: skip

    _transport: asyncio.Transport

    def __init__(self, front: Front, loop: asyncio.AbstractEventLoop, sweeper: Sweeper) -> None:
        self._front = front
        self._loop = loop
        self._sweeper = sweeper
        self._held = b""
        self._last: Last | None = None
        self._scanned = 0  # bytes of _held known not to hold the end of a head
        self._request: Request | None = None
        self._reply: Reply | None = None
        self._task: asyncio.Task[None] | None = None
        self._blocked: asyncio.Future[None] | None = None
        self._begun = False  # the task has taken its first step
        self._queued = False  # the request waits in line
        self._stalled = False  # the next request waits until the replies before it are read
        self._skimming = False  # the reply is out, the rest of its request's body is thrown away
        self._closing = False  # nothing more is read as requests
        self._lost = False
        self._keep = True
        self._reading = True
        self._wanted = False  # the body is being waited for
        self._marked = 0  # body size at the last progress
        self._unsent = 0
        self.deadline = inf

    # --- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass
        self._transport = transport
        limits = self._front.limits
        transport.set_write_buffer_limits(high=limits.write_high_water)
        self.deadline = self._loop.time() + limits.header_timeout_s
        self._sweeper.add(self)
        if len(self._front.inbound) < limits.max_connections:
            self._front.inbound.add(self)
        else:  # while it is told so it takes nobody's place
            self._refuse(Overloaded("Too many connections are open here.", "Retry in a moment."))

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._closing = True
        self._held = b""
        self._sweeper.discard(self)
        self._front.inbound.discard(self)
        self._cancel()
        self._front.changed()

    def eof_received(self) -> bool:
        self._closing = True
        self._cancel()
        return False  # the transport sends what is left and closes

    def pause_writing(self) -> None:
        self._blocked = self._loop.create_future()
        self._unsent = self._transport.get_write_buffer_size()
        self._set_deadline(self._front.limits.write_idle_s)

    def resume_writing(self) -> None:
        blocked, self._blocked = self._blocked, None
        if blocked is not None and not blocked.done():
            blocked.set_result(None)
        if self._stalled:
            self._stalled = False
            self._next()
        elif self._request is not None and not self._closing:
            self.deadline = inf
            if not self._request.intake.done:
                self._set_deadline(self._front.limits.body_idle_s)

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        request = self._request
        if request is None:
            self._read(self._held + data if self._held else data)
        elif not request.intake.done:
            self._read_body(request, data)
        else:
            self._hold(data)

    # --- reading

    def _read(self, data: bytes) -> None:
        """Begins the next request if its head is complete in `data`, which starts with it."""
        if data.startswith(b"\r\n"):
            data = data[2:]  # one empty line before a request is allowed
            self._scanned = 0
        end = data.find(b"\r\n\r\n", self._scanned) + 4
        if end < 4:
            return self._partial(data)
        self._scanned = 0
        front = self._front
        limits = front.limits
        raw, head = data[:end], None
        try:
            if end > limits.max_header_bytes:
                raise head_too_long(limits.max_header_bytes)
            head = self._last.again(raw) if self._last is not None else None
            if head is None:
                head = read_head(raw, limits.max_headers)
                self._last = Last(raw, head) if end <= _REMEMBERED else None
            intake, self._held = self._take_body(head, data, end)
        except BadRequest as error:
            return self._refuse(error, head or line_only(raw))
        request = self._request = Request(head, intake, self)
        reply = self._reply = Reply(self, head.method == "HEAD", head.minor)
        self._begun = False
        self.deadline = inf
        if not intake.done:
            self._wanted = False
            self._marked = 0
            self._set_deadline(limits.body_idle_s)
            self._brake(request)
        elif len(self._held) > _AHEAD:
            self._pause()
        line, handle = front.line, front.handle
        if line.fresh >= line.most and head.method == "POST":
            if len(line.waiting) < limits.max_waiting:
                self._queued = True
                request.waited_us = -tick_us()
                line.waiting.append(self)
                return None
            handle = front.turn_away
        line.fresh += 1
        task = self._task = self._loop.create_task(self._answer(request, reply, handle))
        front.tasks.add(task)
        return None

    def begin(self) -> None:
        """Starts the request that waits in line, unless its client has gone."""
        front, request, reply = self._front, self._request, self._reply
        if self._queued and request is not None and reply is not None:
            self._queued = False
            request.waited_us += tick_us()
            front.line.fresh += 1
            answer = self._answer(request, reply, front.handle)
            task = self._task = self._loop.create_task(answer)
            front.tasks.add(task)

    def _partial(self, data: bytes) -> None:
        limit = self._front.limits.max_header_bytes
        if len(data) > limit:
            return self._refuse(head_too_long(limit), line_only(data))
        # Refused at once, since the blank line that would end such a head may never come.
        if data and data != b"\r" and not data[:1].isalpha():
            return self._refuse(BadRequest("This is not an HTTP request."))
        fresh = self._scanned
        if data.count(b"\n", fresh) != data.count(b"\r\n", max(0, fresh - 1)):
            return self._refuse(BadRequest("A line of the request head ends without CR."), line_only(data))
        if data and not self._held:
            self._set_deadline(self._front.limits.header_timeout_s)
        self._held = data
        self._scanned = max(0, len(data) - 3)
        return None

    def _take_body(self, head: Head, data: bytes, at: int) -> tuple[Fixed | Chunked, bytes]:
        """The body's intake, fed with what is here, and what came after the body."""
        limit = self._front.limits.max_body
        length = head.length
        if length is None or length > limit:
            limit = self._front.limits.most_body(head.path)
        if length is None:
            chunked = Chunked(limit)
            return chunked, chunked.feed(data[at:])
        if length > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes.")
        end = at + length
        if end <= len(data):
            return Fixed.whole(data[at:end]), data[end:]
        fixed = Fixed(length)
        fixed.feed(data[at:])
        return fixed, b""

    def _read_body(self, request: Request, data: bytes) -> None:
        intake = request.intake
        request.unanswered_expect = False
        try:
            rest = intake.feed(data)
        except BadRequest as error:
            self._spoil(request, error)
            return
        if not intake.done:
            if intake.size - self._marked >= _PROGRESS:
                self._marked = intake.size
                self._set_deadline(self._front.limits.body_idle_s)
            self._brake(request)
            return
        if self._blocked is None:
            self.deadline = inf
        if rest:
            self._hold(rest)
        if self._skimming:
            self._next()
        else:
            request.arrived()

    def _spoil(self, request: Request, error: BadRequest) -> None:
        """The body will never be complete. The handler hears of it when it asks for the body."""
        self._closing = True
        self.deadline = inf
        if self._skimming:
            self._linger()
        else:
            request.arrived(error)

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > _AHEAD:
            self._pause()

    def _brake(self, request: Request) -> None:
        """Pauses reading a large body that nobody has asked for: the caller may yet be refused."""
        if not self._wanted and request.intake.size > _BODY_AHEAD:
            self._pause()
            self.deadline = inf

    def _pause(self) -> None:
        if self._reading and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._reading and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    def want_body(self) -> None:
        request = self._request
        if request is None or self._closing:
            return
        self._wanted = True
        if request.unanswered_expect:
            request.unanswered_expect = False
            self.put(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._set_deadline(self._front.limits.body_idle_s)
        self._resume()

    # --- answering

    async def _answer(self, request: Request, reply: Reply, handle: Handler) -> None:
        self._begun = True
        line = self._front.line
        line.fresh -= 1
        if line.waiting:
            line.advance()
        error: TierwiseError | None = None
        try:
            await handle(request, reply)
            if not reply.ended and not self._lost:
                error = TierwiseError("The reply was never completed.")
                _logger.error("%s %s: the handler left its reply unfinished", request.method, request.path)
        except asyncio.CancelledError:
            self.cut(hard=not reply.ended)
            raise
        except TierwiseError as expected:
            error = expected
        except Exception:  # recorded: log
            _logger.exception("%s %s: the handler failed", request.method, request.path)
            error = TierwiseError("Something went wrong inside the gateway.")
        finally:
            self._answered(request, reply, error)
            del error  # it holds this frame

    def _answered(self, request: Request, reply: Reply, error: TierwiseError | None) -> None:
        front, task = self._front, self._task
        self._task = None
        if task is not None:
            front.tasks.discard(task)
        if error is not None and not self._lost and not reply.ended:
            if reply.started:
                reply.abort()
            else:
                reply.send(*front.error_parts(request, error))
        if self._lost:
            front.changed()
        elif request.intake.done and self._keep and not self._closing:
            self._next()
        elif self._keep and not self._closing:
            self._skimming = True
            self._set_deadline(front.limits.body_idle_s)
            self._resume()
        elif request.intake.done and not self._held:
            self._close()
        else:
            self._linger()

    def _next(self) -> None:
        """Goes on to the next request, which may be here already, unless earlier replies are still unread."""
        if self._blocked is not None:
            self._stalled = True
            self._pause()
            return
        self._request = self._reply = None
        self._skimming = False
        self._unsent = 0
        if self._front.draining:
            self._close()
            return
        self._set_deadline(self._front.limits.keep_alive_s)
        held, self._held = self._held, b""
        if held:
            self._read(held)
        if not self._reading and len(self._held) <= _AHEAD:
            self._resume()

    def _refuse(self, error: TierwiseError, head: Head | None = None) -> None:
        """Answers a fault of the protocol itself, in the words of its path, and ends the connection."""
        self._closing = True
        self._held = b""
        asked = None if head is None else Request(head, Fixed.whole(b""), self)
        Reply(self, head_only=False, minor=1).send(*self._front.error_parts(asked, error))
        self._linger()

    def _linger(self) -> None:
        """Ends sending, but reads on for a while: closing on unread input would reset the reply away."""
        self._closing = True
        self._request = self._reply = None
        self._held = b""
        if self._lost or self._transport.is_closing():
            return
        self._resume()
        self._set_deadline(_LINGER_S)
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _close(self) -> None:
        self._closing = True
        self._request = self._reply = None
        self._unsent = 0
        self._set_deadline(self._front.limits.write_idle_s)
        self._transport.close()

    def _cancel(self) -> None:
        """The client has gone, or the server goes: the handler is cancelled unless its reply was complete."""
        blocked, self._blocked = self._blocked, None
        if self._task is not None and self._reply is not None and not self._reply.ended:
            self._task.cancel()
            if not self._begun:  # a task that is cancelled before its first step never runs its `finally`
                self._front.tasks.discard(self._task)
                self._task = None
                self._front.line.fresh -= 1
                self._front.line.advance()
        elif self._queued:
            self._queued = False
        elif blocked is not None and not blocked.done():
            blocked.set_result(None)

    # --- what a Reply asks of its connection

    def keeps(self, delimited: bool) -> bool:
        request = self._request
        self._keep = (
            delimited
            and request is not None
            and request.keep_alive
            and not self._closing
            and not self._front.draining
            and (request.intake.done or self._skims(request))
        )
        return self._keep

    def _skims(self, request: Request) -> bool:
        intake = request.intake
        return isinstance(intake, Fixed) and intake.left <= _SKIM and not request.unanswered_expect

    def date_line(self) -> bytes:
        return self._front.date_line()

    def put(self, data: bytes) -> None:
        if not self._lost:
            self._transport.write(data)

    def put_lines(self, lines: Iterable[bytes]) -> None:
        if not self._lost:
            self._transport.writelines(lines)

    def room(self) -> asyncio.Future[None] | None:
        if self._blocked is not None and self._blocked.cancelled():
            self._blocked = self._loop.create_future()  # the last one was waited for under a timeout
        return self._blocked

    def reply_ended(self) -> None:
        if self._blocked is None:
            self.deadline = inf

    def cut(self, hard: bool) -> None:
        """Ends the connection with the reply incomplete: reset (`hard`), or closed after what was written."""
        self._closing = True
        self._keep = False
        if self._lost:
            return
        if not hard:
            self._set_deadline(self._front.limits.write_idle_s)
            self._transport.close()
            return
        sock = self._transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def stop(self) -> None:
        if self._reply is not None:
            self._reply.stopping = True
            self._cancel()

    def close_if_idle(self) -> None:
        if self._request is None and not self._closing:
            self._close()

    # --- deadlines

    def _set_deadline(self, seconds: float) -> None:
        self.deadline = deadline = self._loop.time() + seconds
        self._sweeper.hasten(deadline)

    def expire(self, now: float) -> None:
        request = self._request
        unsent = 0 if self._lost else self._transport.get_write_buffer_size()
        if unsent and (not self._unsent or unsent < self._unsent):
            self._unsent = unsent  # slow, but reading
            self._set_deadline(self._front.limits.write_idle_s)
        elif unsent or self._lost or (self._closing and request is None):
            self.deadline = inf
            self._transport.abort()
        elif request is None and not self._held:
            self._close()
        elif request is None:
            self._refuse(too_slow("The request head"))
        elif not request.intake.done:
            self._spoil(request, too_slow("The request body"))
        else:
            self.deadline = inf
