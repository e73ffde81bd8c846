"""`usage: {"include": true}` in a request's body: the reply's usage says its cost in dollars, exactly.

The words are OpenRouter's. The member is ours to read and does not go upstream. A cost that is not known is
null. Gemini's replies call their usage `usageMetadata`.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, structs

from tierwise.dialects.base import Dialect
from tierwise.dialects.spans import lay_over, strip
from tierwise.http1 import Block, Reply
from tierwise.money import pico_to_usd
from tierwise.nouns import Outline
from tierwise.upstream import Header

from .calling import Live
from .frames import Frames
from .passing import Passing
from .unasked import with_usage

_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def asked(surface: Dialect, body: bytes, outline: Outline) -> tuple[bytes, Outline]:
    """The request without the member; an OpenAI chat stream also asks for its usage."""
    body = strip(body, ("usage",))
    if surface.name == "openai_chat" and outline.stream and not outline.include_usage:
        body = with_usage(body)
        outline = structs.replace(outline, include_usage=True)
    return body, outline


class CostShown(Passing):
    """Stands before a Reply and has its methods: puts the cost of `live` beside the usage that passes."""

    def __init__(self, reply: Reply, live: Live) -> None:
        super().__init__(reply)
        self._live = live
        self._rest = b""
        self._gemini = live.entry.walk.surface.name == "gemini"
        self._name = "usageMetadata" if self._gemini else "usage"
        self._mark = f'"{self._name}"'.encode()

    def send(self, status: int, headers: list[Header] | Block, body: bytes = b"") -> None:
        """A whole reply."""
        self._reply.send(status, headers, self._with_cost(body))

    async def write(self, data: bytes) -> None:
        """Frames that `data` completes; at most one is held back."""
        frames = self._whole(data)
        if not self._gemini:  # whose every frame tells it, and only the last word on usage has a cost
            frames = list(map(self._shown, frames))
        if told := b"".join(frames):
            await self._reply.write(told)

    def end(self, last: bytes = b"") -> None:
        """The end of the stream, with whatever was held back."""
        frames = self._whole(last)
        words = [place for place, frame in enumerate(frames) if self._mark in frame]
        for place in words[-1:] if self._gemini else words:
            frames[place] = self._frame(frames[place])
        self._reply.end(b"".join(frames) + self._rest)

    def _whole(self, data: bytes) -> list[bytes]:
        frames = Frames(self._rest + data)
        whole = list(frames)
        self._rest = frames.rest
        return whole

    def _shown(self, frame: bytes) -> bytes:
        return self._frame(frame) if self._mark in frame else frame

    def _frame(self, frame: bytes) -> bytes:
        start, end = frame.find(b"{"), frame.rfind(b"}") + 1
        if b"message_start" in frame[:start] or start < 0:  # only the last word on usage has a cost
            return frame
        return frame[:start] + self._with_cost(frame[start:end]) + frame[end:]

    def _with_cost(self, body: bytes) -> bytes:
        """`body` with `cost` in its usage, or in that of the response it holds."""
        try:
            fields = _FIELDS.decode(body)
        except msgspec.DecodeError:
            return body
        usage, response = fields.get(self._name), fields.get("response")
        if usage is not None and memoryview(usage)[0] == ord("{"):
            return lay_over(body, {self._name: Raw(lay_over(bytes(usage), {"cost": Raw(self._cost())}))})
        if response is not None and fields.get("type") != b'"response.created"':
            return lay_over(body, {"response": Raw(self._with_cost(bytes(response)))})
        return body

    def _cost(self) -> bytes:
        """Of all Attempts, as in the header."""
        live = self._live
        live.observe()
        entry, pico = live.entry, live.entry.walk.spent_pico
        if entry.outcome is None and pico is not None:
            last = entry.so_far_pico() if entry.usage is not None else None
            pico = None if last is None else pico + last
        return b"null" if pico is None else dollars(pico).encode()


def dollars(pico: int) -> str:
    """Exact dollars as a JSON number without an exponent or needless zeros."""
    text = format(pico_to_usd(pico), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
