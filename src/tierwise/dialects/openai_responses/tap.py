"""OpenAI responses: observing a stream that passes through as bytes.

Only frames that may tell something are decoded: the first, the last, and errors. The last event of a response
holds all of it, so it may come in many pieces: what is held back is the piece that completes it, since no
client sees an event before its empty line.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from ...errors import UpstreamStatus
from ...nouns import Usage
from .. import lax
from ..sse import EMPTY_LINE
from .errors import failed
from .usage import Response, usage_of

_LIMIT = 32 << 20
"""Bytes one frame may have."""
_KIND = re.compile(rb'(?:\A|[\r\n])(?:event: ?([\w.]+)|data: ?\{"type": ?"([\w.]+)")')
_DELTA = re.compile(rb'"delta"\s*:\s*"((?:[^"\\]|\\.)*)"')


class _Event(Struct):
    type: str | None = None
    response: Response | None = None


_EVENT = msgspec.json.Decoder(_Event)
_DONE = (b"response.completed", b"response.incomplete", b"response.cancelled")


class Tap:
    """The Tap of this dialect. Its streams always tell their usage."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.content = False
        self.ended = False
        self.error: UpstreamStatus | None = None
        self.text_bytes = 0
        self.malformed = False
        self.model: str | None = None
        self._pieces: list[bytes] = []  # the unfinished frame
        self._size = 0
        self._tail = b""  # its last bytes: an empty line may come in two halves

    def feed(self, data: bytes) -> int:
        """Offset from which to hold `data` back: where the frame that completes the response starts, 0 when
        it started earlier or was seen. A failed response is an error and is not held.
        """
        if self.ended:
            return 0
        tail = self._tail
        ends = [found.end() - len(tail) for found in EMPTY_LINE.finditer(tail + data)]
        if not ends:
            self._keep(data)
            return len(data)
        at = 0
        for end in ends:
            frame = b"".join([*self._pieces, data[at:end]]) if self._pieces else data[at:end]
            self._pieces.clear()
            self._size = 0
            self._frame(frame)
            if self.ended:
                return at
            at = end
        self._tail = b""
        self._keep(data[at:])
        return len(data)

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
            self._tail = (self._tail + rest)[-3:]
        if self._size > _LIMIT:
            self.malformed = True
            self._pieces.clear()
            self._size = 0

    def _frame(self, frame: bytes) -> None:
        match = _KIND.search(frame)
        kind = (match[1] or match[2]) if match is not None else b""
        if kind.endswith(b".delta"):
            self.content = True
            said = _DELTA.search(frame)
            if said is not None:
                self.text_bytes += said.end(1) - said.start(1)
        elif kind == b"response.output_item.added":
            self.content = self.content or b'_call"' in frame
        elif kind in (b"", b"error", b"response.created", b"response.failed", *_DONE):
            self._told(frame)
            return
        if b"data:" in frame and not frame.rstrip().endswith(b"}"):
            self.malformed = True

    def _told(self, frame: bytes) -> None:
        lines = [line for line in frame.splitlines() if line.startswith(b"data:")]
        text = b"\n".join(line[5:] for line in lines).strip()
        if not text or text == b"[DONE]":
            return
        try:
            event = _EVENT.decode(text)
        except msgspec.ValidationError:
            event = _Event()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = lax.again(_EVENT, text)
            if found is None:
                self.malformed = True
                return
            event = found
        kind, response = (event.type or "").encode(), event.response
        if not kind and (match := _KIND.search(frame)) is not None:
            kind = match[1] or b""
        if response is not None:
            self.model = response.model or self.model
            self.usage = usage_of(response) or self.usage
        if kind == b"error":
            self.error = failed(lax.decode(text))
        elif kind == b"response.failed":
            self.error = failed(response.error if response is not None else None)
        elif kind in _DONE:
            self.ended = True
        elif kind.endswith(b".delta"):
            self.content = True
            if (said := _DELTA.search(text)) is not None:
                self.text_bytes += said.end(1) - said.start(1)
