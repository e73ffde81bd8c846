"""How deep a request is nested: at most 64 levels, so that nobody who reads it on is brought down by it."""

from __future__ import annotations

import re
from itertools import accumulate

from ..errors import BadRequest

MOST_LEVELS = 64
_STRING = re.compile(rb'"[^"]*"')
_STEPS = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")  # 1 down and, as signed bytes, 1 up
_OTHERS = bytes(set(range(256)) - set(b'{[}]"'))
_PIECE = 1 << 16
_SHORT = 1 << 11


def refuse_deeper(body: bytes) -> None:
    """Raises BadRequest where `body`, which is JSON, has more levels of objects and lists."""
    if _has_many(body) and _is_deeper(body):
        raise BadRequest(
            f"The request body is nested too deeply: it has more than {MOST_LEVELS} levels.",
            "Send what is nested deeper as a text.",
        )


def _has_many(body: bytes) -> bool:
    """Whether so many levels may begin in it, strings included."""
    if len(body) < _SHORT:
        return body.count(b"{") + body.count(b"[") > MOST_LEVELS
    left = MOST_LEVELS
    for mark in (b"{", b"["):
        # Unlike `count`, which looks at every byte, `find` leaps over what is no mark.
        at = body.find(mark)
        while at >= 0:
            if not left:
                return True
            left -= 1
            at = body.find(mark, at + 1)
    return False


def _is_deeper(body: bytes) -> bool:
    # Every step is one call of C: no character of a long body is looked at in Python.
    marks = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_STEPS, _OTHERS)
    steps = memoryview(_STRING.sub(b"", marks)).cast("b")
    level = 0
    for at in range(0, len(steps), _PIECE):
        piece = steps[at : at + _PIECE]
        if max(accumulate(piece, initial=level)) > MOST_LEVELS:
            return True
        level += sum(piece)
    return False
