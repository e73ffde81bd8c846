"""Anthropic's stream: reading, writing, and watching it pass."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.dialects.anthropic_messages.read import read_citation
from tierwise.errors import UpstreamBroke
from tierwise.nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Message,
    Opaque,
    Ping,
    Reasoning,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from unit.dialects.anthropic_messages.frames import (
    CITATION,
    FULL,
    delta,
    ending,
    message,
    opening,
    parsed,
    start,
    stop,
    wire,
)

SCHEMA = Path(__file__).parents[5] / "shared/data/schemas/anthropic-2.12.0-RawMessageStreamEvent.schema.json"
DIALECT = registry.get("anthropic_messages")
OURS = "anthropic_messages"
ASK = Ask(OURS, "claude-x", (Message("user", (Text("hi"),)),))

SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
EVENTS: list[Event] = [
    Started("msg_1", "claude-x", 0, Usage(10, 0, 2, 4, 1, source="partial")),
    BlockStart(0, "thinking", Thinking(origin=OURS)),
    Ping(),
    Delta(0, "hmm — ü"),
    Signed(0, "sig"),
    BlockStop(0),
    BlockStart(1, "thinking", Thinking(encrypted="zz", origin=OURS)),
    BlockStop(1),
    BlockStart(2, "text", Text("")),
    Delta(2, "The answer\n"),
    Delta(2, 'is "event: message_stop"'),
    Cited(2, read_citation(CITATION)),
    BlockStop(2),
    BlockStart(3, "opaque", Opaque(OURS, "server_tool_use", SEARCH)),
    BlockStop(3),
    BlockStart(4, "opaque", Opaque(OURS, "web_search_tool_result", FOUND)),
    BlockStop(4),
    BlockStart(5, "tool_call", ToolCall("t1", "f", "")),
    Delta(5, '{"a":'),
    Delta(5, "1}"),
    BlockStop(5),
    BlockStart(6, "tool_call", ToolCall("t2", "g", "")),
    Delta(6, "{}"),
    BlockStop(6),
    Finished("tool_calls"),
    UsageSeen(Usage(10, 3, 2, 4, 9, extra={"web_search": 1})),
    Ended(),
]


def read(*pieces: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


def write(*events: Event, ask: Ask = ASK) -> tuple[bytes, list[str]]:
    writer = DIALECT.writer(ask)
    out = b"".join(writer.write(event) for event in events)
    return out, [loss.name for loss in writer.losses]


def test_a_stream_becomes_events() -> None:
    assert read(FULL) == EVENTS


def test_other_framings_read_the_same() -> None:
    crlf = FULL.replace(b"\n", b"\r\n")
    bare = re.sub(rb"^event: ", b": was ", FULL, flags=re.M).replace(b"\ndata: ", b"\ndata:")
    assert read(crlf) == read(bare) == read(FULL[:-2]) == EVENTS


def test_events_become_the_stream_again() -> None:
    out, losses = write(*EVENTS)
    made, told = message(out), message(FULL)
    assert made["content"] == told["content"]
    assert made["end"]["delta"] == told["end"]["delta"]
    assert losses == []
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMA.exists():
        pytest.skip("shared/data/schemas is not here")
    check = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for frame in parsed(out):
        if frame["type"] != "ping":
            check.validate(frame)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ({}, {"output_tokens": 20}, Usage(10, output=20)),
        ({"cache_read_input_tokens": 5}, {"input_tokens": 12, "cache_read_input_tokens": 7},
         Usage(12, 7, output=9)),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 4}}, {"cache_creation_input_tokens": 4},
         Usage(10, 0, 0, 4, 9)),
        ({"cache_creation_input_tokens": 4}, {"cache_creation": {"ephemeral_1h_input_tokens": 4}},
         Usage(10, 0, 0, 4, 9)),
        ({}, {"input_tokens": 2, "cache_read_input_tokens": 8}, Usage(2, 8, output=9)),
        ({}, {"cache_read_input_tokens": 8}, Usage(2, 8, output=9)),
        ({}, {"input_tokens": 0, "cache_read_input_tokens": 0}, Usage(10, output=9)),
        ({"input_tokens": 0}, {"input_tokens": 33}, Usage(33, output=9)),
        ({}, {"input_tokens": None, "output_tokens_details": {"thinking_tokens": 4}},
         Usage(10, output=9, reasoning=4)),
    ],
)  # fmt: skip
def test_later_usage_replaces_and_never_adds(first: Any, last: Any, expected: Usage) -> None:
    stream = wire(start(**first), *ending(**last))
    assert read(stream)[-2] == UsageSeen(expected)
    tap = DIALECT.tap()
    tap.feed(stream)
    assert tap.usage == expected


def test_input_told_at_the_start_and_blocks_never_stopped() -> None:
    events = read(
        wire(
            start(),
            opening(0, type="tool_use", id="t", name="f", input={"a": 1}),
            stop(0),
            opening(1, type="text", text="whole"),
            *ending(),
        )
    )
    assert events[1:] == [
        BlockStart(0, "tool_call", ToolCall("t", "f", "")),
        Delta(0, '{"a":1}'),
        BlockStop(0),
        BlockStart(1, "text", Text("")),
        Delta(1, "whole"),
        BlockStop(1),
        Finished("stop"),
        UsageSeen(Usage(10, output=9)),
        Ended(),
    ]


def test_an_error_inside_the_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    stream = wire(start(), error, *ending())
    events = read(stream)
    assert events[1:] == [Failed(529, "busy", "overloaded_error")]
    tap = DIALECT.tap()
    tap.feed(wire(start(), error))
    assert tap.error is not None
    assert (tap.error.status, tap.error.message, tap.ended) == (529, "busy", False)
    out, _ = write(*events, Ended())
    assert parsed(out)[-1] == error


@pytest.mark.parametrize(
    "stream",
    [
        b"event: message_start\ndata: {oops\n\n",
        wire(delta(0, "text_delta", text="x")),
        wire(start(), {"type": "content_block_start", "index": 0}),
        b"data: []\n\n",
    ],
)
def test_a_malformed_stream_is_the_providers_fault(stream: bytes) -> None:
    reader = DIALECT.reader()
    before = read(wire(start()))
    events = reader.feed(stream) if stream.startswith(wire(start())) else []
    assert events == before[: len(events)]  # what came before the damage is not lost
    with pytest.raises(UpstreamBroke):
        reader.feed(stream)


def test_a_broken_off_stream_has_no_end() -> None:
    for cut in (len(FULL) // 2, len(FULL) - 30):
        events = read(FULL[:cut])
        assert Ended() not in events
        tap = DIALECT.tap()
        tap.feed(FULL[:cut])
        assert tap.usage is not None
    assert read(b"") == []


def test_the_start_estimates_what_upstream_tells_at_the_end() -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 3500}]}).encode()
    ask = Ask(OURS, "m", (), raw=raw)
    usage = Usage(900, 100, 5, 6, 40)
    out, _ = write(
        Started("chatcmpl-1", "gpt"), BlockStart(0, "text"), Delta(0, "hi"), BlockStop(0), Finished("stop"),
        UsageSeen(usage), Ended(), ask=ask,
    )  # fmt: skip
    made = message(out)
    assert 1000 <= made["start"]["usage"]["input_tokens"] <= 1030
    assert made["start"]["usage"]["output_tokens"] == 1
    told = made["end"]["usage"]
    assert (told["input_tokens"], told["cache_read_input_tokens"], told["output_tokens"]) == (900, 100, 40)
    assert told["cache_creation"] == {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 6}
    out, _ = write(
        Started("c", "gpt"), BlockStart(0, "text"), Delta(0, "y" * 350), Finished("stop"), Ended(), ask=ask
    )
    told = message(out)["end"]["usage"]
    assert 1000 <= told["input_tokens"] <= 1030
    assert told["output_tokens"] == 100


def test_thinking_of_other_vendors() -> None:
    events = (
        Started("c", "gpt"),
        BlockStart(0, "thinking", Thinking(origin="openai_chat")),
        Delta(0, "hmm"),
        Signed(0, "foreign", "enc"),
        BlockStop(0),
        BlockStart(1, "text"),
        Delta(1, "so"),
        BlockStop(1),
        Finished("stop"),
        Ended(),
    )
    out, losses = write(*events)
    assert message(out)["content"] == [
        {"type": "thinking", "thinking": "hmm", "signature": ""},
        {"type": "text", "text": "so"},
    ]
    assert losses == ["thinking.signature", "thinking.redacted"]
    out, losses = write(*events, ask=Ask(OURS, "m", (), reasoning=Reasoning("disabled")))
    assert message(out)["content"] == [{"type": "text", "text": "so"}]
    assert "thinking.text" in losses


def test_nothing_is_opened_for_nothing() -> None:
    out, losses = write(
        Started("c", "gpt"),
        Started("c", "gpt"),
        BlockStart(0, "text"),
        Delta(0, ""),
        BlockStop(0),
        BlockStart(1, "opaque", Opaque("gemini", "executable_code", {})),
        BlockStop(1),
        BlockStart(2, "thinking"),
        BlockStop(2),
        BlockStart(3, "tool_call", ToolCall("t", "f", "")),
        BlockStop(3),
        Delta(3, "late"),
        Delta(77, "lost"),
        BlockStart(0, "text", choice=1),
        Finished("stop"),
        Ended(),
        Ping(),
        Ended(),
    )
    made = message(out)
    assert made["content"] == [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]
    assert made["end"]["delta"]["stop_reason"] == "tool_use"
    assert losses == ["opaque.executable_code", "answer.choices"]
    bare, _ = write(Ended())
    assert message(bare)["content"] == []


def test_refusals_and_free_text_calls() -> None:
    out, losses = write(
        Started("c", "gpt"),
        BlockStart(0, "refusal"),
        Delta(0, "no"),
        BlockStart(1, "tool_call", ToolCall("t", "f", "", custom=True)),
        Delta(1, 'say "x"'),
        Finished("stop"),
        Ended(),
    )
    assert message(out)["content"] == [
        {"type": "text", "text": "no"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"input": 'say "x"'}},
    ]
    assert losses == ["answer.refusal"]
