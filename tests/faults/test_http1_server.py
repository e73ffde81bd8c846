"""The server against clients that are slow, rude or gone, over loopback sockets, on both event loops."""

import asyncio
import socket
import struct

import pytest
import uvloop

from tierwise.errors import TooLarge
from tierwise.http1 import Call, Limits, Origin, Pool, Reply, Request, Server

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def play(request, caplog, capfd):
    """Runs a script on an event loop; afterwards nothing may have been logged or printed."""
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    complaints = []

    def run(script):
        async def watched():
            loop = asyncio.get_running_loop()
            loop.set_exception_handler(lambda _, what: complaints.append(what))
            await asyncio.wait_for(script, 90)

        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(watched())

    yield run
    assert complaints == []
    assert caplog.records == []
    assert "Traceback" not in capfd.readouterr().err


class Stage:
    """A started server; `connect` opens raw client connections to it."""

    def __init__(self, handle, limits: Limits | None = None):
        self.server = Server(handle, limits)
        self.writers = []

    async def __aenter__(self) -> "Stage":
        await self.server.start("127.0.0.1", 0)
        return self

    async def __aexit__(self, *_):
        for writer in self.writers:
            writer.close()
        await self.server.close()

    async def connect(self, receive_buffer: int = 0):
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.server.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=65536)
        self.writers.append(writer)
        return reader, writer

    async def until(self, condition) -> None:
        """Waits until `condition()`; the whole script is bounded."""
        while not condition():
            await asyncio.sleep(0.005)


def reset(writer) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def echo(request: Request, reply: Reply) -> None:
    reply.send(200, [(b"x", b"y")], await request.body())


class Hang:
    """A handler that waits for ever and remembers how it ended."""

    def __init__(self, started: bool = False):
        self.begun = self.cancelled = 0
        self.started = started

    async def __call__(self, request: Request, reply: Reply) -> None:
        self.begun += 1
        try:
            if self.started:
                reply.start(200, [])
                await reply.write(b"first")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


def test_one_byte_at_a_time(play):
    async def script():
        async with Stage(echo) as stage:
            reader, writer = await stage.connect()
            for byte in POST + b"Content-Length: 5\r\n\r\nhello" + GET:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 OK\r\n")
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")

    play(script())


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: h\r\nX: "])
def test_a_slow_head_is_408(play, start: bytes):
    async def script():
        async with Stage(echo, Limits(header_timeout_s=1)) as stage:
            reader, writer = await stage.connect()
            writer.write(start)
            reply = await reader.read()
            assert reply.startswith(b"HTTP/1.1 408 ")
            assert b"connection: close\r\n" in reply

    play(script())


def test_a_slow_head_cannot_be_kept_alive_by_drips(play):
    async def script():
        async with Stage(echo, Limits(header_timeout_s=1)) as stage:
            reader, writer = await stage.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n")
            reply = asyncio.create_task(reader.read(1))
            while not reply.done():
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.05)
            assert reply.result() == b"H"

    play(script())


def test_silent_connections_are_closed_without_a_word(play):
    async def script():
        async with Stage(echo, Limits(header_timeout_s=1, keep_alive_s=0.1)) as stage:
            reader, _ = await stage.connect()
            assert await reader.read() == b""
            reader, writer = await stage.connect()
            writer.write(GET)
            reply = await reader.read()
            assert reply.count(b"HTTP/1.1 ") == 1

    play(script())


@pytest.mark.parametrize("drips", [True, False])
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 50000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\nc350\r\n"]
)
def test_a_slow_body_is_408(play, drips: bool, framing: bytes):
    async def script():
        async with Stage(echo, Limits(body_idle_s=0.2)) as stage:
            reader, writer = await stage.connect()
            writer.write(POST + framing)
            reply = asyncio.create_task(reader.readline())
            while not reply.done():
                if drips:
                    writer.write(b"x")
                await asyncio.sleep(0.02)
            assert reply.result().startswith(b"HTTP/1.1 408 ")

    play(script())


def test_a_body_that_makes_progress_is_not_cut(play):
    async def script():
        async with Stage(echo, Limits(body_idle_s=5)) as stage:
            reader, writer = await stage.connect()
            writer.write(POST + b"Content-Length: 60000\r\n\r\n")
            for _ in range(10):
                await asyncio.sleep(0.6)
                writer.write(bytes(6000))
            assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"

    play(script())


