"""The client's connection, driven by bytes in memory: when this arrives, the reply reads as that."""

import asyncio
import gzip
from math import inf

import pytest

from tierwise.errors import UpstreamBroke, UpstreamTimeout
from tierwise.http1 import Origin, Response
from tierwise.http1.outbound import Outbound
from tierwise.http1.sweeper import Sweeper
from unit.http1.memory import Memory


class Deaf(Memory):
    """Takes bytes also when it is closed, as the event loop's transports do."""

    def write(self, data):
        self.sent += data


class Shelf:
    """Where the connection goes between calls."""

    idle_s = 60.0

    def __init__(self):
        self.sweeper = Sweeper(asyncio.get_running_loop())
        self.kept = []

    def keep(self, outbound):
        self.kept.append(outbound)
        return True

    def forget(self, outbound):
        pass


class Wire:
    def __init__(self):
        self.shelf = Shelf()
        self.transport = Deaf()
        self.outbound = Outbound(Origin("http", "h", 80), self.shelf, asyncio.get_running_loop())
        self.outbound.connection_made(self.transport)

    def call(self, head_only: bool = False) -> Response:
        response = self.outbound.send((b"GET / HTTP/1.1\r\n\r\n",), head_only, (60.0, 60.0))
        assert response is not None
        return response

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.outbound.data_received(piece)

    def lose(self, exc: Exception | None = None) -> None:
        if exc is None:
            self.outbound.eof_received()
        self.outbound.connection_lost(exc)

    @property
    def reused(self) -> bool:
        return bool(self.shelf.kept) and not self.transport.closed


PLAIN = b"HTTP/1.1 200 OK\r\nX-A:  1 \r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


async def whole(response: Response, limit: int = 2**20) -> bytes:
    await response.head()
    return await response.read(limit)


async def test_a_reply_with_a_length():
    wire = Wire()
    response = wire.call()
    wire.feed(PLAIN)
    assert await whole(response) == b"hello"
    assert response.status == 200
    assert response.headers == [(b"x-a", b"1"), (b"content-length", b"5")]
    assert response.header(b"x-a") == b"1"
    assert response.header(b"none") is None
    assert wire.reused
    assert await response.chunk() == b""


async def test_a_connection_carries_one_call_after_another():
    wire = Wire()
    for _ in range(3):
        response = wire.call()
        wire.feed(PLAIN)
        assert await whole(response) == b"hello"
        response.close()
    assert len(wire.shelf.kept) == 3


async def test_everything_buffered_comes_as_one_piece():
    wire = Wire()
    response = wire.call()
    wire.feed(CHUNKED + b"1\r\na\r\n", b"1\r\nb\r\n1\r\nc\r\n")
    assert await response.chunk() == b"abc"
    wire.feed(b"1\r\nd\r\n0\r\nTrailer: x\r\n\r\n")
    assert await response.chunk() == b"d"
    assert await response.chunk() == b""
    assert response.header(b"trailer") is None
    assert wire.reused


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_bodiless_statuses(status: bytes):
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 " + status + b"\r\nETag: x\r\n\r\n")
    assert await whole(response) == b""
    assert wire.reused


@pytest.mark.parametrize("framing", [b"Content-Length: 500", b"Transfer-Encoding: chunked"])
async def test_a_reply_to_head_has_no_body(framing: bytes):
    wire = Wire()
    response = wire.call(head_only=True)
    wire.feed(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
    assert await whole(response) == b""
    assert wire.reused
    response = wire.call()
    wire.feed(PLAIN)
    assert await whole(response) == b"hello"


async def test_interim_replies_are_skipped():
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN)
    assert await whole(response) == b"hello"
    assert response.header(b"link") is None
    assert wire.reused


async def test_endless_interim_replies_are_refused():
    wire = Wire()
    response = wire.call()
    for _ in range(20):
        if not wire.transport.closed:
            wire.feed(b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 10000 + b"\r\n\r\n")
    with pytest.raises(UpstreamBroke):
        await response.head()
    assert wire.transport.closed


async def test_a_body_may_end_with_the_connection():
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    wire.lose()
    assert await whole(response) == b"hello"
    assert not wire.reused


async def test_connection_close_is_honoured():
    wire = Wire()
    response = wire.call()
    wire.feed(PLAIN.replace(b"X-A:  1 ", b"Connection: close"))
    assert await whole(response) == b"hello"
    assert not wire.reused


@pytest.mark.parametrize("extra", [b"garbage", PLAIN, b"x", b"\0"])
@pytest.mark.parametrize("apart", [True, False])
async def test_bytes_after_the_reply_end_the_connection(extra: bytes, apart: bool):
    wire = Wire()
    response = wire.call()
    wire.feed(*((PLAIN, extra) if apart else (PLAIN + extra,)))
    assert await whole(response) == b"hello"
    assert not wire.reused


async def test_bytes_on_an_idle_connection_end_it():
    wire = Wire()
    response = wire.call()
    wire.feed(PLAIN)
    await whole(response)
    assert wire.reused
    wire.feed(PLAIN)
    assert wire.transport.closed
    assert not wire.outbound.alive()


@pytest.mark.parametrize(
    "wire_bytes",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: y\n\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)
async def test_a_malformed_head_breaks_the_call(wire_bytes: bytes):
    wire = Wire()
    response = wire.call()
    wire.feed(wire_bytes)
    with pytest.raises(UpstreamBroke):
        await response.head()
    assert wire.transport.closed


