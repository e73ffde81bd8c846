"""Which answers may be kept: whole ones, that ended by themselves, and not too long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.matrix import CODES
from conformance.matrix_replies import HELLO_REPLY
from conformance.matrix_streams import streamed
from tierwise.dialects import registry
from tierwise.gateway.cache.copying import Copying, read_whole

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


class Sink:
    """A Reply that remembers what it was told to do."""

    started = False

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> None:
        self.sent.append(body)

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True

    async def write(self, data: bytes) -> None:
        self.sent.append(data)

    def end(self, last: bytes = b"") -> None:
        self.sent.append(last)


async def test_what_passes_is_kept_up_to_a_length() -> None:
    for most, expected in ((6, b"abcdef"), (5, None)):
        sink = Sink()
        copying = Copying(sink, most)  # type: ignore[arg-type]
        copying.start(200, [])
        await copying.write(b"abc")
        copying.end(b"def")
        assert copying.started
        assert b"".join(sink.sent) == b"abcdef"
        assert copying.body == expected


@pytest.mark.parametrize("code", CODES)
def test_a_whole_answer(code: str) -> None:
    dialect = registry.get(CODES[code])
    whole = json.dumps(HELLO_REPLY[code]).encode()
    stream = b"".join(streamed(code, HELLO_REPLY[code]))
    assert read_whole(dialect, whole, False) is not None
    assert read_whole(dialect, stream, True) is not None
    assert read_whole(dialect, whole[:-3], False) is None
    if code != "G":  # Gemini has no terminator: its last frame says that it finished
        assert read_whole(dialect, stream[: stream.rindex(b"data:")], True) is None


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("C", {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "length"}]}),
        ("C", {"choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "content_filter"}]}),
        ("A", {"stop_reason": "max_tokens"}),
        ("A", {"stop_reason": "pause_turn"}),
        ("A", {"stop_reason": "refusal"}),
        ("R", {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}),
        ("G", {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "MAX_TOKENS"}]}),
        ("G", {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "SAFETY"}]}),
    ],
    ids=str,
)
def test_an_answer_cut_short(code: str, end: dict[str, Any]) -> None:
    body = json.dumps({**HELLO_REPLY[code], **end}).encode()
    assert read_whole(registry.get(CODES[code]), body, False) is None


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ({"content": ""}, False),
        ({"content": " \n"}, False),
        ({"content": None}, False),
        ({"content": "", "reasoning_content": "hm"}, False),
        ({"content": None, "refusal": "no"}, True),
        ({"content": None, "tool_calls": [TOOL_CALL]}, True),
    ],
)
def test_an_answer_without_a_word_is_not_kept(message: dict[str, Any], kept: bool) -> None:
    """A model that said nothing would say nothing for an hour."""
    body = json.loads(json.dumps(HELLO_REPLY["C"]))
    body["choices"][0]["message"] = {"role": "assistant", **message}
    assert (read_whole(registry.get("openai_chat"), json.dumps(body).encode(), False) is not None) is kept
    two = {**body["choices"][0], "index": 1}
    body["choices"] = [HELLO_REPLY["C"]["choices"][0], two]
    assert (read_whole(registry.get("openai_chat"), json.dumps(body).encode(), False) is not None) is kept
