import pytest

from tierwise.errors import BadHeader, BadRequest, TooLarge
from tierwise.http1.head import Block, Last, header_block, read_head, status_line


def read(line: bytes, *headers: bytes):
    return read_head(b"\r\n".join([line, *headers, b"", b""]), 64)


def test_a_request_head_is_read():
    head = read(b"POST /v1/x%20y?a=1&b=%3F HTTP/1.1", b"Host: h:80", b"X-One:\t1 \t", b"content-length: 12")
    assert (head.method, head.path, head.query) == ("POST", "/v1/x%20y", "a=1&b=%3F")
    assert head.headers == [(b"host", b"h:80"), (b"x-one", b"1"), (b"content-length", b"12")]
    assert (head.length, head.keep_alive, head.expects, head.minor) == (12, True, False, 1)


def test_the_first_of_several_values_counts():
    head = read(b"GET / HTTP/1.1", b"Host: h", b"Accept: a", b"Accept: b")
    assert head.first[b"accept"] == b"a"
    assert head.headers[1:] == [(b"accept", b"a"), (b"accept", b"b")]


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"http://h/x?y", "/x", "y"),
        (b"HTTP://h:80/x", "/x", ""),
        (b"http://h", "/", ""),
        (b"http://[::1]:80?y", "/", "y"),
        (b"//x", "//x", ""),
        (b"/a?b?c", "/a", "b?c"),
    ],
)
def test_targets(target: bytes, path: str, query: str):
    head = read(b"GET " + target + b" HTTP/1.1", b"Host: h")
    assert (head.path, head.query) == (path, query)


@pytest.mark.parametrize(
    ("version", "connection", "keep"),
    [
        (b"1.1", None, True),
        (b"1.1", b"close", False),
        (b"1.1", b"Keep-Alive, Close", False),
        (b"1.1", b"upgrade", True),
        (b"1.0", None, False),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"keep-alive, close", False),
    ],
)
def test_keep_alive(version: bytes, connection: bytes | None, keep: bool):
    headers = [b"Connection: " + connection] if connection else []
    assert read(b"GET / HTTP/" + version, b"Host: h", *headers).keep_alive is keep


def test_http_1_0_needs_no_host():
    assert read(b"GET / HTTP/1.0").minor == 0


def test_an_upgrade_is_read_as_an_ordinary_request():
    head = read(
        b"POST /ws HTTP/1.1", b"Host: h", b"Connection: upgrade", b"Upgrade: websocket", b"Content-Length: 3"
    )
    assert head.length == 3
    assert head.first[b"upgrade"] == b"websocket"


GET, POST, HOST = b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"Host: h"

