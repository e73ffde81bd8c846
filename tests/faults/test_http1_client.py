"""The client against upstreams that refuse, hang, lie or break off: loopback sockets, both event loops."""

import asyncio
import gzip
import socket
import struct
import tracemalloc

import pytest
import uvloop

from tierwise.errors import BadHeader, UpstreamBroke, UpstreamRefused, UpstreamTimeout
from tierwise.http1 import Call, Origin, Pool, Response

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


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


class Upstream:
    """A scripted upstream: `act` plays each connection; `heads` are the request heads it saw."""

    def __init__(self, act):
        self.act = act
        self.connections = 0
        self.heads: list[bytes] = []
        self.ended = 0
        self.tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> "Upstream":
        self.listener = await asyncio.start_server(self._play, "127.0.0.1", 0)
        self.port = self.listener.sockets[0].getsockname()[1]
        self.pool = Pool()
        return self

    async def __aexit__(self, *_):
        await self.pool.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.listener.close()

    async def _play(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self.act(self, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.ended += 1
            writer.close()

    async def head(self, reader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head

    def call(self, method: str = "GET", path: str = "/", body: bytes = b"", **more) -> Call:
        return Call(Origin("http", "127.0.0.1", self.port), method, path, [], body, **more)

    async def until(self, condition) -> None:
        """Waits until `condition()`; the whole script is bounded."""
        while not condition():
            await asyncio.sleep(0.005)


def answers(*wire: bytes):
    """An upstream that gives each request on a connection the next of `wire`, then waits for its end."""

    async def act(upstream: Upstream, reader, writer) -> None:
        for reply in wire:
            await upstream.head(reader)
            writer.write(reply)
        await reader.read()

    return act


def resets(wire: bytes):
    """An upstream that sends `wire`, then resets the connection."""

    async def act(upstream: Upstream, reader, writer) -> None:
        await upstream.head(reader)
        writer.write(wire)
        await writer.drain()
        await asyncio.sleep(0.05)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return act


def ends(wire: bytes):
    """An upstream that sends `wire`, then closes."""

    async def act(upstream: Upstream, reader, writer) -> None:
        await upstream.head(reader)
        writer.write(wire)

    return act


def test_what_is_sent(play):
    async def script():
        async with Upstream(answers(*[PLAIN] * 3)) as upstream:
            for method, body in (("POST", b"abc"), ("GET", b""), ("POST", b"")):
                call = upstream.call(method, "/v1/x?y=1", body)
                call.headers = [(b"accept-encoding", b"identity")]
                response = await upstream.pool.send(call)
                assert await response.read(10) == b"hello"
                if body:
                    upstream.heads.clear()  # the next head begins with this body
            get = (
                f"GET /v1/x?y=1 HTTP/1.1\r\nhost: 127.0.0.1:{upstream.port}\r\naccept-encoding: identity\r\n"
            )
            assert upstream.heads[0] == b"abc" + get.encode() + b"\r\n"
            assert upstream.heads[1].endswith(b"\r\ncontent-length: 0\r\n\r\n")
            assert upstream.connections == 1

    play(script())


@pytest.mark.parametrize(
    ("method", "path", "header"),
    [
        ("GET", "/a b", (b"x", b"y")),
        ("GET", "/a\r\nx: y", (b"x", b"y")),
        ("GET", "a", (b"x", b"y")),
        ("GET", "/\u00e9", (b"x", b"y")),
        ("G T", "/", (b"x", b"y")),
        ("GET\r\n", "/", (b"x", b"y")),
        ("GET", "/", (b"x", b"y\r\nz: 1")),
        ("GET", "/", (b"x\n", b"y")),
        ("GET", "/", (b"x", b"\0")),
        ("GET", "/", (b"content-length", b"3")),
        ("GET", "/", (b"Host", b"other")),
        ("GET", "/", (b"transfer-encoding", b"chunked")),
    ],
)
def test_a_call_that_cannot_be_written_is_refused_before_connecting(play, method, path, header):
    async def script():
        async with Upstream(answers(PLAIN)) as upstream:
            call = upstream.call(method, path)
            call.headers = [header]
            with pytest.raises(BadHeader):
                await upstream.pool.send(call)
            assert upstream.connections == 0

    play(script())


def test_nobody_listens(play):
    async def script():
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        with pytest.raises(UpstreamRefused) as caught:
            await Pool().send(Call(Origin("http", "127.0.0.1", port), "GET", "/", []))
        assert str(port) not in caught.value.sentence()

    play(script())


def test_a_name_without_an_address(play):
    async def script():
        with pytest.raises(UpstreamRefused):
            await Pool().send(Call(Origin("http", "no.invalid", 80), "GET", "/", [], connect_timeout_s=5))

    play(script())


def test_a_handshake_that_never_ends(play):
    async def script():
        async def act(upstream, reader, writer):
            await reader.read()

        async with Upstream(act) as upstream:
            call = upstream.call(connect_timeout_s=0.1)
            call.origin = Origin("https", "127.0.0.1", upstream.port)
            with pytest.raises(UpstreamRefused):
                await upstream.pool.send(call)

    play(script())


def test_an_upstream_that_hangs_before_its_reply(play):
    async def script():
        async with Upstream(answers(b"")) as upstream:
            with pytest.raises(UpstreamTimeout):
                await upstream.pool.send(upstream.call(first_byte_timeout_s=0.1))
            await upstream.until(lambda: upstream.ended == 1)

    play(script())


def test_an_upstream_that_hangs_in_its_body(play):
    async def script():
        async with Upstream(answers(CHUNKED + b"3\r\nabc\r\n")) as upstream:
            response = await upstream.pool.send(upstream.call(idle_timeout_s=0.1))
            assert await response.chunk() == b"abc"
            with pytest.raises(UpstreamTimeout):
                await response.chunk()
            await upstream.until(lambda: upstream.ended == 1)

    play(script())


def test_one_byte_at_a_time(play):
    async def script():
        async def act(upstream, reader, writer):
            while True:
                await upstream.head(reader)
                for byte in CHUNKED + b"5\r\nhello\r\n0\r\n\r\n":
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0)

        async with Upstream(act) as upstream:
            for _ in range(2):
                response = await upstream.pool.send(upstream.call())
                assert await response.read(10) == b"hello"
            assert upstream.connections == 1

    play(script())


@pytest.mark.parametrize("how", [resets, ends])
@pytest.mark.parametrize("wire", [PLAIN[:-2], CHUNKED, CHUNKED + b"5\r\nhe", CHUNKED + b"2\r\nhe\r\n"])
def test_a_body_that_breaks_off(play, how, wire: bytes):
    async def script():
        async with Upstream(how(wire)) as upstream:
            response = await upstream.pool.send(upstream.call())
            with pytest.raises(UpstreamBroke):
                await response.read(100)
            response.close()

    play(script())


@pytest.mark.parametrize("how", [resets, ends])
@pytest.mark.parametrize("wire", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nX: y\r\n", b"garbage\r\n\r\n"])
def test_a_head_that_breaks_off(play, how, wire: bytes):
    async def script():
        async with Upstream(how(wire)) as upstream:
            with pytest.raises(UpstreamBroke):
                await upstream.pool.send(upstream.call())
            assert upstream.connections == 1

    play(script())


def test_a_body_that_ends_with_the_connection(play):
    async def script():
        async with Upstream(ends(b"HTTP/1.0 200 OK\r\n\r\nhello")) as upstream:
            for _ in range(2):
                response = await upstream.pool.send(upstream.call())
                assert await response.read(10) == b"hello"
            assert upstream.connections == 2

    play(script())


def test_a_connection_that_the_upstream_closed_while_idle_is_not_used(play):
    async def script():
        async with Upstream(ends(PLAIN)) as upstream:
            for turn in range(3):
                response = await upstream.pool.send(upstream.call())
                assert await response.read(10) == b"hello"
                await upstream.until(lambda turn=turn: upstream.ended == turn + 1)
                await upstream.until(lambda: not upstream.pool._idle.get(upstream.call().origin))
            assert upstream.connections == 3

    play(script())


def test_a_close_that_the_event_loop_has_not_seen_yet_is_seen_after_a_pause(play, monkeypatch):
    monkeypatch.setattr("tierwise.http1.outbound._FRESH_S", 0.0)

    async def script():
        held = []

        async def act(upstream, reader, writer):
            held.append(writer)
            await upstream.head(reader)
            writer.write(PLAIN)
            await asyncio.Event().wait()

        async with Upstream(act) as upstream:
            for _ in range(2):
                response = await upstream.pool.send(upstream.call())
                assert await response.read(10) == b"hello"
                sock = socket.socket(fileno=held[-1].get_extra_info("socket").fileno())
                sock.shutdown(socket.SHUT_RDWR)  # behind the event loop's back
                sock.detach()
            assert upstream.connections == 2

    play(script())


def test_a_call_that_may_have_arrived_is_not_sent_again(play):
    async def script():
        async def act(upstream, reader, writer):
            await upstream.head(reader)
            writer.write(PLAIN)
            await upstream.head(reader)

        async with Upstream(act) as upstream:
            response = await upstream.pool.send(upstream.call())
            await response.read(10)
            with pytest.raises(UpstreamBroke):
                await upstream.pool.send(upstream.call("GET", "/second"))
            await asyncio.sleep(0.02)
            assert len(upstream.heads) == 2
            assert upstream.connections == 1

    play(script())


@pytest.mark.parametrize("pause", [0.0, 0.03])
def test_garbage_after_a_reply_ends_the_connection(play, pause: float):
    async def script():
        async def act(upstream, reader, writer):
            while True:
                await upstream.head(reader)
                writer.write(PLAIN)
                await asyncio.sleep(pause)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

        async with Upstream(act) as upstream:
            for turn in range(3):
                response = await upstream.pool.send(upstream.call())
                assert await response.read(10) == b"hello"
                await upstream.until(lambda turn=turn: upstream.ended == turn + 1)
            assert upstream.connections == 3

    play(script())


def test_a_reply_before_the_request_was_read(play):
    async def script():
        async def act(upstream, reader, writer):
            await upstream.head(reader)
            writer.transport.pause_reading()
            writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            await asyncio.Event().wait()

        async with Upstream(act) as upstream:
            response = await upstream.pool.send(upstream.call("POST", "/", bytes(30 * 2**20)))
            assert response.status == 413
            assert await response.read(10) == b"no"
            response.close()
            assert upstream.pool._idle.get(upstream.call().origin, []) == []

    play(script())


def test_idle_connections_are_bounded_and_end(play):
    async def script():
        async with Upstream(answers(*[PLAIN] * 9)) as upstream:
            upstream.pool = Pool(max_idle_per_origin=2)
            responses = await asyncio.gather(*(upstream.pool.send(upstream.call()) for _ in range(5)))
            for response in responses:
                assert await response.read(10) == b"hello"
            assert upstream.connections == 5
            await upstream.until(lambda: upstream.ended == 3)
            assert len(upstream.pool._idle[upstream.call().origin]) == 2
            await upstream.pool.close()
            upstream.pool = Pool(idle_s=0.2)
            response = await upstream.pool.send(upstream.call())
            assert await response.read(10) == b"hello"
            await upstream.until(lambda: upstream.ended == 6)

    play(script())


def test_a_reader_that_stops_stops_the_upstream(play):
    async def script():
        sent = 0
        total = 40 * 2**20

        async def act(upstream, reader, writer):
            nonlocal sent
            await upstream.head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
            while sent < total:
                writer.write(bytes(65536))
                await writer.drain()
                sent += 65536
            await reader.read()

        async with Upstream(act) as upstream:
            response = await upstream.pool.send(upstream.call(idle_timeout_s=0.2))
            (outbound,) = upstream.pool._open
            await upstream.until(lambda: not outbound._reading)
            before = -1
            while not sent or sent != before:
                before = sent
                await asyncio.sleep(0.25)
            assert sent < total
            assert response._size <= 65536 + 262144
            outbound._idle_s = 60.0  # nobody waited for anything; from here on somebody does
            assert len(await response.chunk()) == 65536
            assert len(await response.read(total)) == total - 65536

    play(script())


def test_closing_an_unfinished_reply_stops_the_upstream(play):
    async def script():
        async with Upstream(answers(CHUNKED + b"3\r\nabc\r\n")) as upstream:
            response = await upstream.pool.send(upstream.call())
            assert await response.chunk() == b"abc"
            response.close()
            async with asyncio.timeout(30):
                await upstream.until(lambda: upstream.ended == 1)

    play(script())


@pytest.mark.parametrize("wire", [b"", CHUNKED])
def test_cancelling_a_call_stops_the_upstream(play, wire: bytes):
    async def script():
        async with Upstream(answers(wire)) as upstream:

            async def fetch():
                response = await upstream.pool.send(upstream.call())
                try:
                    await response.read(100)
                finally:
                    response.close()

            task = asyncio.create_task(fetch())
            await upstream.until(lambda: upstream.heads)
            task.cancel()
            async with asyncio.timeout(30):
                await upstream.until(lambda: upstream.ended == 1)

    play(script())


async def drained(response: Response) -> None:
    while await response.chunk():
        pass


@pytest.mark.parametrize("streamed", [True, False])
def test_a_gzip_bomb_is_refused_in_little_memory(play, streamed: bool):
    bomb = gzip.compress(bytes(200 * 2**20), 9)

    async def script():
        head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        async with Upstream(answers(head + bomb)) as upstream:
            response = await upstream.pool.send(upstream.call())
            tracemalloc.start()
            try:
                with pytest.raises(UpstreamBroke):
                    await (drained(response) if streamed else response.read(2**30))
                assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
            finally:
                tracemalloc.stop()

    play(script())


def test_close_ends_every_connection(play):
    async def script():
        async with Upstream(answers(PLAIN, CHUNKED)) as upstream:
            first = await upstream.pool.send(upstream.call())
            await first.read(10)
            second = await upstream.pool.send(upstream.call())
            await upstream.pool.close()
            with pytest.raises(UpstreamBroke):
                await second.read(10)
            await upstream.until(lambda: upstream.ended == upstream.connections)

    play(script())
