"""Schemas as OpenAI takes them: what they must say, and which of them it follows strictly."""

from __future__ import annotations

from typing import Any

import msgspec

from ...nouns import Ask
from ..losses import Losses
from ..schemas import FORMATS, Schema, parts_of, rewritten, says_object

_UNTAKEN = frozenset(
    ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas",
     "patternProperties")
)  # fmt: skip


def ours(ask: Ask) -> bool:
    """Whether its caller speaks one of OpenAI's dialects, and so is told himself what OpenAI refuses."""
    return ask.dialect.startswith("openai")


def say_json(turns: list[Any], losses: Losses) -> None:
    """Puts a line before `turns` where none of them holds the word, without which OpenAI refuses
    `json_object`."""
    if b"json" not in msgspec.json.encode(turns).lower():
        turns.insert(0, {"role": "system", "content": "Answer in JSON."})
        losses.add("output.json_object", "a line that says so was added")


def completed(ask: Ask, schema: Schema) -> Schema:
    """The same schema, said in full: OpenAI refuses an object of arguments without `properties` and an array
    without `items`, which mean "none" and "anything".
    """
    if ours(ask):
        return schema
    full: Schema = rewritten(schema, _complete)
    return {**full, "properties": {}} if full.get("type") == "object" and "properties" not in full else full


def can_be_strict(ask: Ask, schema: Any) -> bool:
    """Whether `strict` may be said with this schema. OpenAI's own callers know the rules of its guide to
    Structured Outputs: every object is closed and requires all it may hold, and some words are not taken.
    """
    if ours(ask):
        return True
    if not isinstance(schema, dict) or schema.get("type") != "object" or "anyOf" in schema:
        return False
    return all(map(_follows, parts_of(schema)))


def _complete(part: Schema) -> Schema:
    return {**part, "items": {}} if part.get("type") == "array" and "items" not in part else part


def _follows(part: Schema) -> bool:
    if not _UNTAKEN.isdisjoint(part) or str(part.get("format", "date")) not in FORMATS:
        return False
    if "$ref" in part and len(part) > 1:
        return False
    properties, required = part.get("properties") or {}, part.get("required") or []
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    closed = part.get("additionalProperties") is False and all(name in required for name in properties)
    return closed or not (says_object(part) or properties)