REFUSED = {
    "TE and CL": (POST, HOST, b"Transfer-Encoding: chunked", b"Content-Length: 3"),
    "CL and TE": (POST, HOST, b"Content-Length: 3", b"Transfer-Encoding: chunked"),
    "duplicate CL": (POST, HOST, b"Content-Length: 3", b"Content-Length: 3"),
    "differing CL": (POST, HOST, b"Content-Length: 3", b"Content-Length: 4"),
    "listed CL": (POST, HOST, b"Content-Length: 3, 3"),
    "signed CL": (POST, HOST, b"Content-Length: +3"),
    "negative CL": (POST, HOST, b"Content-Length: -3"),
    "hex CL": (POST, HOST, b"Content-Length: 0x3"),
    "empty CL": (POST, HOST, b"Content-Length:"),
    "overflowing CL": (POST, HOST, b"Content-Length: 99999999999999999999"),
    "no Host": (GET,),
    "duplicate Host": (GET, HOST, HOST),
    "differing Host": (GET, HOST, b"Host: other"),
    "bad Host": (GET, b"Host: a/b"),
    "Host with a user": (GET, b"Host: u@h"),
    "two hosts in one": (GET, b"Host: a, b"),
    "obs-fold": (GET, HOST, b"X: a", b" b"),
    "obs-fold by tab": (GET, HOST, b"X: a", b"\tb"),
    "fold at the start": (GET, b" Host: h"),
    "bare LF after the line": (b"GET / HTTP/1.1\nHost: h",),
    "bare LF in the headers": (GET, b"Host: h\nX: y"),
    "CR in a value": (GET, HOST, b"X: a\rb"),
    "NUL in a value": (GET, HOST, b"X: a\0b"),
    "control in a value": (GET, HOST, b"X: a\x01b"),
    "NUL in a name": (GET, HOST, b"X\0: a"),
    "space before the colon": (GET, HOST, b"X : a"),
    "tab before the colon": (GET, HOST, b"X\t: a"),
    "no name": (GET, HOST, b": a"),
    "no colon": (GET, HOST, b"X"),
    "bad name": (GET, HOST, b"X@: a"),
    "bad method": (b"G@T / HTTP/1.1", HOST),
    "method with NUL": (b"GE\0T / HTTP/1.1", HOST),
    "two spaces": (b"GET  / HTTP/1.1", HOST),
    "tab for a space": (b"GET\t/ HTTP/1.1", HOST),
    "space in the target": (b"GET /a b HTTP/1.1", HOST),
    "control in the target": (b"GET /\x01 HTTP/1.1", HOST),
    "8-bit target": (b"GET /\xff HTTP/1.1", HOST),
    "fragment": (b"GET /a#b HTTP/1.1", HOST),
    "quote in the target": (b'GET /" HTTP/1.1', HOST),
    "no target": (b"GET HTTP/1.1", HOST),
    "relative target": (b"GET a HTTP/1.1", HOST),
    "authority target": (b"CONNECT h:80 HTTP/1.1", HOST),
    "asterisk for GET": (b"GET * HTTP/1.1", HOST),
    "other scheme": (b"GET ftp://h/ HTTP/1.1", HOST),
    "user in the target": (b"GET http://u@h/ HTTP/1.1", HOST),
    "no version": (b"GET /", HOST),
    "other protocol": (b"GET / RTSP/1.0", HOST),
    "lower-case version": (b"GET / http/1.1", HOST),
    "space after the version": (b"GET / HTTP/1.1 ", HOST),
    "unknown coding": (POST, HOST, b"Transfer-Encoding: gzip"),
    "coding before chunked": (POST, HOST, b"Transfer-Encoding: gzip, chunked"),
    "coding after chunked": (POST, HOST, b"Transfer-Encoding: chunked, gzip"),
    "chunked twice": (POST, HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "nearly chunked": (POST, HOST, b"Transfer-Encoding: xchunked"),
    "identity": (POST, HOST, b"Transfer-Encoding: identity"),
    "hidden chunked": (POST, HOST, b"Transfer-Encoding: \x0bchunked"),
    "empty coding": (POST, HOST, b"Transfer-Encoding:"),
    "chunked in HTTP/1.0": (b"POST / HTTP/1.0", HOST, b"Transfer-Encoding: chunked"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_400(name: str):
    line, *headers = REFUSED[name]
    with pytest.raises(BadRequest) as caught:
        read(line, *headers)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (b"GET / HTTP/2.0", (HOST,), 505),
        (b"GET / HTTP/1.2", (HOST,), 505),
        (b"GET / HTTP/0.9", (HOST,), 505),
        (b"BREW / HTTP/1.1", (HOST,), 501),
        (b"get / HTTP/1.1", (HOST,), 501),
        (POST, (HOST, b"Expect: 200-maybe"), 417),
        (b"GET /" + b"a" * 17000 + b" HTTP/1.1", (HOST,), 414),
        (GET, (HOST, *(b"X: y" for _ in range(64))), 431),
    ],
)
def test_refused_with_its_own_status(line: bytes, headers: tuple[bytes, ...], status: int):
    with pytest.raises(BadRequest) as caught:
        read(line, *headers)
    assert caught.value.status == status


def test_64_headers_are_allowed():
    assert len(read(GET, HOST, *(b"X: y" for _ in range(63))).headers) == 64


def test_the_error_for_too_many_headers_is_too_large():
    with pytest.raises(TooLarge):
        read(GET, HOST, *(b"X: y" for _ in range(64)))


def test_header_block():
    assert header_block([(b"a", b"1"), (b"b", b"")]) == b"a: 1\r\nb: \r\n"
    assert header_block([]) == b""


@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\0", b"\r\n", b"a\r\nset-cookie: x", b"\r\n "])
@pytest.mark.parametrize("where", ["name", "value"])
def test_header_injection_is_refused(bad: bytes, where: str):
    pair = (b"x" + bad, b"y") if where == "name" else (b"x", b"y" + bad)
    with pytest.raises(BadHeader):
        header_block([(b"a", b"1"), pair])


@pytest.mark.parametrize("name", [b"content-length", b"Transfer-Encoding", b"connection", b"host", b"date"])
def test_framing_headers_are_not_the_callers(name: bytes):
    with pytest.raises(BadHeader):
        header_block([(name, b"1")])


def test_a_426_may_name_its_upgrade():
    assert header_block([(b"connection", b"upgrade")]) == b"connection: upgrade\r\n"


def test_status_line():
    assert status_line(200) == b"HTTP/1.1 200 OK\r\n"
    assert status_line(529) == b"HTTP/1.1 529 \r\n"


def raw(length: bytes, more: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: %b\r\nX-One: 1\r\n%b\r\n" % (length, more)


def test_a_head_that_differs_in_its_length_alone_is_not_read_again():
    head = read_head(raw(b"5"), 64)
    head.alike["seen"] = True
    last = Last(raw(b"5"), head)
    assert last.again(raw(b"5")) is head
    for digits in (b"17", b"17", b"5", b"0"):
        again, fresh = last.again(raw(digits)), read_head(raw(digits), 64)
        assert again is not None
        assert again.alike is head.alike
        for name in set(head.__slots__) - {"alike"}:
            assert getattr(again, name) == getattr(fresh, name), name
    assert (head.length, head.first[b"content-length"]) == (5, b"5")


@pytest.mark.parametrize(
    "other",
    [
        raw(b"5", b"X-Two: 2\r\n"),
        raw(b"5").replace(b"/a", b"/b"),
        raw(b"5").replace(b"X-One: 1", b"X-One: 2"),
        raw(b"-5"),
        raw(b"+5"),
        raw(b""),
        raw(b"5 "),
        raw(b"5\r\nContent-Length: 6"),
        raw(b"5, 6"),
        raw(b"9" * 16),
        raw(b"5").replace(b"Content-Length: 5\r\n", b""),
        b"POST /a HTTP/1.1\r\nHost: h\r\n\r\n",
        b"",
    ],
)
def test_any_other_head_is_read_for_itself(other):
    assert Last(raw(b"5"), read_head(raw(b"5"), 64)).again(other) is None


def test_a_head_without_a_length_is_the_same_only_byte_by_byte():
    get = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
    head = read_head(get, 64)
    last = Last(get, head)
    assert last.again(get) is head
    assert last.again(raw(b"5")) is None
    assert last.again(get.replace(b"/a", b"/a/a")) is None


def test_a_block_is_checked_as_its_headers_are():
    assert Block([(b"x-one", b"1")]).lines == header_block([(b"x-one", b"1")])
    with pytest.raises(BadHeader):
        Block([(b"x-one", b"1\r\nx-two: 2")])
