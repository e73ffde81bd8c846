"""OpenAI chat completions: observing a stream that passes through as bytes.

Lines are cut only to find whole frames; a frame is decoded only for what it may tell. When the stream carries
usage, the length of the answer is not needed to the byte and is read off the frames without decoding them.
"""

from __future__ import annotations

import re

import msgspec
from msgspec import Struct

from ..errors import UpstreamStatus
from ..nouns import Usage
from .openai_chat_errors import read_error_object
from .openai_chat_usage import find
from .sse import MAX_FRAME, LineSearch

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_ERROR = re.compile(rb'"error"\s*:\s*[{"]')
_SAID = re.compile(
    rb'"(?:content|reasoning_content|reasoning|arguments|input|refusal)"\s*:\s*"((?:[^"\\]|\\.)+)"'
)
_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)+")')
_CALL = re.compile(rb'"(?:tool_calls|function_call)"\s*:\s*[\[{]')
_ANY = msgspec.json.Decoder()


class _Inner(Struct):
    arguments: str | None = None
    input: str | None = None


class _Call(Struct):
    function: _Inner | None = None
    custom: _Inner | None = None


class _Delta(Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Inner | None = None


class _Choice(Struct):
    delta: _Delta | None = None


class _Chunk(Struct):
    choices: list[_Choice] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class ChatTap:
    """The Tap of this dialect. `include_usage`: a usage chunk will come, so the count of answer bytes may be
    rough.
    """

    def __init__(self, include_usage: bool) -> None:
        self.usage: Usage | None = None
        self.content = False
        self.ended = False
        self.error: UpstreamStatus | None = None
        self.text_bytes = 0
        self.malformed = False
        self.model: str | None = None
        self._exact = not include_usage
        self._end = LineSearch(b"data: [DONE]", b"data:[DONE]")
        self._pieces: list[bytes] = []  # the unfinished line
        self._size = 0
        self._named = False  # the last event line said `error`

    def feed(self, data: bytes) -> int:
        """Offset from which to hold `data` back: where the terminator's line starts, 0 once it was seen."""
        if self.ended:
            return 0
        hold = self._end.find(data)
        self.ended = self._end.found
        cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
        if cut:
            if self._pieces:
                self._pieces.append(data[:cut])
                self._lines(b"".join(self._pieces))
                self._pieces.clear()
                self._size = 0
            else:
                self._lines(data[:cut])
        if cut < len(data):
            self._pieces.append(data[cut:])
            self._size += len(data) - cut
            if self._size > MAX_FRAME:
                self.malformed = True
                self._pieces.clear()
                self._size = 0
        return hold

    def _lines(self, block: bytes) -> None:
        """Looks through whole lines, all at once; goes line by line only where something was found."""
        if self.model is None and (named := _MODEL.search(block)):
            self.model = msgspec.json.decode(named[1], type=str)
        if _USAGE.search(block):
            for line in block.splitlines():
                if _USAGE.search(line):
                    self.usage = find(line[line.find(b"{") :]) or self.usage
        if self.error is None and (self._named or _ERROR.search(block) or b"event: error" in block):
            self._look_for_error(block)
        if self._exact:
            for line in block.splitlines():
                self._count(line)
            return
        for said in _SAID.finditer(block):
            self.content = True
            self.text_bytes += said.end(1) - said.start(1)
        if not self.content and _CALL.search(block):
            self.content = True
        if block.count(b"data: {") != block.count(b"}\n") + block.count(b"}\r"):
            for line in block.splitlines():
                self._check(line)

    def _look_for_error(self, block: bytes) -> None:
        for line in block.splitlines():
            if line.startswith((b"event: error", b"event:error")):
                self._named = True
            elif line.startswith(b"data:") and (self._named or _ERROR.search(line)):
                try:
                    chunk = _ANY.decode(line[5:])
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    self.malformed = True
                    return
                value = chunk.get("error") if isinstance(chunk, dict) else None
                if value or self._named:
                    self.error = read_error_object(value or chunk, 0)
                    return

    def _check(self, line: bytes) -> None:
        """Malformed when a data line is not one JSON object."""
        text = line[5:].strip() if line.startswith(b"data:") else b""
        if not text or text == b"[DONE]":
            return
        try:
            _CHUNK.decode(text)
        except msgspec.ValidationError:
            pass  # JSON, but not of the usual shape: for the client to judge
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.malformed = True

    def _count(self, line: bytes) -> None:
        """Counts a frame's answer bytes, as UTF-8."""
        text = line[5:].strip() if line.startswith(b"data:") else b""
        if not text or text == b"[DONE]":
            return
        try:
            choices = _CHUNK.decode(text).choices
        except msgspec.ValidationError:
            choices = None
            for said in _SAID.finditer(text):
                self.content = True
                self.text_bytes += said.end(1) - said.start(1)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.malformed = True
            return
        for choice in choices or ():
            if choice.delta is not None:
                self._delta(choice.delta)

    def _delta(self, delta: _Delta) -> None:
        said = delta.content or ""
        thought = delta.reasoning_content or delta.reasoning or ""
        text = f"{said}{thought}{delta.refusal or ''}"
        calls = delta.tool_calls or ()
        if delta.function_call is not None:
            calls = [*calls, _Call(function=delta.function_call)]
        for call in calls:
            self.content = True
            if call.function is not None:
                text += call.function.arguments or ""
            if call.custom is not None:
                text += call.custom.input or ""
        if text:
            self.content = True
            self.text_bytes += len(text) if text.isascii() else len(text.encode())
