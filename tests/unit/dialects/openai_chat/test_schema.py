"""Schemas of other vendors' callers in requests to OpenAI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.nouns import Ask, Message, Model, OutputFormat, Text, Tool


def written(schema: dict[str, Any], caller: str) -> tuple[dict[str, Any], list[str]]:
    """The function as chat takes it, and the Losses of the request in both of OpenAI's dialects."""
    ask = Ask(
        dialect=caller,
        model="m",
        messages=(Message("user", (Text("hi"),)),),
        tools=(Tool("t", schema=schema, strict=True),),
        output=OutputFormat("json_schema", schema=schema, strict=True),
    )
    model = Model("oa/m", "oa", "m")
    chat = registry.get("openai_chat").write_request(ask, model)
    responses = registry.get("openai_responses").write_request(ask, model)
    losses = [loss.name for loss in chat.losses]
    assert losses == [loss.name for loss in responses.losses if loss.name.endswith("strict")]
    function: dict[str, Any] = json.loads(chat.body)["tools"][0]["function"]
    other = json.loads(responses.body)["tools"][0]
    assert other["parameters"] == function["parameters"]
    assert other["strict"] == function.get("strict", False)
    return function, losses


def test_what_must_be_said_is_said() -> None:
    listed = {"type": "object", "properties": {"a": {"type": "array"}}}
    assert written({"type": "object"}, "anthropic_messages")[0]["parameters"] == {
        "type": "object",
        "properties": {},
    }
    function, _ = written(listed, "gemini")
    assert function["parameters"]["properties"]["a"] == {"type": "array", "items": {}}


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
CLOSED["additionalProperties"] = False


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (CLOSED, True),
        ({**CLOSED, "required": []}, False),
        ({**CLOSED, "additionalProperties": True}, False),
        ({**CLOSED, "properties": {"a": {"type": "string", "format": "uri"}}}, False),
        ({**CLOSED, "properties": {"a": {"type": "array", "items": {"type": "object"}}}}, False),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/b", "title": "x"}}, "$defs": {"b": CLOSED}}, False),
        ({**CLOSED, "properties": {"a": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}, True),
        ({**CLOSED, "properties": {"a": {"oneOf": [{"type": "null"}]}}}, False),
    ],
)
def test_strict_is_asked_for_where_it_can_be(schema: dict[str, Any], strict: bool) -> None:
    function, losses = written(schema, "anthropic_messages")
    assert ("strict" in function) is strict
    assert losses == ([] if strict else ["tool.strict", "output.strict"])
    assert written(schema, "openai_chat")[0]["strict"] is True
