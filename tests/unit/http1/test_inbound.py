"""The server's connection, driven by bytes in memory: when this arrives, exactly that is sent."""

import asyncio
import json
import re

import pytest

from tierwise.errors import BadHeader, Forbidden, TierwiseError
from tierwise.http1 import Limits, Reply, Request
from unit.http1.memory import GET, Wire, echo, settle


async def test_a_request_is_answered_in_one_write():
    wire = Wire(echo)
    assert await wire.feed(GET) == b"HTTP/1.1 200 OK\r\nx-path: /a\r\ncontent-length: 4\r\n\r\nGET "
    assert not wire.transport.closed
    assert wire.server.in_flight == 0


async def test_the_request_that_the_handler_sees():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append((request.method, request.path, request.query, request.keep_alive))
        assert request.header(b"host") == b"h"
        assert request.header(b"none") is None
        assert await request.body() == await request.body() == b"xyz"
        assert not reply.started
        reply.send(204, [])
        assert reply.started

    wire = Wire(handle)
    sent = await wire.feed(b"PUT /p?q HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nx", b"y", b"z")
    assert seen == [("PUT", "/p", "q", True)]
    assert sent == b"HTTP/1.1 204 No Content\r\n\r\n"


async def test_requests_alike_but_for_their_bodies():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        seen.append((request.header(b"content-length"), await request.body()))
        request.alike["asked"] = request.alike.get("asked", 0) + 1
        reply.send(200, [], b"%d" % request.alike["asked"])

    wire = Wire(handle)
    told = []
    for body in (b"abc", b"de", b"fghij", b""):
        post = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        told.append((await wire.feed(post))[-1:])
    told.append((await wire.feed(GET))[-1:])
    assert seen == [(b"3", b"abc"), (b"2", b"de"), (b"5", b"fghij"), (b"0", b""), (None, b"")]
    assert told == [b"1", b"2", b"3", b"4", b"1"]


async def test_pipelined_requests_are_answered_in_order():
    order = []

    async def handle(request: Request, reply: Reply) -> None:
        order.append("begin " + request.path)
        await asyncio.sleep(0)
        order.append("end " + request.path)
        reply.send(200, [], request.path.encode() + await request.body())

    wire = Wire(handle)
    post = b"POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    sent = await wire.feed(GET + post + GET)
    assert [part.rpartition(b"\r\n\r\n")[2] for part in sent.split(b"HTTP/1.1 ")[1:]] == [
        b"/a",
        b"/bhi",
        b"/a",
    ]
    assert order == ["begin /a", "end /a", "begin /b", "end /b", "begin /a", "end /a"]


async def test_reading_pauses_when_too_much_is_pipelined():
    gate = asyncio.Event()

    async def handle(request: Request, reply: Reply) -> None:
        await gate.wait()
        reply.send(200, [])

    wire = Wire(handle)
    count = 3000
    await wire.feed(GET * count)
    assert not wire.transport.reading
    gate.set()
    for _ in range(3 * count):
        await asyncio.sleep(0)
    assert wire.transport.reading
    assert wire.transport.sent.count(b"HTTP/1.1 200") == count


async def test_a_large_body_is_not_read_before_it_is_asked_for():
    gate = asyncio.Event()

    async def handle(request: Request, reply: Reply) -> None:
        await gate.wait()
        reply.send(200, [], b"%d" % len(await request.body()))

    wire = Wire(handle)
    await wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 600000\r\n\r\n", bytes(300_000))
    assert not wire.transport.reading
    gate.set()
    await settle()
    assert wire.transport.reading
    assert (await wire.feed(bytes(300_000))).endswith(b"600000")


async def test_head_replies_have_no_body():
    async def handle(request: Request, reply: Reply) -> None:
        if request.path == "/stream":
            reply.start(200, [])
            await reply.write(b"unseen")
            reply.end()
        else:
            reply.send(200, [], b"unseen")

    wire = Wire(handle)
    head = b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert await wire.feed(head) == b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n"
    assert await wire.feed(head.replace(b"/ ", b"/stream ")) == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    )


async def stream(request: Request, reply: Reply) -> None:
    reply.start(200, [(b"a", b"b")])
    await reply.write(b"one")
    await reply.write(b"")
    await reply.write(b"x" * 20000)
    reply.end()


