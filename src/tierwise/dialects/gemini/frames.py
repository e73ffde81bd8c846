"""The pieces of a Gemini stream, in either of its forms: server-sent events (`alt=sse`), or one JSON array
that arrives piece by piece.
"""

from __future__ import annotations

import re

from ...errors import UpstreamBroke
from .. import sse

LIMIT = 48 << 20
"""Bytes one piece may have: a model's images come inline."""
_TOKEN = re.compile(rb'[{}"]')
_SPACE = b" \t\r\n"


class Objects:
    """The top-level objects of a JSON array that arrives in pieces. What stands between them is not looked
    at; each byte is scanned once.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, data: bytes) -> list[bytes]:
        """Objects completed by `data`. UpstreamBroke on one over the limit."""
        found: list[bytes] = []
        start, at = 0, 0
        while at < len(data):
            if self._in_string:
                at = self._string(data, at)
                continue
            token = _TOKEN.search(data, at)
            if token is None:
                break
            at = token.end()
            if token[0] == b'"':
                self._in_string = self._depth > 0
            elif token[0] == b"{":
                if self._depth == 0:
                    start = token.start()
                self._depth += 1
            elif self._depth:
                self._depth -= 1
                if self._depth == 0:
                    found.append(b"".join((*self._pieces, data[start:at])))
                    self._pieces, self._size = [], 0
        if self._depth:
            self._pieces.append(data[start:])
            self._size += len(data) - start
            if self._size > LIMIT:
                raise UpstreamBroke(f"The provider sent a stream frame of more than {LIMIT} bytes.")
        return found

    def _string(self, data: bytes, at: int) -> int:
        """Skips the string that `data[at:]` continues; gives where it ends or len(data)."""
        if self._escaped:
            self._escaped = False
            at += 1
        while True:
            quote, slash = data.find(b'"', at), data.find(b"\\", at)
            if quote < 0 and slash < 0:
                return len(data)
            if quote >= 0 and (slash < 0 or quote < slash):
                self._in_string = False
                return quote + 1
            at = slash + 2
            if at > len(data):
                self._escaped = True
                return len(data)


class Frames:
    """JSON texts out of a stream's bytes, whatever form they have; the first byte tells which."""

    def __init__(self) -> None:
        self._events = sse.Parser(LIMIT)
        self._objects: Objects | None = None
        self._known = False

    def feed(self, data: bytes) -> list[bytes]:
        """The texts completed by `data`, in order. UpstreamBroke on one over the limit or bad UTF-8."""
        if not self._known:
            head = data.lstrip(_SPACE)
            if not head:
                return []
            self._known = True
            if head[:1] in (b"[", b"{"):
                self._objects = Objects()
        if self._objects is not None:
            return self._objects.feed(data)
        return [frame.data.encode() for frame in self._events.feed(data)]

    def finish(self) -> list[bytes]:
        """A last text that lacks only its closing line ends. It may be cut short: the caller must judge."""
        if self._objects is not None:
            return []
        return [frame.data.encode() for frame in self._events.finish()]
