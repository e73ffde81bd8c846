"""Watches a Gemini stream that passes through as bytes.

Gemini has no terminator: its end is the piece after which every candidate has told its finishReason, or the
one that says the prompt was blocked. Each piece is read by one typed decode, which leaves images undecoded,
and usage until it is asked for, since every piece tells it anew.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from ...errors import UpstreamBroke, UpstreamStatus
from ...nouns import Usage
from .. import lax, sse
from .errors import read_error_object
from .frames import LIMIT, Objects
from .usage import Grounding, WireUsage, mapped, sought, usage_of

_ABSENT = Raw(b"")
# Two line ends; a bare CR is one too, so that a cut between CR and LF cannot let the end slip through.
_END = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n|\r|\n)")
_SEAM = 3
_SPACE = b" \t\r\n"


class _Call(Struct):
    args: Raw = _ABSENT


class _Part(Struct):
    text: str | None = None
    call: _Call | None = field(name="functionCall", default=None)
    inline: Raw = field(name="inlineData", default=_ABSENT)
    file: Raw = field(name="fileData", default=_ABSENT)
    code: Raw = field(name="executableCode", default=_ABSENT)


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct):
    index: int | None = None
    content: _Content | None = None
    finish: str | None = field(name="finishReason", default=None)
    grounding: Grounding | None = field(name="groundingMetadata", default=None)


class _Feedback(Struct):
    blocked: str | None = field(name="blockReason", default=None)


class _Chunk(Struct):
    candidates: list[_Candidate] | None = None
    usage: Raw = field(name="usageMetadata", default=_ABSENT)
    feedback: _Feedback | None = field(name="promptFeedback", default=None)
    model: str | None = field(name="modelVersion", default=None)
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_USAGE = msgspec.json.Decoder(WireUsage, strict=False)
_ANY = msgspec.json.Decoder(dict[str, Any])


class Tap:
    """See the Tap protocol. `usage` is `partial` until the stream's end."""

    def __init__(self) -> None:
        self.content = False
        self.ended = False
        self.error: UpstreamStatus | None = None
        self.text_bytes = 0
        self.malformed = False
        self.model: str | None = None
        self._told = _ABSENT  # the last usage, undecoded
        self._usage: Usage | None = None
        self._queries: dict[int, int] = {}
        self._mapped = False
        self._finished: dict[int, bool] = {}
        self._blocked = False
        self._pieces: list[bytes] = []  # the unfinished frame; joined once, so tiny chunks stay linear
        self._size = 0
        self._seam = b""  # its last bytes, where an end may have begun
        self._objects: Objects | None = None
        self._known = False

    @property
    def usage(self) -> Usage | None:
        """What the last piece told."""
        if self._usage is None and self._told is not _ABSENT:
            try:
                wire = _USAGE.decode(self._told)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return None
            if wire.said():
                found = sought(sum(self._queries.values()), self._mapped, self.model or "")
                self._usage = usage_of(wire, "reported" if self._whole() else "partial", found)
        return self._usage

    @usage.setter
    def usage(self, usage: Usage | None) -> None:
        self._usage = usage

    def feed(self, data: bytes) -> int:
        """Offset from which `data` must be held back: where the piece that ends the stream begins in it."""
        if not self._known and (head := data.lstrip(_SPACE)):
            self._known = True
            self._objects = Objects() if head[:1] in (b"[", b"{") else None
        hold = self._array(data) if self._objects is not None else self._events(data)
        self.ended = self._whole()
        return hold if self.ended else len(data)

    def _array(self, data: bytes) -> int:
        assert self._objects is not None
        hold = len(data)
        try:
            for text in self._objects.feed(data):
                self._chunk(text)
                hold = 0  # the piece may have begun earlier; holding more is safe
        except UpstreamBroke:
            self.malformed = True
        return 0 if self.ended else hold

    def _events(self, data: bytes) -> int:
        hold = len(data)
        shift = len(self._seam)
        start = 0  # of the frame, in `data`
        for end in _END.finditer(self._seam + data if shift else data):
            stop = end.end() - shift
            self._pieces.append(data[start:stop])
            text = b"".join(self._pieces)
            self._pieces, self._size, self._seam = [], 0, b""
            begun = self._whole()
            self._frame(text)
            if self._whole() and not begun:
                hold = start
            start = stop
        if start < len(data):
            self._pieces.append(data[start:])
            self._size += len(data) - start
            self._seam = (self._seam + data[start:])[-_SEAM:]
            if self._size > LIMIT:
                self.malformed = True
                self._pieces, self._size, self._seam = [], 0, b""
        return 0 if self.ended else hold

    def _whole(self) -> bool:
        return all(self._finished.values()) if self._finished else self._blocked

    def _frame(self, text: bytes) -> None:
        """One event: its data lines are one JSON text, comments and names are nothing."""
        if text.startswith(b"data: {") and text.find(b"\n", 0, -4) < 0 and text.find(b"\r", 0, -4) < 0:
            payload = text[6:]
        else:
            lines = (line for line in text.removeprefix(sse.BOM).splitlines() if line.startswith(b"data:"))
            payload = b"\n".join(line[5:].strip() for line in lines)
        if payload and payload != b"[DONE]":
            self._chunk(payload)

    def _chunk(self, text: bytes) -> None:
        try:
            chunk = _CHUNK.decode(text)
        except msgspec.ValidationError:
            self._odd(text)
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = lax.again(_CHUNK, text)
            if found is None:
                self.malformed = True
                return
            chunk = found
        if chunk.error:
            self.error = read_error_object(chunk.error, 0)
            return
        self.model = chunk.model or self.model
        for place, candidate in enumerate(chunk.candidates or ()):
            number = place if candidate.index is None else candidate.index
            self._finished[number] = bool(candidate.finish) or self._finished.get(number, False)
            for part in (candidate.content.parts if candidate.content else None) or ():
                self._part(part)
            if candidate.grounding is not None:
                if candidate.grounding.queries:
                    self._queries[number] = len(candidate.grounding.queries)
                self._mapped = self._mapped or mapped(candidate.grounding.grounds)
        if chunk.feedback is not None and chunk.feedback.blocked:
            self._blocked = True
        if chunk.usage is not _ABSENT:
            self._told = chunk.usage.copy()  # else it would keep the whole piece alive
        self._usage = None  # what was computed is stale, if only because the stream is whole now

    def _part(self, part: _Part) -> None:
        if part.text:
            self.content = True
            self.text_bytes += len(part.text) if part.text.isascii() else len(part.text.encode())
        if part.call is not None:
            self.content = True
            self.text_bytes += len(memoryview(part.call.args))
        elif part.inline is not _ABSENT or part.file is not _ABSENT or part.code is not _ABSENT:
            self.content = True

    def _odd(self, text: bytes) -> None:
        """A piece of another shape: for the client to judge, but its end must not be missed."""
        try:
            chunk = _ANY.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.malformed = True
            return
        self.content = True
        listed = chunk.get("candidates")
        for candidate in listed if isinstance(listed, list) else ():
            if isinstance(candidate, dict):
                number = candidate.get("index")
                key = number if isinstance(number, int) else 0
                told = bool(candidate.get("finishReason"))
                self._finished[key] = told or self._finished.get(key, False)
