"""The head of a message: requests read strictly, replies and calls written safely.

llhttp (inside httptools) refuses most framing tricks. What it lets through and a strict server must not is
checked here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import httptools

from tierwise.errors import BadHeader, BadRequest, TooLarge

Headers = Sequence[tuple[bytes, bytes]]

_LINE = re.compile(rb"([A-Z-]+) ([A-Za-z0-9\-._~%!$&'()*+,;=:@/?\[\]]+) HTTP/1\.([01])\r\n")
_ANY_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) [!-~]+ HTTP/([0-9])\.[0-9]\r\n")
_ABSOLUTE = re.compile(rb"[Hh][Tt][Tt][Pp][Ss]?://([^/?@]+)(/[^?]*)?(?:\?(.*))?")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]*)(?::[0-9]*)?")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n", re.IGNORECASE)
_LENGTH_DIGITS = 15
_TARGET_LIMIT = 16384
_FRAMING = frozenset(
    spelling
    for name in (b"content-length", b"transfer-encoding", b"connection", b"host", b"date", b"keep-alive")
    for spelling in (name, name.title())
)
_SINGLE = frozenset((b"host", b"content-length", b"transfer-encoding", b"expect"))
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class Head:
    """A request head that passed every check. `length` is the body's size in bytes; None: chunked.

    `alike` is scratch for whoever reads the head: heads of one connection that differ in their length alone
    share it.
    """

    __slots__ = (
        "alike", "expects", "first", "headers", "keep_alive", "length", "method", "minor", "path", "query",
    )  # fmt: skip

    method: str
    path: str
    query: str
    minor: int
    length: int | None
    expects: bool
    keep_alive: bool

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.first: dict[bytes, bytes] = {}
        self.alike: dict[str, Any] = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value.rstrip()))

    def with_length(self, digits: bytes) -> Head:
        """The same head but for its Content-Length, of which it has one."""
        head = Head.__new__(Head)
        head.method, head.minor, head.path, head.query = self.method, self.minor, self.path, self.query
        head.expects, head.keep_alive, head.alike = self.expects, self.keep_alive, self.alike
        head.length = int(digits)
        head.first = first = self.first.copy()
        head.headers = headers = self.headers.copy()
        headers[headers.index((b"content-length", first[b"content-length"]))] = (b"content-length", digits)
        first[b"content-length"] = digits
        return head


class Last:
    """The last head of a connection. Most clients send the same one with every request but for the length of
    the body, and need not be read again then."""

    __slots__ = ("_after", "_before", "_digits", "_head")

    def __init__(self, raw: bytes, head: Head) -> None:
        found = _LENGTH.search(raw)
        start, end = found.span(1) if found is not None else (len(raw), len(raw))
        self._before, self._digits, self._after = raw[:start], raw[start:end], raw[end:]
        self._head = head

    def again(self, raw: bytes) -> Head | None:
        """The same head, with the length of this one; None where anything else differs."""
        start, end = len(self._before), len(raw) - len(self._after)
        if start > end or not (raw.startswith(self._before) and raw.endswith(self._after)):
            return None
        digits = raw[start:end]
        if digits == self._digits:
            return self._head
        if not self._digits or not digits.isdigit() or len(digits) > _LENGTH_DIGITS:
            return None
        self._head, self._digits = self._head.with_length(digits), digits
        return self._head


def read_head(raw: bytes, max_headers: int) -> Head:
    """The request head in `raw`, which ends with the blank line. BadRequest or BadHeader: what is wrong."""
    head = Head()
    try:
        httptools.HttpRequestParser(head).feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass  # An Upgrade is an offer, declined by an ordinary answer: the request is read as any other.
    except httptools.HttpParserError as error:
        raise _refusal(raw, str(error)) from None
    line = _LINE.match(raw)
    if line is None:
        raise _refusal(raw, "bad request line")
    head.method = line[1].decode("ascii")
    head.minor = 1 if line[3] == b"1" else 0
    headers = head.headers
    if len(headers) > max_headers:
        raise too_many_headers(max_headers)
    head.first = first = dict(headers)
    if len(first) != len(headers):
        head.first = first = dict(reversed(headers))
        _refuse_duplicates(headers)
    _read_target(head, line[2])
    host = first.get(b"host")
    if host is None:
        if head.minor:
            raise BadRequest("The request has no Host header.")
    elif not _HOST.fullmatch(host):
        raise BadHeader("The Host header is not a host.")
    _read_framing(head)
    connection = first.get(b"connection")
    if connection is None:
        head.keep_alive = head.minor == 1
    else:
        head.keep_alive = _keeps(connection.lower(), head.minor)
    return head


def line_only(raw: bytes) -> Head | None:
    """A Head that knows its request line alone, for a refusal in the words of its path; None where not even
    that can be read."""
    head, line = Head(), _LINE.match(raw)
    if line is None:
        return None
    head.method, head.minor, head.length = line[1].decode("ascii"), 1, 0
    head.expects = head.keep_alive = False
    try:
        _read_target(head, line[2])
    except BadRequest:
        return None
    return head


def _keeps(connection: bytes, minor: int) -> bool:
    if connection == b"keep-alive":
        return True
    options = [option.strip() for option in connection.split(b",")]
    return b"close" not in options and (minor == 1 or b"keep-alive" in options)


def _read_target(head: Head, target: bytes) -> None:
    if len(target) > _TARGET_LIMIT:
        error = TooLarge(f"The request target is longer than {_TARGET_LIMIT} bytes.")
        error.status = 414
        raise error
    if target[0] == 0x2F:  # "/"
        path, _, query = target.partition(b"?")
    elif target == b"*" and head.method == "OPTIONS":
        path, query = target, b""
    else:
        match = _ABSOLUTE.fullmatch(target)
        if match is None or head.method == "CONNECT" or not _HOST.fullmatch(match[1]):
            raise BadRequest("The request target is not a path.")
        path, query = match[2] or b"/", match[3] or b""
    head.path, head.query = path.decode("ascii"), query.decode("ascii")


def _read_framing(head: Head) -> None:
    first = head.first
    coding = first.get(b"transfer-encoding")
    length = first.get(b"content-length")
    if coding is not None:
        if length is not None or not head.minor:
            raise BadRequest("The request has conflicting body lengths.")
        if coding.lower() != b"chunked":
            raise BadRequest("The transfer coding is not known.", "Send chunked, or a Content-Length.")
        head.length = None
    else:
        head.length = int(length) if length else 0
    expect = first.get(b"expect")
    head.expects = expect is not None and head.minor == 1
    if head.expects and expect is not None and expect.lower() != b"100-continue":
        error = BadRequest("The expectation is not known.", "Only 100-continue is.")
        error.status = 417
        raise error


def _refuse_duplicates(headers: Headers) -> None:
    seen = set()
    for name, _ in headers:
        if name in _SINGLE:
            if name in seen:
                raise BadHeader(f"The {name.decode().title()} header is there twice.")
            seen.add(name)


def _refusal(raw: bytes, why: str) -> BadRequest:
    line = _ANY_LINE.match(raw)
    if line is not None and (line[2] != b"1" or not re.search(rb"HTTP/1\.[01]\r", line[0])):
        error = BadRequest("This HTTP version is not spoken here.", "Use HTTP/1.1.")
        error.status = 505
        return error
    if line is not None and why == "Invalid method encountered":
        error = BadRequest("This method is not known.")
        error.status = 501
        return error
    return BadHeader(f"The request head is malformed: {why}.")


def too_many_headers(limit: int) -> TooLarge:
    """The 431 for a head with more than `limit` headers."""
    error = TooLarge(f"The request has more than {limit} headers.")
    error.status = 431
    return error


def head_too_long(limit: int) -> TooLarge:
    """The 431 for a head of more than `limit` bytes."""
    error = TooLarge(f"The request head is longer than {limit} bytes.")
    error.status = 431
    return error


def header_block(headers: Headers | Block) -> bytes:
    """The header lines as bytes, each ended by CRLF.

    BadHeader when a name or value has CR, LF or NUL in it, or names a header that http1 writes itself.
    """
    if isinstance(headers, Block):
        return headers.lines
    if not headers:
        return b""
    parts: list[bytes] = []
    for name, value in headers:
        if name in _FRAMING and value != b"upgrade":  # a 426 has to say Connection: upgrade
            raise BadHeader(f"The {name.decode('latin-1')} header is written by http1 itself.")
        parts += (name, b": ", value, b"\r\n")
    block = b"".join(parts)
    if len(block) - len(block.translate(None, b"\r\n\0")) != 2 * len(headers):
        raise BadHeader("A header to be sent has a CR, LF or NUL in it.")
    return block


class Block:
    """Header lines that are checked and written once, for heads that are sent again and again. BadHeader as
    for `header_block`."""

    __slots__ = ("lines",)

    def __init__(self, headers: Headers) -> None:
        self.lines = header_block(headers)

    @classmethod
    def written(cls, lines: bytes) -> Block:
        """Of lines that are known to be well-formed, each with its CRLF: they are not checked again."""
        block = cls.__new__(cls)
        block.lines = lines
        return block

    def pairs(self) -> list[tuple[bytes, bytes]]:
        """The lines as names and values."""
        split = (line.partition(b": ") for line in self.lines.split(b"\r\n")[:-1])
        return [(name, value) for name, _, value in split]


def status_line(status: int) -> bytes:
    """`HTTP/1.1 200 OK` with its CRLF; the phrase is empty for a code that has none, such as 529."""
    return _STATUS.get(status) or b"HTTP/1.1 %d \r\n" % status