@pytest.mark.parametrize("how", ["close", "reset", "half close"])
@pytest.mark.parametrize("started", [True, False])
def test_a_client_that_leaves_cancels_its_handler(play, how: str, started: bool):
    async def script():
        hang = Hang(started)
        async with Stage(hang) as stage:
            for _ in range(20):
                reader, writer = await stage.connect()
                writer.write(GET)
                if started:
                    await reader.readuntil(b"first")
            await stage.until(lambda: hang.begun == 20)
            for writer in stage.writers:
                if how == "reset":
                    reset(writer)
                elif how == "close":
                    writer.close()
                else:
                    writer.write_eof()
            async with asyncio.timeout(30):
                await stage.until(lambda: hang.cancelled == 20)
            await stage.until(lambda: not stage.server.inbound)
            assert stage.server.in_flight == 0

    play(script())


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_in_its_body_cancels_its_handler(play, how: str):
    async def script():
        ended = []

        async def handle(request: Request, reply: Reply) -> None:
            try:
                await request.body()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async with Stage(handle) as stage:
            _, writer = await stage.connect()
            writer.write(POST + b"Content-Length: 50\r\n\r\nhalf")
            await stage.until(lambda: stage.server.in_flight == 1)
            reset(writer) if how == "reset" else writer.close()
            async with asyncio.timeout(30):
                await stage.until(lambda: ended)

    play(script())


def test_a_slow_reader_suspends_the_handler(play):
    async def script():
        written = 0
        total = 40 * 2**20
        piece = bytes(2**15)

        async def handle(request: Request, reply: Reply) -> None:
            nonlocal written
            reply.start(200, [])
            while written < total:
                await reply.write(piece)
                written += len(piece)
            reply.end()

        async with Stage(handle) as stage:
            reader, writer = await stage.connect(receive_buffer=16384)
            writer.write(GET)
            before = -1
            while not written or written != before:
                before = written
                await asyncio.sleep(0.2)
            assert 0 < written < total
            (inbound,) = stage.server.inbound
            assert inbound._transport.get_write_buffer_size() <= 262144
            got = 0
            while got < total:
                got += len(await reader.read(2**20))
            await stage.until(lambda: written == total)

    play(script())


def test_a_reader_that_stops_for_ever_is_cut(play):
    async def script():
        ended = []

        async def handle(request: Request, reply: Reply) -> None:
            try:
                reply.start(200, [])
                while True:
                    await reply.write(bytes(65536))
            finally:
                ended.append(True)

        async with Stage(handle, Limits(write_idle_s=0.2)) as stage:
            _, writer = await stage.connect(receive_buffer=16384)
            writer.write(GET)
            await stage.until(lambda: ended and not stage.server.inbound)

    play(script())


def test_a_large_reply_left_unread_is_cut_but_one_read_slowly_is_not(play):
    async def script():
        async def handle(request: Request, reply: Reply) -> None:
            reply.send(200, [], bytes(8 * 2**20))

        async with Stage(handle, Limits(write_idle_s=4, keep_alive_s=1)) as stage:
            reader, writer = await stage.connect(receive_buffer=65536)
            writer.write(GET)
            got = 0
            while got < 8 * 2**20:
                got += len(await reader.readexactly(2**20 if got < 7 * 2**20 else 8 * 2**20 - got))
                await asyncio.sleep(0.6)
            _, writer = await stage.connect(receive_buffer=16384)
            writer.write(GET)
            await stage.until(lambda: not stage.server.inbound)

    play(script())


def test_a_client_that_pipelines_and_never_reads_is_not_buffered_for(play):
    async def script():
        answered = 0

        async def handle(request: Request, reply: Reply) -> None:
            nonlocal answered
            answered += 1
            reply.send(200, [], bytes(10_000))

        async with Stage(handle) as stage:
            reader, writer = await stage.connect(receive_buffer=16384)
            writer.write(GET * 3000)
            before = -1
            while not answered or answered != before:
                before = answered
                await asyncio.sleep(0.2)
            assert answered < 3000
            (inbound,) = stage.server.inbound
            assert inbound._transport.get_write_buffer_size() <= 262144
            while answered < 3000:
                await reader.read(2**20)

    play(script())


def test_a_413_reaches_a_client_that_goes_on_sending(play):
    async def script():
        async with Stage(echo, Limits(max_body=1000)) as stage:
            reader, writer = await stage.connect()
            writer.write(POST + b"Content-Length: 3000000\r\n\r\n" + bytes(3_000_000))
            reply = await reader.read()
            assert reply.startswith(b"HTTP/1.1 413 ")

    play(script())


