"""A connection to a Server that exists in memory only."""

import asyncio
import re

from tierwise.http1 import Reply, Request, Server
from tierwise.http1.inbound import Inbound
from tierwise.http1.sweeper import Sweeper


async def settle() -> None:
    """Lets every task go as far as it can: nothing here waits for more than a few turns of the loop."""
    for _ in range(20):
        await asyncio.sleep(0)


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
            await settle()
        sent, self.transport.sent = self.transport.sent, b""
        return re.sub(rb"date: [^\r]*\r\n", b"", sent)


async def echo(request: Request, reply: Reply) -> None:
    body = await request.body()
    reply.send(200, [(b"x-path", request.path.encode())], request.method.encode() + b" " + body)


GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
