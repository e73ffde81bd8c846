"""JSON Schemas, seen as the schemas they are made of: what several dialects need to fit one to a vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Schema = dict[str, Any]
FORMATS = frozenset(("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"))
"""Formats of a text that OpenAI and Anthropic both enforce."""
_NAMED = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames",
    "unevaluatedProperties",
)  # fmt: skip


def parts_of(schema: Any) -> Iterator[Schema]:
    """The schema itself and every one within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for inner in _inner(schema):
        yield from parts_of(inner)


def rewritten(schema: Any, change: Callable[[Schema], Schema]) -> Any:
    """A copy in which `change` has rewritten every schema, those within one before it."""
    if not isinstance(schema, dict):
        return schema
    copy: Schema = {}
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            value = {name: rewritten(each, change) for name, each in value.items()}
        elif key in _LISTED and isinstance(value, list):
            value = [rewritten(each, change) for each in value]
        elif key in _SINGLE:
            value = rewritten(value, change)
        copy[key] = value
    return change(copy)


def says_object(schema: Schema) -> bool:
    """Whether its type is, or may be, object."""
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind)


def _inner(schema: Schema) -> Iterator[Any]:
    for key, value in schema.items():
        if key in _NAMED and isinstance(value, dict):
            yield from value.values()
        elif key in _LISTED and isinstance(value, list):
            yield from value
        elif key in _SINGLE:
            yield value
