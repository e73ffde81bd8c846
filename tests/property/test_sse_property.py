"""Chunking never changes what a stream says."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tierwise.dialects import sse

LINES = st.sampled_from([b"data: ", b"data:", b"event: e", b":c", b"id: 1", b"", b"data: x", b"data", b"da"])
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n", b""])
TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=6).map(
    str.encode
)
STREAMS = st.lists(st.tuples(LINES, TEXT, ENDS).map(b"".join), max_size=12).map(b"".join)


def cut(stream: bytes, points: list[int]) -> list[bytes]:
    bounds = [0, *sorted(point % (len(stream) + 1) for point in points), len(stream)]
    return [stream[a:b] for a, b in pairwise(bounds)]


def frames(chunks: list[bytes]) -> list[sse.Frame]:
    parser = sse.Parser()
    return [frame for chunk in chunks for frame in parser.feed(chunk)] + parser.finish()


@given(STREAMS, st.lists(st.integers(0, 1000), max_size=8))
def test_frames_do_not_depend_on_chunks(stream: bytes, points: list[int]) -> None:
    assert frames(cut(stream, points)) == frames([stream])


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_any_text_survives_as_data_lines(texts: list[str]) -> None:
    """Each text's lines as data lines; the format cannot tell CR and CRLF from LF."""
    stream = b""
    wanted = []
    for text in texts:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        stream += b"".join(b"data: " + line.encode() + b"\n" for line in lines) + b"\n"
        wanted.append("\n".join(lines))
    assert [frame.data for frame in frames([stream])] == wanted


@given(STREAMS, STREAMS, st.lists(st.integers(0, 1000), max_size=8))
def test_the_terminator_is_held_wherever_the_chunks_end(head: bytes, tail: bytes, points: list[int]) -> None:
    stream = head + b"\ndata: [DONE]\n\n" + tail
    whole = sse.LineSearch(b"data: [DONE]")
    at = whole.find(stream)
    assert stream[at : at + 12] == b"data: [DONE]"
    search, passed = sse.LineSearch(b"data: [DONE]"), 0
    for chunk in cut(stream, points):
        offset = search.find(chunk)
        passed += offset
        if search.found:
            break
    assert search.found
    assert at <= passed < at + 12
