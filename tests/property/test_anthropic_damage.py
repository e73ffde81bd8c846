"""Whatever stands where, a request is understood or refused, and a reply read or blamed on the provider."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.errors import BadRequest, UpstreamBroke
from tierwise.nouns import Model

DIALECT = registry.get("anthropic_messages")
CHAT = registry.get("openai_chat")
MODEL = Model("p/m", "p", "m")
JUNK: tuple[Any, ...] = (
    None, True, -1, 1.5, "", "x", [], {}, [{}], {"type": "x"}, [1], {"type": None}, [{"type": "tool_use"}],
)  # fmt: skip
MARK = {"type": "ephemeral"}
CONTENT = [
    {"type": "text", "text": "x", "citations": [{"type": "y"}], "cache_control": MARK},
    {"type": "thinking", "thinking": "a", "signature": "b"},
    {"type": "redacted_thinking", "data": "zz"},
    {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
    {"type": "server_tool_use", "id": "s", "name": "n", "input": {}},
]
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}}
PAPER = {"type": "document", "title": "t", "source": {"type": "url", "url": "u"}}
REQUEST = {
    "model": "m",
    "max_tokens": 1,
    "stream": True,
    "system": [{"type": "text", "text": "s", "cache_control": MARK}],
    "messages": [
        {"role": "user", "content": [IMAGE, PAPER]},
        {"role": "assistant", "content": CONTENT},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}]},
    ],
    "tools": [{"name": "n", "description": "d", "input_schema": {"type": "object"}, "strict": True}],
    "tool_choice": {"type": "tool", "name": "n", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["x"],
    "temperature": 1,
}  # fmt: skip
REPLY = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": CONTENT,
    "stop_reason": "end_turn", "stop_sequence": None,
    "usage": {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_5m_input_tokens": 1}},
}  # fmt: skip
STREAM = [
    {"type": "message_start", "message": REPLY},
    {"type": "content_block_start", "index": 0, "content_block": CONTENT[0]},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": CONTENT[4]},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": REPLY["usage"]},
    {"type": "error", "error": {"type": "x", "message": "y"}},
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from paths(inner, (*path, key))


def damaged(whole: Any) -> Iterator[Any]:
    """`whole` with each of its members left out, and replaced by each kind of junk."""
    for path in paths(whole):
        for junk in (*JUNK, ...):
            broken = copy.deepcopy(whole)
            place = broken
            for key in path[:-1]:
                place = place[key]
            if junk is ...:
                del place[path[-1]]
            else:
                place[path[-1]] = junk
            yield broken


def test_damaged_requests_are_refused_and_nothing_else() -> None:
    understood = 0
    for body in damaged(REQUEST):
        raw = json.dumps(body).encode()
        try:
            DIALECT.outline(raw)
            ask = DIALECT.read_request(raw, {})
        except BadRequest:
            continue
        understood += 1
        json.loads(DIALECT.write_request(ask, MODEL).body)
        json.loads(CHAT.write_request(ask, MODEL).body)
    assert understood > 100


def test_damaged_replies_are_the_providers_fault_and_nothing_else() -> None:
    ask = DIALECT.read_request(json.dumps(REQUEST).encode(), {})
    understood = 0
    for body in damaged(REPLY):
        raw = json.dumps(body).encode()
        DIALECT.usage(raw)
        DIALECT.served_model(raw)
        try:
            answer = DIALECT.read_answer(raw)
        except UpstreamBroke:
            continue
        understood += 1
        json.loads(DIALECT.write_answer(answer, ask).body)
    assert understood > 50


def test_damaged_streams_are_the_providers_fault_and_nothing_else() -> None:
    ask = DIALECT.read_request(json.dumps(REQUEST).encode(), {})
    broken = 0
    for events in damaged(STREAM):
        raw = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
        DIALECT.tap().feed(raw)
        reader, writer = DIALECT.reader(), DIALECT.writer(ask)
        try:
            for event in reader.feed(raw) + reader.finish():
                writer.write(event)
        except UpstreamBroke:
            broken += 1
    assert broken > 50


@pytest.mark.parametrize("body", [b"null", b"1", b'"x"', b"[[[", b"\xff\xfe", b'{"error":[]}', b""])
def test_damaged_errors_are_still_errors(body: bytes) -> None:
    error = DIALECT.read_error(500, {"retry-after": "soon"}, body)
    assert error.status == 500
    assert error.message