async def test_a_stream_is_chunked():
    sent = await Wire(stream).feed(GET)
    assert sent == (
        b"HTTP/1.1 200 OK\r\na: b\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\none\r\n4e20\r\n" + b"x" * 20000 + b"\r\n0\r\n\r\n"
    )


async def test_http_1_0():
    wire = Wire(echo)
    assert await wire.feed(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == (
        b"HTTP/1.1 200 OK\r\nx-path: /\r\ncontent-length: 4\r\nconnection: keep-alive\r\n\r\nGET "
    )
    assert not wire.transport.closed
    assert (await wire.feed(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"connection: close\r\n\r\nGET ")
    assert wire.transport.closed


async def test_a_stream_to_http_1_0_ends_with_the_connection():
    wire = Wire(stream)
    sent = await wire.feed(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert sent == b"HTTP/1.1 200 OK\r\na: b\r\nconnection: close\r\n\r\none" + b"x" * 20000
    assert wire.transport.closed
    assert not wire.transport.aborted


async def test_connection_close_is_honoured():
    wire = Wire(echo)
    sent = await wire.feed(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    assert b"connection: close\r\n" in sent
    assert wire.transport.closed


async def test_100_continue_is_sent_when_the_body_is_asked_for():
    async def handle(request: Request, reply: Reply) -> None:
        reply.send(200, [], await request.body())

    wire = Wire(handle)
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert await wire.feed(head) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await wire.feed(b"hi")).endswith(b"\r\n\r\nhi")
    assert (await wire.feed(head + b"hi")).startswith(b"HTTP/1.1 200")


async def test_a_refused_expectation_ends_the_connection():
    async def handle(request: Request, reply: Reply) -> None:
        raise Forbidden("No.")

    wire = Wire(handle)
    sent = await wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert sent.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b"connection: close\r\n" in sent
    assert wire.transport.ended


async def test_a_small_unread_body_is_thrown_away():
    async def handle(request: Request, reply: Reply) -> None:
        reply.send(403, [])

    wire = Wire(handle)
    sent = await wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n")
    assert b"connection: close" not in sent
    assert await wire.feed(b"GET ") == b""
    assert (await wire.feed(b"/a H" + GET)).startswith(b"HTTP/1.1 403")


async def test_a_large_unread_body_ends_the_connection():
    async def handle(request: Request, reply: Reply) -> None:
        reply.send(403, [])

    wire = Wire(handle)
    sent = await wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 800000\r\n\r\n")
    assert b"connection: close" in sent
    assert wire.transport.ended
    assert await wire.feed(GET) == b""


async def test_an_upgrade_is_an_ordinary_request():
    async def handle(request: Request, reply: Reply) -> None:
        assert request.header(b"upgrade") == b"websocket"
        reply.send(426, [(b"upgrade", b"HTTP/1.1"), (b"connection", b"upgrade")], await request.body())

    wire = Wire(handle)
    sent = await wire.feed(
        b"GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET[:5]
    )
    assert sent.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"connection: upgrade\r\n" in sent
    assert not wire.transport.closed


async def test_one_empty_line_before_a_request_is_allowed():
    wire = Wire(echo)
    assert (await wire.feed(b"\r\n" + GET)).startswith(b"HTTP/1.1 200")
    assert (await wire.feed(b"\r", b"\n", GET)).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "wire_bytes",
    [
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n",
        b"\n" + GET,
        b"\r\n\r\n" + GET,
        b"\x16\x03\x01\x02\x00\x01\x00",
        b" GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_faults_are_answered_400_and_end_the_connection(wire_bytes: bytes):
    wire = Wire(echo)
    sent = await wire.feed(wire_bytes + GET)
    assert sent.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert sent.count(b"HTTP/1.1 ") == 1
    assert b"connection: close\r\n" in sent
    assert json.loads(sent.partition(b"\r\n\r\n")[2])["error"]["type"] in (
        "invalid_request",
        "invalid_header",
    )
    assert wire.transport.ended
    assert await wire.feed(GET) == b""


async def test_a_fault_after_a_good_request_comes_after_its_reply():
    sent = await Wire(echo).feed(GET + b"GET / HTTP/1.1\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", sent) == [b"200", b"400"]


@pytest.mark.parametrize("split", [1, 100, 40000])
async def test_a_long_head_is_431(split: int):
    wire = Wire(echo)
    head = b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 33000 + b"\r\n\r\n"
    if split == 1:
        wire.inbound.data_received(head[:20])
        split = 1000
    sent = await wire.feed(*(head[at : at + split] for at in range(0, len(head), split)))
    assert sent.startswith(b"HTTP/1.1 431 ")


async def test_a_content_length_over_the_limit_is_refused_before_the_handler():
    async def handle(request: Request, reply: Reply) -> None:
        raise AssertionError("reached")

    wire = Wire(handle, Limits(max_body=100))
    sent = await wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n")
    assert sent.startswith(b"HTTP/1.1 413 ")


async def test_a_chunked_body_over_the_limit_is_413():
    wire = Wire(echo, Limits(max_body=10))
    head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert (await wire.feed(head + b"b\r\n")).startswith(b"HTTP/1.1 413 ")
    wire = Wire(echo, Limits(max_body=10))
    sent = await wire.feed(head, b"6\r\nabcdef\r\n", b"5\r\n")
    assert sent.startswith(b"HTTP/1.1 413 ")
    assert wire.transport.ended


async def test_bad_chunks_while_the_body_is_awaited_are_400():
    wire = Wire(echo)
    sent = await wire.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n")
    assert sent.startswith(b"HTTP/1.1 400 ")
    assert wire.transport.ended


async def test_write_error_shapes_the_replies():
    def write_error(request: Request | None, error: TierwiseError):
        return error.status, [(b"x-kind", error.kind.encode())], request.path.encode() if request else b"none"

    async def handle(request: Request, reply: Reply) -> None:
        raise Forbidden("No.")

    wire = Wire(handle, write_error=write_error)
    assert (await wire.feed(GET)).endswith(b"x-kind: permission\r\ncontent-length: 2\r\n\r\n/a")
    assert (await wire.feed(b"nonsense\r\n\r\n")).endswith(b"\r\n\r\nnone")


async def test_an_unexpected_error_is_a_500_without_its_words(caplog):
    async def handle(request: Request, reply: Reply) -> None:
        raise ValueError("secret words")

    wire = Wire(handle)
    sent = await wire.feed(GET)
    assert sent.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in sent
    assert "secret words" in caplog.text
    assert (await wire.feed(GET)).startswith(b"HTTP/1.1 500 ")


async def test_a_failing_write_error_is_a_plain_reply(caplog):
    def write_error(request, error):
        raise ValueError("no")

    sent = await Wire(echo, write_error=write_error).feed(b"nonsense\r\n\r\n")
    assert sent.startswith(b"HTTP/1.1 400 ")


async def test_a_handler_without_a_reply_is_a_500(caplog):
    async def handle(request: Request, reply: Reply) -> None:
        return None

    assert (await Wire(handle).feed(GET)).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("raises", [True, False])
async def test_a_reply_left_open_ends_the_connection_without_a_terminator(raises: bool, caplog):
    async def handle(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        await reply.write(b"part")
        if raises:
            raise Forbidden("No.")

    wire = Wire(handle)
    assert (await wire.feed(GET)).endswith(b"\r\n\r\n4\r\npart\r\n")
    assert wire.transport.closed


async def test_a_bad_header_of_the_handler_sends_nothing_of_its_reply():
    async def handle(request: Request, reply: Reply) -> None:
        with pytest.raises(BadHeader):
            reply.send(200, [(b"x", b"a\r\nset-cookie: b")])
        assert not reply.started
        reply.send(500, [], b"fixed")

    sent = await Wire(handle).feed(GET)
    assert sent == b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 5\r\n\r\nfixed"


async def test_a_reply_cannot_be_started_twice():
    async def handle(request: Request, reply: Reply) -> None:
        reply.send(200, [])
        with pytest.raises(TierwiseError):
            reply.send(200, [])
        with pytest.raises(TierwiseError):
            await reply.write(b"x")

    assert (await Wire(handle).feed(GET)).count(b"HTTP/1.1") == 1
