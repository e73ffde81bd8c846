"""OpenAI chat: whatever arrives, only the errors the contract names; streams mean the same however cut."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.dialects.openai_chat import DIALECT
from tierwise.errors import BadRequest, UpstreamBroke, UpstreamStatus
from tierwise.nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Message,
    Model,
    Text,
)

KEYS = """
model messages role content type text image_url url file file_data file_id input_audio data format
tool_calls id function name arguments tool_call_id stream stop tools tool_choice response_format
json_schema schema metadata provider fallback routing usage prompt_tokens completion_tokens choices delta
message index custom input error code finish_reason reasoning_content refusal annotations function_call n
max_tokens extra_content total_tokens created prompt_tokens_details cached_tokens functions cache_control
parameters stream_options
"""
VALUES = """
user assistant tool system function text image_url file auto required named data:image/png;base64,QQ==
stop custom allowed_tools json_schema http://x tool_calls
"""
NAMES = st.sampled_from(KEYS.split())
WORDS = st.sampled_from(VALUES.split())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-2, 1000)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | WORDS
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=15,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=8)
MESSAGES = st.lists(OBJECTS.map(lambda extra: {"role": "assistant", **extra}), min_size=1, max_size=4)
PARTS = st.lists(OBJECTS, max_size=4)
ASK = Ask("openai_chat", "m", (Message("user", (Text("hi"),)),), stream=True, include_usage=True)


@given(OBJECTS, MESSAGES | st.none(), PARTS | st.none())
@settings(max_examples=100, deadline=None)
def test_a_request_is_understood_or_refused(
    body: dict[str, Any], messages: list[Any] | None, parts: list[Any] | None
) -> None:
    if messages is not None:
        body |= {"model": "m", "messages": messages}
    if parts is not None:
        body |= {"model": "m", "messages": [{"role": "user", "content": parts}]}
    raw = json.dumps(body).encode()
    with contextlib.suppress(BadRequest):
        DIALECT.outline(raw)
    try:
        ask = DIALECT.read_request(raw, {})
    except BadRequest:
        return
    for model in ("m", "gpt-5.6", "anthropic/claude-opus-5"):
        written = DIALECT.write_request(ask, Model(f"p/{model}", "p", model))
        assert json.loads(written.body)["model"] == model
    again = DIALECT.read_request(DIALECT.write_request(ask, Model("p/m", "p", "m")).body, {})
    assert [message.role for message in again.messages] == [message.role for message in ask.messages]


@given(OBJECTS, st.lists(OBJECTS, max_size=3) | st.none())
@settings(max_examples=100, deadline=None)
def test_a_reply_is_understood_or_the_providers_fault(
    body: dict[str, Any], choices: list[Any] | None
) -> None:
    if choices is not None:
        body |= {"choices": [{"message": choice} for choice in choices]}
    raw = json.dumps(body).encode()
    DIALECT.usage(raw)
    DIALECT.served_model(raw)
    DIALECT.read_error(500, {}, raw)
    with contextlib.suppress(UpstreamBroke, UpstreamStatus):
        json.loads(DIALECT.write_answer(DIALECT.read_answer(raw), ASK).body)


CALLS = st.fixed_dictionaries(
    {},
    optional={
        "index": st.integers(0, 2) | st.none(),
        "id": st.sampled_from(["a", "b", ""]) | st.none(),
        "function": st.fixed_dictionaries(
            {},
            optional={"name": st.sampled_from(["f", "g", ""]) | st.none(), "arguments": st.text(max_size=3)},
        ),
    },
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.text(max_size=4) | st.none(),
        "reasoning_content": st.text(max_size=4) | st.none(),
        "refusal": st.text(max_size=4) | st.none(),
        "tool_calls": st.lists(CALLS, max_size=3) | st.none(),
    },
)
CHOICES = st.fixed_dictionaries(
    {"delta": DELTAS},
    optional={"index": st.integers(0, 1), "finish_reason": st.sampled_from(["stop", "tool_calls", None])},
)
CHUNKS = st.fixed_dictionaries(
    {"id": st.just("c1"), "model": st.just("m")},
    optional={
        "choices": st.lists(CHOICES, max_size=2),
        "usage": st.just({"prompt_tokens": 3, "completion_tokens": 1}) | st.none(),
    },
)


def stream_of(chunks: list[Any]) -> bytes:
    frames = (b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    return b"".join(frames) + b"data: [DONE]\n\n"


def events_of(*pieces: bytes) -> list[Event]:
    reader = DIALECT.reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.finish()


@given(st.lists(CHUNKS, max_size=8), st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_events_are_well_formed_and_do_not_depend_on_chunks(chunks: list[Any], size: int) -> None:
    stream = stream_of(chunks)
    events = events_of(stream)
    assert events_of(*(stream[i : i + size] for i in range(0, len(stream), size))) == events
    assert events[-1] == Ended()
    opened: set[tuple[int, int]] = set()
    known: set[tuple[int, int]] = set()
    finished: set[int] = set()
    for event in events:
        if isinstance(event, BlockStart | Delta | BlockStop):
            block = (event.choice, event.index)
            assert event.choice not in finished
            if isinstance(event, BlockStart):
                assert block not in known
                opened.add(block)
                known.add(block)
            else:
                assert block in opened
            if isinstance(event, BlockStop):
                opened.remove(block)
        elif isinstance(event, Finished):
            assert event.choice not in finished
            finished.add(event.choice)
    assert not opened
    assert {choice for choice, _ in known} <= finished


@given(st.lists(CHUNKS, max_size=8))
@settings(max_examples=80, deadline=None)
def test_what_is_written_again_is_read_the_same(chunks: list[Any]) -> None:
    """Texts, calls and reasons survive a second pass through writer and reader."""

    def told(events: list[Event]) -> dict[tuple[int, int], Any]:
        texts: dict[tuple[int, int], Any] = {}
        for event in events:
            if isinstance(event, BlockStart):
                texts[event.choice, event.index] = [event.kind, getattr(event.part, "name", ""), ""]
            elif isinstance(event, Delta):
                texts[event.choice, event.index][2] += event.text
        for block in texts.values():
            if block[0] == "tool_call":
                block[2] = block[2] or "{}"
        return texts

    first = events_of(stream_of(chunks))
    writer = DIALECT.writer(ASK)
    again = events_of(b"".join(writer.write(event) for event in first))
    assert told(again) == told(first)
    reasons = [{e.choice: e.reason for e in events if isinstance(e, Finished)} for events in (again, first)]
    assert reasons[0] == reasons[1]


@given(st.lists(CHUNKS, max_size=6), st.integers(1, 60))
@settings(max_examples=80, deadline=None)
def test_the_tap_agrees_with_the_reader(chunks: list[Any], size: int) -> None:
    stream = stream_of(chunks)
    events = events_of(stream)
    tap, passed = DIALECT.tap(), 0
    for at in range(0, len(stream), size):
        passed += tap.feed(stream[at : at + size])
        if tap.ended:
            break
    assert tap.ended
    assert len(stream) - 14 <= passed <= len(stream) - 3
    assert not tap.malformed
    if any(isinstance(event, Delta) and event.text for event in events):
        assert tap.content
    used = any(chunk.get("usage") for chunk in chunks)
    assert (tap.usage is not None) == used


@given(st.lists(OBJECTS, max_size=5), st.binary(max_size=30))
@settings(max_examples=80, deadline=None)
def test_any_stream_is_events_or_the_providers_fault(objects: list[Any], junk: bytes) -> None:
    stream = b"".join(b"data: " + json.dumps(item).encode() + b"\n\n" for item in objects) + junk
    DIALECT.tap().feed(stream)
    writer = DIALECT.writer(ASK)
    with contextlib.suppress(UpstreamBroke):
        for event in events_of(stream):
            writer.write(event)
            if isinstance(event, Failed):
                break
