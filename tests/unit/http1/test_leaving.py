"""A client that leaves or reads too slowly, in memory: what becomes of its handler."""

import asyncio
import re

from tierwise.http1 import Reply, Request, Server
from tierwise.http1.inbound import Inbound
from tierwise.http1.sweeper import Sweeper


class Memory(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self):
        super().__init__()
        self.sent = b""
        self.reading = True
        self.ended = False
        self.closed = False
        self.aborted = False

    def set_write_buffer_limits(self, high=None, low=None):
        self.high = high

    def get_extra_info(self, name, default=None):
        return ("192.0.2.1", 5) if name == "peername" else default

    def write(self, data):
        assert not self.closed
        self.sent += data

    def writelines(self, lines):
        self.write(b"".join(lines))

    def get_write_buffer_size(self):
        return 0

    def pause_reading(self):
        assert self.reading
        self.reading = False

    def resume_reading(self):
        assert not self.reading
        self.reading = True

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = self.aborted = True


class Wire:
    """One connection to a Server in memory."""

    def __init__(self, handle, limits=None, write_error=None):
        self.server = Server(handle, limits, write_error)
        loop = asyncio.get_running_loop()
        self.transport = Memory()
        self.inbound = Inbound(self.server, loop, Sweeper(loop))
        self.inbound.connection_made(self.transport)

    async def feed(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            self.inbound.data_received(piece)
            for _ in range(20):
                await asyncio.sleep(0)
        sent, self.transport.sent = self.transport.sent, b""
        return re.sub(rb"date: [^\r]*\r\n", b"", sent)


async def echo(request: Request, reply: Reply) -> None:
    body = await request.body()
    reply.send(200, [(b"x-path", request.path.encode())], request.method.encode() + b" " + body)


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"


async def test_losing_the_connection_cancels_the_handler():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            reply.send(200, [])
            raise

    wire = Wire(handle)
    await wire.feed(GET)
    wire.inbound.connection_lost(ConnectionResetError())
    await asyncio.sleep(0.001)
    assert seen == ["cancelled"]
    assert wire.server.in_flight == 0
    assert wire.transport.sent == b""


async def test_losing_the_connection_before_the_handler_began_leaves_nothing_behind():
    wire = Wire(echo)
    wire.inbound.data_received(GET)
    assert wire.server.in_flight == 1
    wire.inbound.connection_lost(None)
    await asyncio.sleep(0.001)
    assert wire.server.in_flight == 0
    assert not wire.server.tasks


async def test_a_handler_is_not_cancelled_for_its_own_abort():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        reply.abort()
        await asyncio.sleep(0.002)
        seen.append("finished")

    wire = Wire(handle)
    await wire.feed(GET)
    assert wire.transport.closed
    wire.inbound.connection_lost(None)
    await asyncio.sleep(0.02)
    assert seen == ["finished"]
    assert wire.server.in_flight == 0


async def test_losing_the_connection_after_the_reply_leaves_the_handler_alone():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        reply.send(200, [])
        await asyncio.sleep(0.002)
        seen.append("finished")

    wire = Wire(handle)
    await wire.feed(GET)
    wire.inbound.connection_lost(None)
    await asyncio.sleep(0.02)
    assert seen == ["finished"]


async def test_writing_waits_while_the_client_reads_too_slowly():
    progress = []

    async def handle(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        for number in range(3):
            await reply.write(b"x")
            progress.append(number)
        reply.end()

    wire = Wire(handle)
    assert wire.transport.high == 65536
    wire.inbound.pause_writing()
    await wire.feed(GET)
    assert progress == []
    wire.inbound.resume_writing()
    assert (await wire.feed()) == b""
    await asyncio.sleep(0.001)
    assert progress == [0, 1, 2]


async def test_the_next_request_waits_until_earlier_replies_are_read():
    wire = Wire(echo)
    wire.inbound.pause_writing()
    sent = await wire.feed(GET * 3)
    assert sent.count(b"HTTP/1.1 200") == 1
    assert not wire.transport.reading
    wire.inbound.resume_writing()
    assert (await wire.feed()) == b""
    await asyncio.sleep(0.001)
    assert wire.transport.sent.count(b"HTTP/1.1 200") == 2
    assert wire.transport.reading


async def test_the_date_is_sent():
    wire = Wire(echo)
    wire.inbound.data_received(GET)
    await asyncio.sleep(0.001)
    assert re.search(rb"\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", wire.transport.sent)
