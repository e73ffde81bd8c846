"""What the Responses dialect writes, against the JSON Schemas of the official SDK's types."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec.structs import replace

from tierwise.dialects import registry
from tierwise.dialects.openai_responses import DIALECT
from tierwise.errors import UpstreamBroke
from tierwise.nouns import (
    Answer,
    Ask,
    BlockStart,
    BlockStop,
    Choice,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Finished,
    FinishReason,
    Media,
    Model,
    Refusal,
    Signed,
    Started,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)

DATA = Path(__file__).parents[2] / "../shared/data"
pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the shared schemas and captures are not here")

REQUEST: dict[str, Any] = {
    "model": "auto",
    "input": "hi",
    "stream": True,
    "instructions": "Be brief.",
    "reasoning": {"effort": "low"},
    "metadata": {"a": "b"},
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        {"type": "custom", "name": "c"},
        {"type": "namespace", "name": "n", "description": "d", "tools": [{"type": "custom", "name": "x"}]},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
}
ASK = DIALECT.read_request(json.dumps(REQUEST).encode(), {})
USAGE = Usage(input=5, cache_read=3, cache_write_5m=2, output=7, reasoning=4)


@cache
def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((DATA / f"schemas/openai-2.54.0-{name}.schema.json").read_bytes())
    return loaded


@cache
def events() -> dict[str, str]:
    """Event type → its definition."""
    found = {}
    for name, definition in schema("ResponseStreamEvent")["$defs"].items():
        if name.endswith("Event") and "sequence_number" in definition.get("properties", {}):
            found[definition["properties"]["type"]["const"]] = name
    return found


@cache
def validator(kind: str) -> Draft202012Validator:
    whole = schema("ResponseStreamEvent")
    return Draft202012Validator({"$defs": whole["$defs"], "$ref": f"#/$defs/{events()[kind]}"})


@cache
def response_validator() -> Draft202012Validator:
    return Draft202012Validator(schema("Response"))


def decoded(data: bytes) -> list[dict[str, Any]]:
    """The events of a stream: each valid, named as its type, numbered from 0."""
    found = []
    for number, frame in enumerate(data.decode().removesuffix("\n\n").split("\n\n")):
        name, payload = frame.split("\n")
        event = json.loads(payload.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        validator(event["type"]).validate(event)
        found.append(event)
    return found


def stream(*said: Event, ask: Ask = ASK, finish: FinishReason = "stop") -> list[dict[str, Any]]:
    writer = DIALECT.writer(ask)
    whole = [Started("abc", "m/x", 7), *said, Finished(finish), UsageSeen(USAGE), Ended()]
    return decoded(b"".join(writer.write(event) for event in whole))


EVERYTHING: list[Event] = [
    BlockStart(0, "thinking", Thinking(origin="anthropic_messages")),
    Delta(0, "let me"),
    Delta(0, " see"),
    Signed(0, "sig"),
    BlockStop(0),
    BlockStart(1, "text"),
    Delta(
        1, "Hel", logprobs={"content": [{"token": "Hel", "logprob": -0.1, "bytes": [1], "top_logprobs": []}]}
    ),
    Delta(1, "lo"),
    Cited(1, Citation({}, "gemini", "http://e", "E")),
    BlockStop(1),
    BlockStart(2, "refusal"),
    Delta(2, "no"),
    BlockStop(2),
    BlockStart(3, "tool_call", ToolCall("call_1", "f", "")),
    Delta(3, '{"a":'),
    Delta(3, "1}"),
    BlockStop(3),
    BlockStart(4, "tool_call", ToolCall("call_2", "n__x", "")),
    Delta(4, '{"input":"free"}'),
    BlockStop(4),
    BlockStart(5, "opaque", Media("image", "base64", "aGk=", "image/png")),
    BlockStop(5),
]


def test_every_event_of_a_stream_is_valid_and_the_last_one_whole() -> None:
    told = stream(*EVERYTHING, finish="tool_calls")
    assert [told[0]["type"], told[1]["type"]] == ["response.created", "response.in_progress"]
    assert told[-1]["type"] == "response.completed"
    whole = told[-1]["response"]
    response_validator().validate(whole)
    assert [item["type"] for item in whole["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "custom_tool_call",
        "image_generation_call",
    ]
    assert [part["type"] for part in whole["output"][1]["content"]] == ["output_text", "refusal"]
    assert whole["output"][3] | {"id": ""} == {
        "id": "",
        "type": "custom_tool_call",
        "call_id": "call_2",
        "name": "x",
        "namespace": "n",
        "status": "completed",
        "input": "free",
    }
    assert whole["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 17,
    }
    assert whole["instructions"] == "Be brief."
    assert whole["store"] is False


def test_the_items_told_are_the_items_of_the_last_event() -> None:
    told = stream(*EVERYTHING, finish="tool_calls")
    done = [event["item"] for event in told if event["type"] == "response.output_item.done"]
    assert done == told[-1]["response"]["output"]
    added = [event for event in told if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == list(range(len(done)))
    assert [event["item"]["id"] for event in added] == [item["id"] for item in done]
    assert len({item["id"] for item in done}) == len(done)


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        ("length", "incomplete", "max_output_tokens"),
        ("context", "incomplete", "max_output_tokens"),
        ("refusal", "incomplete", "content_filter"),
        ("stop_sequence", "completed", None),
        ("error", "failed", None),
    ],
)
def test_how_a_response_ends(finish: FinishReason, status: str, reason: str | None) -> None:
    last = stream(BlockStart(0, "text"), Delta(0, "x"), finish=finish)[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["status"] == status
    assert last["response"]["output"][0]["status"] == ("completed" if status == "completed" else "incomplete")
    assert (last["response"]["incomplete_details"] or {}).get("reason") == reason
    assert (last["response"]["error"] is None) == (status != "failed")


def test_a_stream_that_breaks_tells_the_error_and_fails_the_response() -> None:
    writer = DIALECT.writer(ASK)
    data = (
        writer.write(Started("abc", "m")) + writer.write(BlockStart(0, "text")) + writer.write(Delta(0, "x"))
    )
    data += writer.error(UpstreamBroke("It broke off."))
    told = decoded(data)
    assert [event["type"] for event in told[-2:]] == ["error", "response.failed"]
    assert told[-2]["message"] == told[-1]["response"]["error"]["message"] == "It broke off."
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "x"
    assert told[-1]["response"]["output"][0]["status"] == "incomplete"
    assert writer.write(Ended()) == b""
    assert writer.write(Delta(0, "y")) == b""
    assert writer.error(UpstreamBroke("")) == b""


def test_an_error_before_anything_is_still_a_stream_of_its_own() -> None:
    told = decoded(DIALECT.writer(ASK).error(UpstreamBroke("No.")))
    assert [event["type"] for event in told] == [
        "response.created",
        "response.in_progress",
        "error",
        "response.failed",
    ]
    decoded(DIALECT.write_stream_error(UpstreamBroke("No.")))


def test_whole_replies_are_valid_and_equal_to_the_streams() -> None:
    parts = (
        Thinking("t", "sig", origin="anthropic_messages"),
        Text("Hello", citations=(Citation({}, "gemini", "http://e"),)),
        Refusal("no"),
        ToolCall("call_1", "f", ""),
        ToolCall("call_2", "c", "free", custom=True),
    )
    answer = Answer("resp_1", "m", (Choice(parts, "tool_calls"),), USAGE, 9, "priority")
    written = DIALECT.write_answer(answer, ASK)
    whole = json.loads(written.body)
    response_validator().validate(whole)
    assert whole["service_tier"] == "priority"
    assert [call["id"][:3] for call in whole["output"][2:]] == ["fc_", "ctc"]
    assert whole["output"][2]["arguments"] == "{}"
    again = DIALECT.read_answer(written.body)
    assert again.usage == replace(USAGE, service_tier="priority")
    assert [type(part) for part in again.choices[0].parts] == [type(part) for part in parts]


def test_echoes_of_every_captured_request_are_valid() -> None:
    count = 0
    for request in captured():
        ask = DIALECT.read_request(json.dumps(request["body"]).encode(), {})
        written = DIALECT.write_answer(Answer("r", "m", (Choice((Text("x"),)),)), ask)
        response_validator().validate(json.loads(written.body))
        count += 1
    assert count > 20


def captured() -> list[dict[str, Any]]:
    return [
        request
        for path in sorted((DATA / "captures").glob("*.json"))
        for request in json.loads(path.read_bytes())["requests"]
        if request["path"] == "/v1/responses" and isinstance(request["body"], dict)
    ]


@pytest.mark.parametrize("name", ["openai_chat", "anthropic_messages"])
def test_requests_from_other_dialects_are_valid(name: str) -> None:
    """Requests that real clients sent in other dialects, written in this one."""
    paths = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/anthropic/v1/messages"}
    check = Draft202012Validator(schema("ResponseCreateParams"))
    dialect = registry.get(name)
    count = 0
    for path in sorted((DATA / "captures").glob("*.json")):
        for request in json.loads(path.read_bytes())["requests"]:
            if request["path"] != paths[name] or not isinstance(request["body"], dict):
                continue
            ask = dialect.read_request(json.dumps(request["body"]).encode(), dict(request["headers"]))
            written = DIALECT.write_request(ask, Model("p/x", "p", "gpt-5.6"))
            body = json.loads(written.body)
            errors = [f"{e.json_path}: {e.message[:200]}" for e in check.iter_errors(body)]
            assert not errors, (path.name, errors)
            assert body["store"] is False
            count += 1
    assert count > 10
