"""What a passing stream says does not depend on how its provider writes events (WHATWG HTML § 9.2)."""

from __future__ import annotations

import random
import re
from itertools import cycle
from types import SimpleNamespace
from typing import Any, cast

import pytest

from conformance.test_capped import DIALECTS, FRAMES
from tierwise.dialects import registry
from tierwise.gateway.calling import Live
from tierwise.nouns import DialectName

PIECES = 3
FORMS: dict[str, dict[str, Any]] = {
    "LF": {},
    "CRLF": {"ends": [b"\r\n"]},
    "bare CR": {"ends": [b"\r"]},
    "all three": {"ends": [b"\r\n", b"\r", b"\r", b"\n", b"\n", b"\r\n", b"\r\n", b"\n", b"\r"]},
    "data over several lines": {"ends": [b"\r\n"], "lines": True},
    "a byte-order mark": {"begin": b"\xef\xbb\xbf"},
    "a byte-order mark and bare CR": {"begin": b"\xef\xbb\xbf", "ends": [b"\r"]},
    "no space": {"space": b""},
    "comments": {"around": [b": ping", b":"]},
    "ids": {"around": [b"id: 7", b"retry: 100"], "ends": [b"\r"]},
}


def written(
    dialect: str,
    ends: list[bytes] | None = None,
    lines: bool = False,
    begin: bytes = b"",
    space: bytes = b" ",
    around: list[bytes] | None = None,
) -> bytes:
    """A stream of `dialect` in a form of its own."""
    due, stream = cycle(ends or [b"\n"]), begin
    for frame in b"".join(FRAMES[dialect](PIECES)).replace(b"\r", b"").split(b"\n\n")[:-1]:
        if lines:
            frame = re.sub(rb', (?=")', b",\ndata: ", frame)
        said = frame.replace(b": ", b":" + space, 2).split(b"\n")
        if around:
            said = [said[0], around[0], *said[1:], around[1]]
        for line in [*said, b""]:
            end = next(due)
            while stream.endswith(b"\r") and not line and end[:1] == b"\n":
                end = next(due)  # else the two would be one line end
            stream += line + end
    return stream


def cuts(stream: bytes, how: int) -> list[bytes]:
    if how < 2:
        return [stream] if how == 0 else [bytes([byte]) for byte in stream]
    draw, at, pieces = random.Random(how), 0, []
    while at < len(stream):
        size = draw.randint(1, 60)
        pieces.append(stream[at : at + size])
        at += size
    return pieces


def passed(dialect: DialectName, pieces: list[bytes]) -> tuple[Live, bytes]:
    live = Live(cast(Any, SimpleNamespace()), cast(Any, None))
    live.tap = registry.get(dialect).tap()
    return live, b"".join(map(live.pass_on, pieces))


@pytest.mark.parametrize("how", range(5))
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_says_the_same_in_every_form(dialect: DialectName, form: str, how: int) -> None:
    stream = written(dialect, **FORMS[form])
    live, gone = passed(dialect, cuts(stream, how))
    plain, _ = passed(dialect, [written(dialect)])
    tap, wanted = live.tap, plain.tap
    assert tap is not None
    assert wanted is not None
    assert (tap.ended, tap.malformed, tap.error, live.broken) == (True, False, None, False)
    assert (tap.usage, tap.model, tap.content) == (wanted.usage, wanted.model, True)
    assert tap.text_bytes == wanted.text_bytes or "lines" in FORMS[form]  # which is an estimate's
    assert gone + live.held + live.rest == stream
    assert live.held  # what completes the stream waits for its row
    again, _ = passed(dialect, [gone])
    assert again.tap is not None
    assert not again.tap.ended
