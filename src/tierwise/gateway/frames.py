"""A stream's bytes as whole frames, each with the empty line that ends it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tierwise.dialects.sse import MAX_FRAME

_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def is_whole(frame: bytes) -> bool:
    """Whether `frame` has the empty line that ends it, or is too long for one."""
    return _END.search(frame) is not None or len(frame) > MAX_FRAME


class Frames:
    """The whole frames at the beginning of `data`; `rest` is what follows them, once they were taken."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def __iter__(self) -> Iterator[bytes]:
        data, at = self.rest, 0
        for end in _END.finditer(data):
            yield data[at : end.end()]
            at = end.end()
        self.rest = data[at:]
        if len(self.rest) > MAX_FRAME:  # no events at all, or one that fills memory
            yield self.rest
            self.rest = b""
