"""Schemas in requests to Anthropic."""

from __future__ import annotations

import json
from typing import Any

from tierwise.dialects import registry
from tierwise.nouns import Ask, Message, Model, OutputFormat, Text, Tool


def write(schema: dict[str, Any], strict: bool | None) -> tuple[dict[str, Any], list[str]]:
    ask = Ask(
        dialect="openai_chat",
        model="claude-sonnet-4-6",
        messages=(Message("user", (Text("hi"),)),),
        tools=(Tool("t", schema=schema, strict=strict),),
        output=OutputFormat("json_schema", schema=schema) if strict else None,
        max_output=9,
    )
    written = registry.get("anthropic_messages").write_request(ask, Model("an/m", "an", "m"))
    return json.loads(written.body), [loss.name for loss in written.losses]


def test_schemas_hold_what_can_be_enforced_and_tell_the_rest() -> None:
    """Anthropic answers 400 to a strict schema with, say, a minimum; zod's integers have one always."""
    number = {"type": "integer", "description": "How many", "minimum": 1, "maximum": 9}
    listed = {"type": "array", "items": {"$ref": "#/$defs/minimum"}, "minItems": 2}
    schema = {
        "type": "object",
        "properties": {"minimum": number, "list": listed, "when": {"type": "string", "format": "int64"}},
        "required": ["minimum"],
        "additionalProperties": False,
        "$defs": {"minimum": {"type": "string", "minLength": 1, "pattern": "^x+$"}},
    }
    body, losses = write(schema, True)
    fitted = body["output_config"]["format"]["schema"]
    assert fitted == body["tools"][0]["input_schema"]
    assert fitted == {
        **schema,
        "properties": {
            "minimum": {"type": "integer", "description": "How many\n\n{minimum: 1, maximum: 9}"},
            "list": {"type": "array", "items": {"$ref": "#/$defs/minimum"}, "description": "{minItems: 2}"},
            "when": {"type": "string", "description": '{format: "int64"}'},
        },
        "$defs": {"minimum": {"type": "string", "pattern": "^x+$", "description": "{minLength: 1}"}},
    }
    assert losses == ["tool.schema", "output.schema"]
    loose, losses = write(schema, None)
    assert loose["tools"][0]["input_schema"] == schema
    assert losses == []


def test_every_object_is_closed_and_what_it_was_open_to_is_told() -> None:
    """Anthropic answers 400 to a map, which an object that says what more it may hold is."""
    schema = {"type": "object", "properties": {}, "additionalProperties": {"type": "string"}}
    body, losses = write(schema, True)
    fitted = body["output_config"]["format"]["schema"]
    assert fitted["additionalProperties"] is False
    assert fitted["description"] == '{additionalProperties: {"type":"string"}}'
    assert {"output.schema", "tool.schema"} <= set(losses)
    body, _ = write({**schema, "additionalProperties": True}, True)
    assert body["output_config"]["format"]["schema"] == {**schema, "additionalProperties": False}
