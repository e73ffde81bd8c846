"""A Gemini stream of server-sent events as the JSON array that callers without `alt=sse` expect."""

from __future__ import annotations

from ..sse import Parser
from .frames import LIMIT


class ArrayForm:
    """Turns one stream's events into an array, element by element. Use one per reply.

    What `feed` gave is a whole array only once `close` has ended it; a stream that broke off is left without
    its end, so that the caller notices.
    """

    content_type = b"application/json; charset=UTF-8"

    def __init__(self) -> None:
        self._parser = Parser(LIMIT)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """The array's bytes that `data` completes, b"" when it completes no event."""
        return b"".join(self._element(frame.data) for frame in self._parser.feed(data))

    def close(self) -> bytes:
        """The end of the array, after an event that lacked only its closing line ends."""
        due = b"".join(self._element(frame.data) for frame in self._parser.finish())
        return due + (b"\n]\n" if self._begun else b"[]\n")

    def _element(self, text: str) -> bytes:
        head = b"\n,\r\n" if self._begun else b"["
        self._begun = True
        return head + text.encode()
