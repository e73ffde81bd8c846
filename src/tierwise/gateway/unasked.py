"""Usage of an OpenAI chat stream that only the gateway asked for: asked, and taken out again."""

from __future__ import annotations

import re

import msgspec

from tierwise.dialects.spans import lay_over, strip
from tierwise.http1 import Reply

from .frames import Frames
from .passing import Passing

_USAGE = re.compile(rb'"usage"\s*:\s*\{')
_LINES = re.compile(rb"[\r\n]+data:")
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')


class _Options(msgspec.Struct):
    stream_options: dict[str, msgspec.Raw] | None = None


def with_usage(body: bytes) -> bytes:
    """The request of a stream, its usage asked for beside the caller's other `stream_options`."""
    options = msgspec.json.decode(body, type=_Options).stream_options or {}
    return lay_over(body, {"stream_options": {**options, "include_usage": True}})


class UnaskedUsage(Passing):
    """Stands before a Reply and passes whole frames on, without their usage."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self._rest = b""

    async def write(self, data: bytes) -> None:
        """Frames that `data` completes; at most one is held back."""
        if kept := self._kept(data):
            await self._reply.write(kept)

    def end(self, last: bytes = b"") -> None:
        """The end of the stream, with whatever was held back."""
        self._reply.end(self._kept(last) + self._rest)

    def _kept(self, data: bytes) -> bytes:
        frames = Frames(self._rest + data)
        kept = b"".join(map(asked, frames))
        self._rest = frames.rest
        return kept


def asked(frame: bytes) -> bytes:
    """A frame without its usage: nothing, where there is nothing else in it."""
    if _USAGE.search(frame) is None:
        return frame
    if _NO_CHOICES.search(frame) is not None:
        return b""
    start, end = frame.index(b"{"), frame.rindex(b"}") + 1
    chunk = _LINES.sub(b"", frame[start:end])  # a JSON string holds no raw line end
    return frame[:start] + strip(chunk, ("usage",)) + frame[end:]
