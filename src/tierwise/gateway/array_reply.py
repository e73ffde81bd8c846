"""A reply to Gemini's streamGenerateContent without `alt=sse`: the stream as elements of one JSON array."""

from __future__ import annotations

from tierwise.dialects.gemini.array import ArrayForm
from tierwise.http1 import Block, Reply
from tierwise.upstream import Header

from .passing import Passing, pairs_of

_ERROR = b'data: {"error"'


class ArrayReply(Passing):
    """Stands before a Reply and has its methods. A stream that failed is left without the array's end; a
    whole reply is an error, which is no array."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply)
        self._form = ArrayForm()

    def start(self, status: int, headers: list[Header] | Block) -> None:
        """The head, as JSON."""
        kept = [pair for pair in pairs_of(headers) if pair[0] != b"content-type"]
        self._reply.start(status, [(b"content-type", ArrayForm.content_type), *kept])

    async def write(self, data: bytes) -> None:
        """The elements that `data` completes."""
        elements = self._form.feed(data)
        if elements:
            await self._reply.write(elements)

    def end(self, last: bytes = b"") -> None:
        """The end of the array, after the elements that `last` completes."""
        elements = self._form.feed(last)
        self._reply.end(elements if last.startswith(_ERROR) else elements + self._form.close())