def test_the_limit_of_a_chunked_body_raises_in_the_handler(play):
    async def script():
        raised = []

        async def handle(request: Request, reply: Reply) -> None:
            try:
                await request.body()
            except TooLarge as error:
                raised.append(error.status)
                raise

        async with Stage(handle, Limits(max_body=1000)) as stage:
            reader, writer = await stage.connect()
            writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n")
            await stage.until(lambda: stage.server.in_flight == 1)
            writer.write(b"64\r\n%b\r\n" % bytes(100) * 11)
            assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
            assert raised == [413]

    play(script())


def test_abort_resets_a_body_that_would_end_with_the_connection(play):
    async def script():
        async def handle(request: Request, reply: Reply) -> None:
            reply.start(200, [])
            await reply.write(b"part")
            await asyncio.sleep(0.05)
            reply.abort()

        async with Stage(handle) as stage:
            reader, writer = await stage.connect()
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await reader.read()

    play(script())


def test_a_port_in_use_is_an_os_error(play):
    async def script():
        async with Stage(echo) as stage:
            with pytest.raises(OSError):
                await Server(echo).start("127.0.0.1", stage.server.port)

    play(script())


def test_drain_waits_for_running_requests_and_refuses_new_ones(play):
    async def script():
        gate = asyncio.Event()

        async def handle(request: Request, reply: Reply) -> None:
            reply.start(200, [])
            await gate.wait()
            reply.end()

        async with Stage(handle) as stage:
            reader, writer = await stage.connect()
            idle_reader, _ = await stage.connect()
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            draining = asyncio.create_task(stage.server.drain(60))
            assert await idle_reader.read() == b""
            with pytest.raises(OSError):
                await stage.connect()
            assert not draining.done()
            assert stage.server.in_flight == 1
            gate.set()
            assert await reader.read() == b"0\r\n\r\n"
            assert await draining == 0

    play(script())


def test_drain_cuts_what_does_not_end(play):
    async def script():
        hang = Hang()
        async with Stage(hang) as stage:
            for _ in range(3):
                _, writer = await stage.connect()
                writer.write(GET)
            await stage.until(lambda: hang.begun == 3)
            assert await stage.server.drain(0.1) == 3
            assert hang.cancelled == 3
            assert stage.server.in_flight == 0

    play(script())


def test_replies_while_draining_end_the_connection(play):
    async def script():
        gate = asyncio.Event()

        async def handle(request: Request, reply: Reply) -> None:
            await gate.wait()
            reply.send(200, [])

        async with Stage(handle) as stage:
            reader, writer = await stage.connect()
            writer.write(GET)
            await stage.until(lambda: stage.server.in_flight == 1)
            draining = asyncio.create_task(stage.server.drain(60))
            await asyncio.sleep(0.01)
            gate.set()
            assert b"connection: close\r\n" in await reader.read()
            assert await draining == 0

    play(script())


def test_no_delay_is_on(play):
    async def script():
        async with Stage(echo) as stage:
            await stage.connect()
            await stage.until(lambda: stage.server.inbound)
            (inbound,) = stage.server.inbound
            sock = inbound._transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    play(script())


def test_the_connection_limit(play):
    async def script():
        async with Stage(echo, Limits(max_connections=2)) as stage:
            kept = [await stage.connect() for _ in range(2)]
            await stage.until(lambda: len(stage.server.inbound) == 2)
            reader, _ = await stage.connect()
            assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
            reader, writer = kept[0]
            writer.write(GET)
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"

    play(script())


@pytest.mark.parametrize(("clients", "size"), [(100, 1), (2, 1_000_000)])
def test_many_clients_and_large_bodies(play, clients: int, size: int):
    async def script():
        async with Stage(echo) as stage:
            pool = Pool()
            origin = Origin("http", "127.0.0.1", stage.server.port)

            async def client(name: int) -> None:
                for turn in range(10):
                    body = b"%d/%d" % (name, turn) * size
                    response = await pool.send(Call(origin, "POST", "/", [], body))
                    assert await response.read(2**25) == body

            await asyncio.gather(*(client(name) for name in range(clients)))
            assert len(stage.server.inbound) <= clients
            await pool.close()

    play(script())
