"""However the network cuts a byte stream, the same requests and replies come out of it."""

import asyncio
import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.http1 import Origin, Reply, Request, Server
from tierwise.http1.inbound import Inbound
from tierwise.http1.intake import Chunked
from tierwise.http1.outbound import Outbound
from tierwise.http1.sweeper import Sweeper


class Memory(asyncio.Transport):
    def __init__(self):
        super().__init__()
        self.sent = b""
        self.closed = False

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def get_extra_info(self, name, default=None):
        return default

    def write(self, data):
        self.sent += data

    def writelines(self, lines):
        self.sent += b"".join(lines)

    def get_write_buffer_size(self):
        return 0

    def can_write_eof(self):
        return True

    def write_eof(self):
        pass

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    def abort(self):
        self.closed = True


class Shelf:
    idle_s = 60.0

    def __init__(self):
        self.sweeper = Sweeper(asyncio.get_running_loop())
        self.kept = 0

    def keep(self, outbound):
        self.kept += 1
        return True

    def forget(self, outbound):
        pass


def pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(wire), *(cut % (len(wire) + 1) for cut in cuts)})
    return [wire[a:b] for a, b in pairwise(edges)]


def chunked(body: bytes, sizes: list[int]) -> bytes:
    out, at = b"", 0
    for size in sizes:
        piece = body[at : at + size]
        if piece:
            out += b"%x;e=1\r\n%b\r\n" % (len(piece), piece)
            at += size
    if body[at:]:
        out += b"%X\r\n%b\r\n" % (len(body) - at, body[at:])
    return out + b"0\r\nT: v\r\n\r\n"


BODY = st.binary(max_size=80)
SIZES = st.lists(st.integers(1, 30), max_size=5)
CUTS = st.lists(st.integers(0, 2000), max_size=25)


@st.composite
def requests(draw) -> tuple[bytes, tuple]:
    method = draw(st.sampled_from(["GET", "POST", "HEAD", "PUT"]))
    path = draw(st.sampled_from(["/", "/a/b", "/%20", "/models/x:go"]))
    query = draw(st.sampled_from(["", "a=1", "a?b"]))
    body = draw(BODY)
    extra = draw(st.lists(st.sampled_from([b"x: y", b"Accept: */*", b"Cookie: a=b", b"X-E: "]), max_size=3))
    lines = [f"{method} {path}{'?' + query if query else ''} HTTP/1.1".encode(), b"Host: h", *extra]
    if draw(st.booleans()):
        lines.append(b"Transfer-Encoding: chunked")
        wire_body = chunked(body, draw(SIZES))
    else:
        lines.append(b"Content-Length: %d" % len(body))
        wire_body = body
    return b"\r\n".join([*lines, b"", wire_body]), (method, path, query, body, len(lines) - 1)


async def serve(parts: list[bytes]) -> tuple[list[tuple], bytes, bool]:
    seen: list[tuple] = []

    async def handle(request: Request, reply: Reply) -> None:
        body = await request.body()
        seen.append((request.method, request.path, request.query, body, len(request.headers)))
        reply.send(200, [(b"x", b"y")], body)

    loop = asyncio.get_running_loop()
    transport = Memory()
    inbound = Inbound(Server(handle), loop, Sweeper(loop))
    inbound.connection_made(transport)
    for part in parts:
        inbound.data_received(part)
        await asyncio.sleep(0)
    for _ in range(60):
        await asyncio.sleep(0)
    return seen, re.sub(rb"date: [^\r]*\r\n", b"", transport.sent), transport.closed


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=4), CUTS)
def test_any_split_of_requests_gives_the_same_replies(sent: list[tuple[bytes, tuple]], cuts: list[int]):
    wire = b"".join(raw for raw, _ in sent)
    seen, replies, closed = asyncio.run(serve(pieces(wire, cuts)))
    assert seen == [what for _, what in sent]
    expected = b"".join(
        b"HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: %d\r\n\r\n%b"
        % (len(body), b"" if method == "HEAD" else body)
        for _, (method, _, _, body, _) in sent
    )
    assert replies == expected
    assert not closed


async def fetch(parts: list[bytes], lost: bool) -> tuple[int, list, bytes, int]:
    shelf = Shelf()
    outbound = Outbound(Origin("http", "h", 80), shelf, asyncio.get_running_loop())
    outbound.connection_made(Memory())
    response = outbound.send((b"x",), False, (60.0, 60.0))
    assert response is not None
    for part in parts:
        outbound.data_received(part)
    if lost:
        outbound.eof_received()
        outbound.connection_lost(None)
    await response.head()
    return response.status, response.headers, await response.read(10**6), shelf.kept


@settings(max_examples=150, deadline=None)
@given(BODY, SIZES, CUTS, st.sampled_from(["length", "chunked", "close"]), st.booleans())
def test_any_split_of_a_response_reads_the_same(
    body: bytes, sizes: list[int], cuts: list[int], framing: str, interim: bool
):
    head = b"HTTP/1.1 200 OK\r\nX-One: 1\r\n"
    wire = {
        "length": head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body),
        "chunked": head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, sizes),
        "close": head + b"\r\n" + body,
    }[framing]
    if interim:
        wire = b"HTTP/1.1 100 Continue\r\n\r\n" + wire
    status, headers, got, kept = asyncio.run(fetch(pieces(wire, cuts), framing == "close"))
    assert (status, headers[0], got) == (200, (b"x-one", b"1"), body)
    assert kept == (framing != "close")


@settings(max_examples=200, deadline=None)
@given(BODY, SIZES, CUTS, st.binary(max_size=20))
def test_any_split_of_chunks_gives_the_body_and_the_rest(
    body: bytes, sizes: list[int], cuts: list[int], after: bytes
):
    intake, rest = Chunked(1000), b""
    for piece in pieces(chunked(body, sizes) + after, cuts):
        rest += piece if intake.done else intake.feed(piece)
    assert (intake.done, intake.body(), rest) == (True, body, after)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), CUTS, st.booleans())
def test_no_bytes_make_the_server_fail(noise: bytes, cuts: list[int], with_start: bool):
    start = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" if with_start else b""
    _, replies, _ = asyncio.run(serve(pieces(start + noise, cuts)))
    assert re.findall(rb"HTTP/1.1 (\d)", replies) in ([], [b"4"], [b"2"], [b"2", b"4"], [b"5"])
