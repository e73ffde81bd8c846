"""OpenAI chat: watching a stream that passes through as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.base import Tap
from tierwise.dialects.openai_chat import DIALECT
from tierwise.nouns import Usage

DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}


def chunk(delta: Any = None, **fields: Any) -> bytes:
    body = {"id": "c1", "model": "m-1", "choices": [{"index": 0, "delta": delta or {}}], **fields}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def tapped(stream: bytes, size: int | None = None) -> tuple[Tap, int]:
    """The tap after `stream`, and how many bytes it let pass."""
    tap, passed = DIALECT.tap(), 0
    size = size or len(stream)
    for at in range(0, len(stream), size):
        data = stream[at : at + size]
        offset = tap.feed(data)
        passed += offset
        if offset < len(data):
            break
    return tap, passed


STREAM = (
    chunk({"role": "assistant", "content": ""}, usage=None)
    + chunk({"content": 'say "usage":{} data: [DONE]'}, usage=None)
    + chunk({"reasoning_content": "héé"}, usage=None)
    + chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}, usage=None)
    + chunk(choices=[], usage=USAGE)
    + DONE
)
SAID = len('say "usage":{} data: [DONE]') + len("héé".encode()) + 2


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 200, None])
def test_a_whole_stream_at_any_chunking(size: int | None) -> None:
    tap, passed = tapped(STREAM, size)
    assert len(STREAM) - len(DONE) <= passed < len(STREAM) - 2
    assert (tap.usage, tap.content, tap.ended, tap.model) == (Usage(10, output=4), True, True, "m-1")
    assert (tap.error, tap.malformed) == (None, False)
    assert tap.text_bytes == SAID


def test_after_the_end_everything_is_held() -> None:
    tap = DIALECT.tap()
    tap.feed(STREAM)
    assert tap.feed(b"data: more\n\n") == 0


def test_the_role_alone_is_no_content() -> None:
    tap = DIALECT.tap()
    assert tap.feed(b": ping\n\n") == 8
    tap.feed(chunk({"role": "assistant", "content": "", "tool_calls": None}))
    assert not tap.content
    tap.feed(chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": ""}}]}))
    assert tap.content


def test_a_stream_that_breaks_off() -> None:
    tap, _ = tapped(chunk({"content": "abc"}) + b'data: {"cho')
    assert (tap.ended, tap.usage, tap.text_bytes, tap.malformed) == (False, None, 3, False)


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (b'data: {"error":{"message":"m","code":"rate_limit_exceeded"}}\n\n', 429),
        (b'data: {"error": "m"}\n\n', 500),
        (b'event: error\ndata: {"message":"m","type":"overloaded_error"}\n\n', 529),
    ],
)
def test_an_error_event_is_seen(frame: bytes, status: int) -> None:
    tap, _ = tapped(chunk({"content": "a"}) + frame, 5)
    assert tap.error is not None
    assert (tap.error.status, tap.error.message, tap.ended) == (status, "m", False)


def test_the_word_error_in_an_answer_is_no_error() -> None:
    tap, _ = tapped(chunk({"content": '{"error": {"message": "x"}}'}) + chunk({"content": "error"}))
    assert tap.error is None


@pytest.mark.parametrize("bad", [b"data: {oops\n\n", b'data: {"a":\n\n', b'data: {"a":1\r\n\r\n'])
def test_malformed_frames_are_noticed(bad: bytes) -> None:
    tap, _ = tapped(chunk({"content": "a"}) + bad + chunk({"content": "b"}))
    assert tap.malformed
    assert tap.text_bytes == 2


def test_strange_but_sound_frames_are_not_malformed() -> None:
    tap, _ = tapped(chunk({"content": ["odd"]}) + b'data: {"choices": 5}\n\ndata: 7\n\n')
    assert not tap.malformed
    odd = {"content": ["odd"]}
    told = chunk(odd, usage=USAGE, service_tier="flex") + chunk(odd) + chunk(odd, usage=None) + DONE
    tap, _ = tapped(told)
    assert tap.usage == Usage(10, output=4, service_tier="flex")
    assert (tap.content, tap.text_bytes > 0) == (True, True)


def test_usage_of_other_servers_and_the_last_one_counts() -> None:
    running = chunk({"content": "a"}, usage={"prompt_tokens": 10, "completion_tokens": 1})
    inside = b'data: {"choices":[{"delta":{},"usage":{"prompt_tokens":10,"completion_tokens":4}}]}\r\n\r\n'
    for last in (
        chunk(usage=USAGE),
        inside,
        b'data: {"usage" : {"prompt_tokens":10,"completion_tokens":4},"choices":[]}\n',
        chunk(x_groq={"id": "req_1", "usage": {**USAGE, "queue_time": 0.07}}),
    ):
        tap, _ = tapped(running + running + last + DONE, True)
        assert tap.usage == Usage(10, output=4)


@pytest.mark.parametrize(("piece", "times"), [(b"x" * 65536, 40), (b"data: {\n" * 8192, 50)])
def test_what_has_no_end_is_malformed_and_not_kept(piece: bytes, times: int) -> None:
    tap = DIALECT.tap()
    for _ in range(times):
        tap.feed(piece)
    assert tap.malformed
    tap.feed(b"\n" + chunk({"content": "a"}))
    assert tap.content


@pytest.mark.parametrize("size", [1, 7, None])
@pytest.mark.parametrize("done", [b"data:   [DONE]\n\n", b"data:\t[DONE] \r\n\r\n"])
def test_an_end_in_a_spelling_of_its_own_is_one(done: bytes, size: int | None) -> None:
    stream = STREAM.removesuffix(DONE) + done
    tap, passed = tapped(stream, size)
    assert (tap.ended, tap.malformed, tap.error) == (True, False, None)
    assert passed < len(stream)  # the end waits for its row
