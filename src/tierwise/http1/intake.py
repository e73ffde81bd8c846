"""A request body on its way in: bytes fed as they arrive, the whole given out once."""

from __future__ import annotations

import re

from tierwise.errors import BadRequest, TooLarge

_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16})"
    rb"(?:[ \t]*;[ \t]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # an extension's name, and its value
    rb"(?:=(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|\"[\t !#-\[\]-~\x80-\xff]*\"))?)*"
    rb"\r\n"
)
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[^\0\r\n]*\r\n")
_LINE_LIMIT = 1024
_TRAILERS_LIMIT = 8192
_FRAMING_FREE = 65536


def too_slow(what: str) -> BadRequest:
    """The refusal (status 408) of what should have come by now."""
    error = BadRequest(f"{what} came too slowly.")
    error.status = 408
    return error


class _Intake:
    """`left`: bytes still to come, of the body or of its current chunk."""

    __slots__ = ("_body", "_joined", "done", "left")

    _body: bytearray
    _joined: bytes | None
    done: bool
    left: int

    @property
    def size(self) -> int:
        """Bytes of body so far."""
        return len(self._body)

    def body(self) -> bytes:
        """The whole body; only when `done`."""
        if self._joined is None:
            self._joined = bytes(self._body)
            self._body = bytearray()
        return self._joined

    def take(self) -> bytes | bytearray:
        """The whole body, which is not held here any more; only when `done`."""
        body = self._body if self._joined is None else self._joined
        self._body, self._joined = bytearray(), b""
        return body


class Fixed(_Intake):
    """A body of `length` bytes. `feed` gives back what came after its end."""

    __slots__ = ()

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self._body = bytearray()
        self._joined = None

    @classmethod
    def whole(cls, body: bytes) -> Fixed:
        """A body that is already complete."""
        fixed = cls(0)
        fixed._joined = body
        return fixed

    def feed(self, data: bytes) -> bytes:
        left = self.left
        if len(data) <= left:
            self._body += data
            self.left = left - len(data)
            self.done = not self.left
            return b""
        self._body += data[:left]
        self.left = 0
        self.done = True
        return data[left:]


class Chunked(_Intake):
    """A chunked body of at most `limit` bytes. Extensions and trailers are checked and dropped.

    `feed` gives back what came after the end. BadRequest for bad framing, TooLarge over the limit.
    """

    __slots__ = ("_framing", "_held", "_limit", "_state", "_trailers")

    def __init__(self, limit: int) -> None:
        self.done = False
        self.left = 0
        self._limit = limit
        self._body = bytearray()
        self._joined = None
        self._held = b""  # the start of a line whose end has not come
        self._state = "size"
        self._framing = 0
        self._trailers = 0

    def feed(self, data: bytes) -> bytes:
        at = 0
        if self._held:
            data, self._held = self._held + data, b""
        while at < len(data):
            if self._state == "bytes":
                piece = data[at : at + self.left]
                self._body += piece
                self.left -= len(piece)
                at += len(piece)
                if not self.left:
                    self._state = "gap"
                continue
            end = data.find(b"\n", at, at + _LINE_LIMIT) + 1
            if not end:
                if len(data) - at >= _LINE_LIMIT:
                    raise BadRequest("A chunk line is too long.")
                self._check_start(data, at)
                self._held = data[at:]
                return b""
            self._line(data[at:end])
            at = end
            if self.done:
                return data[at:]
        return b""

    def _check_start(self, data: bytes, at: int) -> None:
        # Refused at once, not when the line's end comes: it may never come.
        if self._state == "gap" and data[at:] != b"\r":
            raise BadRequest("A chunk is longer than its size.")

    def _line(self, line: bytes) -> None:
        if self._state == "gap":
            if line != b"\r\n":
                raise BadRequest("A chunk is longer than its size.")
            self._state = "size"
        elif self._state == "size":
            self._size_line(line)
        elif line == b"\r\n":
            self.done = True
        else:
            self._trailers += len(line)
            if self._trailers > _TRAILERS_LIMIT:
                raise BadRequest("The trailers are too long.")
            if not _TRAILER.fullmatch(line):
                raise BadRequest("A trailer is malformed.")

    def _size_line(self, line: bytes) -> None:
        match = _SIZE_LINE.fullmatch(line)
        if match is None:
            raise BadRequest("A chunk size is malformed.")
        size = int(match[1], 16)
        if len(self._body) + size > self._limit:
            raise TooLarge(f"The request body is larger than {self._limit} bytes.")
        self._framing += len(line) + 2
        # A body of one-byte chunks or long extensions costs far more than it carries.
        if self._framing > _FRAMING_FREE + 4 * len(self._body):
            raise BadRequest("The chunks are too small.", "Send larger chunks, or a Content-Length.")
        self.left = size
        self._state = "bytes" if size else "trailers"
