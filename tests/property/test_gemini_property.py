"""Gemini streams: reader, tap and the array form, wherever the bytes are cut."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tierwise.dialects.gemini import ArrayForm
from tierwise.nouns import (
    Ended,
    Usage,
    UsageSeen,
)
from unit.dialects.gemini.frames import FORMS, GEMINI, STREAM, read, tap_over


def cut(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(point % (len(data) + 1) for point in at)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


cuts = st.lists(st.integers(0, 10**6), max_size=40)


@given(at=cuts, form=st.sampled_from(sorted(FORMS)))
def test_reader_survives_any_cut(at: list[int], form: str) -> None:
    assert read(cut(FORMS[form], at)) == read([FORMS["crlf"]])


@given(cut_at=st.integers(0, len(FORMS["crlf"]) - 8))
def test_a_stream_cut_inside_its_last_piece_is_not_whole(cut_at: int) -> None:
    assert Ended() not in read([FORMS["crlf"][:cut_at]])


@given(at=cuts, form=st.sampled_from(sorted(FORMS)))
def test_tap_holds_the_end_at_any_cut(at: list[int], form: str) -> None:
    data = FORMS[form]
    tap, sent, held = tap_over(cut(data, at))
    assert tap.ended
    assert sent + held == data
    seen = [e.usage.output for e in GEMINI.reader().feed(sent) if isinstance(e, UsageSeen)]
    assert 16 not in seen  # the last piece is not whole at the client
    assert tap.usage == Usage(input=9, output=16, reasoning=6)
    assert (tap.content, tap.malformed, tap.error) == (True, False, None)
    assert tap.model == "gemini-3.1-flash-lite"
    words = "".join(
        part.get("text", "") for each in STREAM for part in each["candidates"][0]["content"]["parts"]
    )
    extra = 2 if form != "array" else 0
    assert tap.text_bytes >= len(words.encode()) + extra


@given(at=cuts)
def test_array_form_at_any_cut(at: list[int]) -> None:
    form = ArrayForm()
    out = b"".join(form.feed(data) for data in cut(FORMS["crlf"], at)) + form.close()
    assert msgspec.json.decode(out) == STREAM
