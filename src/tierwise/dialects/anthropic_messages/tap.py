"""Watches an Anthropic stream that passes through as bytes, without decoding its ordinary deltas."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from ...errors import UpstreamStatus
from ...nouns import Usage
from .. import lax
from ..sse import MAX_FRAME, LineEnds
from .errors import failed
from .usage import WireUsage, merged, streamed_usage, usage_of


class _Message(Struct):
    model: str | None = None
    usage: WireUsage | None = None


class _Start(Struct):
    message: _Message | None = None


class _Stopped(Struct):
    stop_reason: str | None = None


class _Delta(Struct):
    usage: WireUsage | None = None
    delta: _Stopped | None = None


_START = msgspec.json.Decoder(_Start, strict=False)
_DELTA = msgspec.json.Decoder(_Delta, strict=False)
_ANY = msgspec.json.Decoder(dict[str, Any])
_TERMINATOR = re.compile(rb'(?:\A|\n)(?:event: ?message_stop|data: ?\{"type": ?"message_stop")')
_TYPE_FIRST = (b'{"type":"', b'{"type": "')
_QUIET = (b"signature", b"citations")


class Tap:
    """See the Tap protocol. `usage` is `partial` until a `message_delta` has told the output."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.content = False
        self.ended = False
        self.error: UpstreamStatus | None = None
        self.text_bytes = 0
        self.malformed = False
        self.model: str | None = None
        self._wire: WireUsage | None = None
        self._ends = LineEnds()
        self._rest = b""

    def feed(self, data: bytes) -> int:
        """Offset from which `data` must be held back, where the terminator's frame starts."""
        ends = self._ends
        lines = ends.feed(data) if ends.due or b"\r" in data else data
        hold = len(lines)
        before = len(self._rest)
        whole = self._rest + lines if before else lines
        # A line's start cannot be faked: a JSON string holds no raw line end.
        if not self.ended and b"message_stop" in whole and (match := _TERMINATOR.search(whole)):
            self.ended = True
            hold = max(0, match.start() + (whole[match.start()] == 0x0A) - before)
        self._frames(whole)
        return hold if lines is data else ends.place(data, hold)

    def _frames(self, whole: bytes) -> None:
        at = 0
        while (end := whole.find(b"\n\n", at)) >= 0:
            self._frame(whole, at, end)
            at = end + 2
        self._rest = whole[at:]
        if len(self._rest) > MAX_FRAME:
            self.malformed = True
            self._rest = b""

    def _frame(self, whole: bytes, at: int, end: int) -> None:
        start = whole.find(b"{", at, end)
        if start < 0:
            self.malformed = self.malformed or whole.find(b"data:", at, end) >= 0
            return
        # The event's name stands before its data or first in it; a server that does neither gets a decode.
        head = b""
        if whole.startswith(b"event", at):
            head = whole[at : whole.find(b"\n", at)]
        elif whole.startswith(_TYPE_FIRST, start):
            head = whole[start : start + 40]
        if b"content_block_delta" in head:
            self._delta(whole, start, end)
        elif b"content_block_start" in head:
            kind = whole.find(b'"content_block"', start, end)
            self.content = self.content or whole.find(b"tool_use", kind, end) >= 0
        elif b"content_block_stop" in head or b"ping" in head:
            return
        else:
            self._told(head, whole[start:end])
        if whole[end - 1] != 0x7D and not whole[at:end].rstrip().endswith(b"}"):
            self.malformed = True

    def _delta(self, whole: bytes, start: int, end: int) -> None:
        """Counts the answer's bytes: those of the delta's last string, escapes included."""
        at = whole.find(b'"delta"', start, end)
        mark = whole.find(b'_delta"', at, end)
        if at < 0 or mark < 0:
            self.malformed = True
            return
        kind = whole[at + 7 : mark]
        if b'"type"' not in kind[:12]:  # a server that writes it last gets a decode
            self._told(b"", whole[start:end])
            return
        if kind.endswith(_QUIET):
            return
        self.content = True
        opening = whole.find(b'"', whole.find(b":", mark, end), end)
        closing = whole.rfind(b'"}', opening, end)
        if closing < 0:  # `estimated_tokens` stands after the text
            closing = whole.rfind(b'",', opening, end)
        self.text_bytes += max(0, closing - opening - 1)

    def _told(self, head: bytes, body: bytes) -> None:
        """Takes in a frame from its first brace on: most have one line."""
        try:
            self._read(head, body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            lines = (b"data:" + body).splitlines()
            data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
            try:
                self._read(head, lax.mended(data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.malformed = True

    def _read(self, head: bytes, body: bytes) -> None:
        if b"message_start" in head:
            self._started(_START.decode(body).message or _Message())
        elif b"message_delta" in head:
            self._used(_DELTA.decode(body))
        elif b"message_stop" not in head:
            self._other(body)

    def _started(self, message: _Message) -> None:
        self.model = message.model
        self._wire = message.usage
        self.usage = None if message.usage is None else usage_of(message.usage, "partial")

    def _used(self, event: _Delta) -> None:
        told = event.usage
        if told is not None:
            self._wire = told if self._wire is None else merged(self._wire, told)
            stop = event.delta.stop_reason if event.delta is not None else None
            self.usage = streamed_usage(self._wire, told, stop)

    def _other(self, body: bytes) -> None:
        event = _ANY.decode(body)
        match event.get("type"):
            case "error":
                self.error = failed(event)
            case "message_start":
                self._started(_START.decode(body).message or _Message())
            case "message_delta":
                self._used(_DELTA.decode(body))
            case "message_stop":
                self.ended = True
            case "content_block_delta":
                self.content = True
                self.text_bytes += sum(
                    len(text)
                    for key, text in event.get("delta", {}).items()
                    if key != "type" and isinstance(text, str)
                )
