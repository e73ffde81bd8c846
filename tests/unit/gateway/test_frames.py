"""What of a stream may go to a caller: whole frames in any line ends, and none that nobody can read."""

from __future__ import annotations

import pytest

from tierwise.dialects.sse import MAX_FRAME
from tierwise.gateway.frames import Frames, sound, whole

ENDS = [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"]


@pytest.mark.parametrize("end", ENDS)
def test_a_frame_waits_for_the_empty_line_that_ends_it(end: bytes) -> None:
    frame = b'data: {"a": 1}' + end
    assert whole(frame) == len(frame)
    assert whole(frame + b'data: {"b"') == len(frame)
    assert whole(frame[:10]) == 0
    frames = Frames(frame * 2 + b"data")
    assert list(frames) == [frame, frame]
    assert frames.rest == b"data"


def test_a_comment_and_what_is_too_long_for_a_frame_wait_for_nothing() -> None:
    assert whole(b'data: {"a": 1}\n\n: still here\n') == 29
    large = b"data: " + b"a" * MAX_FRAME
    assert whole(large) == len(large)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(
    "bad", [b"data: {oops", b'data: {"a": 1}}', b"data: \xff", b"data: " + b"[" * 100_000]
)
def test_frames_are_sound_up_to_the_first_that_is_no_json(bad: bytes, end: bytes) -> None:
    good = end.join(
        [b'event: a\ndata: {"a":\ndata: "\\ud83d"}', b": comment", b"data: [DONE]", b"data:", b""]
    )
    assert sound(good) == len(good)
    assert sound(good + bad + end + good) == len(good)


def test_what_is_nested_too_deeply_here_is_sound_when_it_is_closed() -> None:
    frame = b'data: {"type": "odd", "x": ["]", ' + b"[" * 100_000 + b"]" * 100_000 + b"]}\n\n"
    assert sound(frame) == len(frame)
