"""Smallest instances of JSON Schemas, checked by an independent validator."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from tierwise.simulator.instance import instance

TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "properties": {"x": WHOLE}, "required": ["x"], "additionalProperties": False},
    {"type": "object", "properties": {"n": {"type": "number", "minimum": 3}}, "required": ["n"]},
    {"type": "integer", "exclusiveMinimum": 7},
    {"type": "integer", "maximum": -4},
    {"type": "array", "items": {"type": "boolean"}, "minItems": 2},
    {"enum": ["a", "b"]},
    {"const": {"k": 1}},
    {"anyOf": [{"type": "null"}, TEXT]},
    {"type": ["string", "null"], "minLength": 30},
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "date"},
    {"$ref": "#/$defs/a",
     "$defs": {"a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}, "required": ["b"]},
               "b": {"enum": [5]}}},
    {"allOf": [{"type": "object", "properties": {"a": TEXT}, "required": ["a"]},
               {"properties": {"b": WHOLE}, "required": ["b"]}]},
    {"type": "object", "required": ["unlisted"]},
]  # fmt: skip


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_instance_satisfies_its_schema(schema: dict[str, Any]) -> None:
    jsonschema.validate(instance(schema, lambda name: "simulated"), schema)


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]}
    assert "me" in instance(schema, lambda name: "")


def test_free_strings_come_from_their_names() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    assert instance(schema, str.upper) == {"city": "CITY"}
