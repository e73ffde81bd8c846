"""infer: the documented rules, in their order."""

import pytest

from tierwise.nouns import Outline
from tierwise.routing import infer
from tierwise.routing.infer import one_label

LABEL = {"type": "object", "properties": {"label": {"enum": ["a", "b"]}}}
PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}


def chained(links):
    """An enum behind so many steps."""
    return {"allOf": [chained(links - 1)]} if links else {"enum": ["a"]}


@pytest.mark.parametrize(
    ("outline", "task"),
    [
        ({"images": True, "tool_loop": True, "tools": 3}, "vision"),
        ({"tool_loop": True}, "agent"),
        ({"tool_loop": True, "tools": 1, "forced_tool": True}, "agent"),
        ({"tools": 1, "forced_tool": True}, "extraction"),
        ({"tools": 2, "forced_tool": True}, "agent"),
        ({"tools": 1, "thinking": True}, "agent"),
        ({"thinking": True, "output_schema": LABEL, "json": True}, "reasoning"),
        ({"thinking_history": True}, "reasoning"),
        ({"output_schema": LABEL, "json": True}, "classification"),
        ({"output_schema": PERSON, "json": True}, "extraction"),
        ({"json": True}, "extraction"),
        ({}, "unknown"),
        ({"max_output": 5}, "unknown"),
        ({"documents": True, "media": 1}, "unknown"),
        ({"prompt_bytes": 10**6}, "unknown"),
    ],
)
def test_rules(outline, task):
    found, why = infer(Outline("auto", **outline))
    assert found == task
    assert why.isascii()


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (LABEL, True),
        ({"enum": ["x", "y"]}, True),
        ({"type": "boolean"}, True),
        ({"properties": {"ok": {"type": "boolean"}}}, True),
        ({"properties": {"x": {"const": 1}}}, True),
        ({"properties": {"x": {"$ref": "#/$defs/L"}}, "$defs": {"L": {"enum": ["a"]}}}, True),
        (
            {
                "properties": {"x": {"allOf": [{"$ref": "#/definitions/L"}]}},
                "definitions": {"L": {"enum": [1]}},
            },
            True,
        ),
        ({"properties": {"x": {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}}}, True),
        ({"properties": {"x": {"anyOf": [{"type": "null"}]}}}, False),
        ({"properties": {"x": {"anyOf": [{"enum": ["a"]}, {"type": "string"}]}}}, False),
        ({"properties": {"x": {"$ref": "#/$defs/L"}}, "$defs": {"L": {"$ref": "#/$defs/L"}}}, False),
        ({"properties": {"x": {"$ref": "https://elsewhere/x"}}}, False),
        ({"properties": {"x": {"$ref": "#/$defs/L"}}, "$defs": 3}, False),
        ({"properties": {"x": {"anyOf": "enum"}}}, False),
        ({"properties": {"x": {"anyOf": [True, {"enum": ["a"]}]}}}, False),
        ({"properties": {"x": chained(3)}}, True),
        ({"properties": {"x": chained(4)}}, False),
        ({"properties": {"x": True}}, False),
        ({"properties": {}}, False),
        (PERSON, False),
        ({}, False),
    ],
)
def test_one_label(schema, expected):
    assert one_label(schema) is expected