@pytest.mark.parametrize(
    "header",
    [b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: gzip", b"Content-Encoding: br"],
)
async def test_an_unknown_coding_breaks_the_call(header: bytes):
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\n" + header + b"\r\n\r\n")
    with pytest.raises(UpstreamBroke):
        await response.head()
    assert wire.transport.closed


@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"3\r\nabcd\r\n", b"3\nabc", b"-1\r\n", b"fffffffffffffffff\r\n", b"\r\n"]
)
@pytest.mark.parametrize("apart", [True, False])
async def test_bad_chunks_break_the_reply_after_what_was_good(body: bytes, apart: bool):
    wire = Wire()
    response = wire.call()
    good = CHUNKED + b"4\r\ngood\r\n"
    wire.feed(*((good, body) if apart else (good + body,)))
    await response.head()
    assert (await response.chunk()).startswith(b"good")
    with pytest.raises(UpstreamBroke):
        await response.chunk()
    assert wire.transport.closed


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200", PLAIN[:-1], CHUNKED, CHUNKED + b"5\r\nhel", CHUNKED + b"5\r\nhello\r\n0\r\n"],
)
@pytest.mark.parametrize("exc", [None, ConnectionResetError()])
async def test_a_cut_reply_is_noticed(start: bytes, exc: Exception | None):
    wire = Wire()
    response = wire.call()
    if start:
        wire.feed(start)
    wire.lose(exc)
    with pytest.raises(UpstreamBroke):
        await whole(response)
    assert not wire.shelf.kept


async def test_a_reset_is_noticed_in_a_body_that_ends_with_the_connection():
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\n\r\nhel")
    wire.lose(ConnectionResetError())
    with pytest.raises(UpstreamBroke):
        await whole(response)


async def test_reading_pauses_above_64_kb():
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", bytes(65536))
    assert wire.transport.reading
    wire.feed(b"x")
    assert not wire.transport.reading
    assert len(await response.chunk()) == 65536
    assert wire.transport.reading
    assert len(await response.chunk()) == 1


async def test_closing_an_unfinished_reply_ends_the_connection_at_once():
    wire = Wire()
    response = wire.call()
    wire.feed(CHUNKED + b"1\r\na\r\n")
    response.close()
    assert wire.transport.closed
    with pytest.raises(UpstreamBroke):
        await response.chunk()


async def test_closing_a_whole_reply_unread_gives_the_connection_back():
    wire = Wire()
    response = wire.call()
    wire.feed(PLAIN)
    response.close()
    assert wire.reused


async def test_close_again_does_nothing_to_the_next_call():
    wire = Wire()
    response = wire.call()
    wire.feed(PLAIN)
    response.close()
    following = wire.call()
    response.close()
    wire.feed(PLAIN)
    assert await whole(following) == b"hello"


@pytest.mark.parametrize("limit", [4, 0])
async def test_read_has_a_limit(limit: int):
    wire = Wire()
    response = wire.call()
    wire.feed(CHUNKED + b"5\r\nhello\r\n0\r\n\r\n")
    with pytest.raises(UpstreamBroke):
        await whole(response, limit)
    assert wire.transport.closed


async def test_an_announced_length_over_the_limit_is_not_waited_for():
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    with pytest.raises(UpstreamBroke):
        await whole(response, 1000)
    assert wire.transport.closed


async def test_gzip_is_undone():
    body = gzip.compress(b"hello " * 1000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    for read in (True, False):
        wire = Wire()
        response = wire.call()
        wire.feed(head + body[:20], body[20:])
        await response.head()
        got = await response.read(6000) if read else await response.chunk()
        assert got == b"hello " * 1000
        assert await response.chunk() == b""
        assert response.headers == []
        assert wire.reused


async def test_gzip_does_not_slip_past_the_limit():
    body = gzip.compress(bytes(3_000_000))
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    with pytest.raises(UpstreamBroke):
        await whole(response, 100_000)


async def test_cut_gzip_is_noticed():
    body = gzip.compress(b"hello " * 1000)[:-4]
    wire = Wire()
    response = wire.call()
    wire.feed(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    with pytest.raises(UpstreamBroke):
        await whole(response)


async def test_silence_before_the_reply_is_a_timeout():
    wire = Wire()
    response = wire.call()
    assert wire.outbound.deadline < inf
    wire.outbound.expire(wire.outbound.deadline)
    with pytest.raises(UpstreamTimeout):
        await response.head()
    assert wire.transport.closed


async def test_the_idle_clock_runs_only_while_the_body_is_waited_for():
    wire = Wire()
    response = wire.call()
    wire.feed(CHUNKED + b"1\r\na\r\n")
    assert wire.outbound.deadline == inf
    assert await response.chunk() == b"a"
    assert wire.outbound.deadline == inf
    waiting = asyncio.create_task(response.chunk())
    await asyncio.sleep(0)
    assert wire.outbound.deadline < inf
    wire.outbound.expire(wire.outbound.deadline)
    with pytest.raises(UpstreamTimeout):
        await waiting
    assert wire.transport.closed


async def test_a_connection_that_refuses_the_bytes_says_so():
    wire = Wire()
    wire.transport.closed = True
    assert wire.outbound.send((b"GET / HTTP/1.1\r\n\r\n",), False, (1.0, 1.0)) is None
