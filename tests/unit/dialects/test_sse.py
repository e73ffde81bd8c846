"""The event-stream parser and the terminator search, split at every byte."""

from __future__ import annotations

import pytest

from tierwise.dialects import sse
from tierwise.errors import UpstreamBroke


def parse(*chunks: bytes) -> list[tuple[str, str]]:
    parser = sse.Parser()
    frames = [frame for chunk in chunks for frame in parser.feed(chunk)]
    return [tuple(frame) for frame in frames + parser.finish()]


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b"data: a\n\n", [("", "a")]),
        (b"data:a\n\n", [("", "a")]),
        (b"data:  a\n\n", [("", " a")]),
        (b"event: e\ndata: a\n\n", [("e", "a")]),
        (b"data: a\ndata: b\n\n", [("", "a\nb")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [("", "a"), ("", "b")]),
        (b"data: a\r\rdata: b\r\r", [("", "a"), ("", "b")]),
        (b": comment\n\ndata: a\n\n", [("", "a")]),
        (b"data: a\n: comment\ndata: b\n\n", [("", "a\nb")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", "a")]),
        (b"event: e\n\ndata: a\n\n", [("", "a")]),
        (b"id: 1\nretry: 5\ndata: a\n\n", [("", "a")]),
        (b"data\n\n", [("", "")]),
        ("data: é😀\n\n".encode(), [("", "é😀")]),
        (b"data: a\n\ndata: b", [("", "a"), ("", "b")]),
        (b"\n\n\n", []),
        (b"", []),
    ],
)
def test_a_stream_means_the_same_split_at_every_byte(stream: bytes, frames: list[tuple[str, str]]) -> None:
    assert parse(stream) == frames
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == frames
    for cut in range(len(stream)):
        assert parse(stream[:cut], stream[cut:]) == frames


def test_bad_utf8_is_the_providers_fault() -> None:
    with pytest.raises(UpstreamBroke, match="UTF-8"):
        parse(b"data: \xff\n\n")


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * 100],
        [b"data: "] + [b"x" * 10] * 10,
        [b"data: " + b"x" * 50 + b"\n", b"data: " + b"x" * 50 + b"\n"],
        [b"data\n"] * 70,
        [b"data: " + b"x" * 100 + b"\n\n"],
    ],
)
def test_a_frame_has_a_bound(chunks: list[bytes]) -> None:
    parser = sse.Parser(limit=64)
    with pytest.raises(UpstreamBroke, match="64 bytes"):
        list(map(parser.feed, chunks))


def test_sound_frames_before_a_bad_one_are_given_back() -> None:
    parser = sse.Parser()
    assert parser.feed(b"data: a\n\ndata: \xff\n\ndata: b\n\n") == [("", "a")]
    with pytest.raises(UpstreamBroke):
        parser.feed(b"data: c\n\n")
    with pytest.raises(UpstreamBroke):
        parser.finish()


def test_the_bound_is_per_frame_not_per_stream() -> None:
    parser = sse.Parser(limit=64)
    frames = [frame for _ in range(100) for frame in parser.feed(b"data: " + b"x" * 30 + b"\n\n")]
    assert len(frames) == 100


def test_written_frames_are_read_back() -> None:
    written = sse.frame(b'{"a":1}') + sse.event_frame("ping", b"{}")
    assert parse(written) == [("", '{"a":1}'), ("ping", "{}")]


STREAM = b'data: {"text":"data: [DONE]"}\n\ndata: [DONE]\n\n'
AT = STREAM.rindex(b"data: [DONE]")


def test_the_terminator_is_found_at_a_lines_start_only() -> None:
    search = sse.LineSearch(b"data: [DONE]")
    assert search.find(STREAM) == AT
    assert search.found


def test_the_terminator_is_found_over_every_split() -> None:
    for cut in range(1, len(STREAM)):
        search = sse.LineSearch(b"data: [DONE]", b"data:[DONE]")
        first = search.find(STREAM[:cut])
        if cut < AT + len(b"data: [DONE]"):
            assert (first, search.found) == (cut, False)
            assert search.find(STREAM[cut:]) == max(AT - cut, 0)
            assert search.found
        else:
            assert first == AT


def test_the_terminator_is_found_byte_by_byte() -> None:
    search = sse.LineSearch(b"data: [DONE]")
    held = [i for i in range(len(STREAM)) if search.find(STREAM[i : i + 1]) == 0]
    assert held == [AT + len(b"data: [DONE]") - 1]


def test_a_terminator_may_open_the_stream() -> None:
    search = sse.LineSearch(b"data: [DONE]")
    assert search.find(b"data: [DONE]\n\n") == 0
