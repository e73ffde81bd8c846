"""Takes the usage chunk that only the gateway asked for out of an OpenAI chat stream."""

from __future__ import annotations

import re

from tierwise.http1 import Reply

from .passing import Passing

_END = b"\n\n"
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')


class UnaskedUsage(Passing):
    """Stands before a Reply and passes whole frames on, but for the one with no choices and a usage."""

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
        *frames, self._rest = (self._rest + data).split(_END)
        return b"".join(frame + _END for frame in frames if not unasked(frame))


def unasked(frame: bytes) -> bool:
    """Whether a frame is the usage chunk: no choices, and a usage object."""
    return b'"usage"' in frame and _NO_CHOICES.search(frame) is not None
