"""A stream's bytes as whole frames, each with the empty line that ends it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from tierwise.dialects.sse import EMPTY_LINE, MAX_FRAME

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_MIXED = re.compile(rb"\n\r(?=[^\n])")


def is_whole(frame: bytes) -> bool:
    """Whether `frame` has the empty line that ends it, or is too long for one."""
    return EMPTY_LINE.search(frame) is not None or len(frame) > MAX_FRAME


def whole(data: bytes) -> int:
    """Up to where `data` may go to a caller: where its last whole frame ends. A comment of one line waits
    for nothing, and neither does what is too long for a frame."""
    if data.endswith(b"\n\n"):
        return len(data)
    at = max(data.rfind(end) + len(end) if end in data else 0 for end in (b"\n\n", b"\n\r\n", b"\r\r"))
    for end in _MIXED.finditer(data, at):
        at = end.end()
    rest = len(data) - at
    comment = data.startswith(b":", at) and data.find(b"\n", at) == len(data) - 1
    return len(data) if comment or rest > MAX_FRAME else at


def sound(data: bytes) -> int:
    """Up to where whole frames can be read by a caller: where the first begins whose data is not JSON."""
    at = 0
    for end in EMPTY_LINE.finditer(data):
        lines = data[at : end.start()].splitlines()
        text = b"\n".join(line[5:] for line in lines if line.startswith(b"data:")).strip()
        if text and text != b"[DONE]":
            try:
                json.loads(text)  # laxer than the taps: half a surrogate pair breaks no caller
            except ValueError:
                return at
            except RecursionError:
                if not _closed(text):
                    return at
        at = end.end()
    return len(data)


def _closed(text: bytes) -> bool:
    """Whether what is nested too deeply to be read here has an end to each beginning."""
    bare = _STRING.sub(b"", text)
    return bare.count(b"[") == bare.count(b"]") and bare.count(b"{") == bare.count(b"}")


class Frames:
    """The whole frames at the beginning of `data`; `rest` is what follows them, once they were taken."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def __iter__(self) -> Iterator[bytes]:
        data, at = self.rest, 0
        for end in EMPTY_LINE.finditer(data):
            yield data[at : end.end()]
            at = end.end()
        self.rest = data[at:]
        if len(self.rest) > MAX_FRAME:  # no events at all, or one that fills memory
            yield self.rest
            self.rest = b""
