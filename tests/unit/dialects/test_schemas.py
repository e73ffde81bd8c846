"""A schema that is none is the vendor's to refuse: fitting it to one never fails."""

from __future__ import annotations

from typing import Any

import pytest

from tierwise.dialects.anthropic_messages.schema import fitted
from tierwise.dialects.openai_chat.schema import can_be_strict, completed
from tierwise.nouns import Ask

WORDS = (
    "type", "properties", "required", "additionalProperties", "items", "format", "pattern", "description",
    "minItems", "anyOf", "oneOf", "$ref", "$defs", "enum",
)  # fmt: skip
ODD: tuple[Any, ...] = (None, True, 0, -1.5, "x", [], [1], [{}], {}, {"a": None}, {"a": {"type": []}})


@pytest.mark.parametrize("word", WORDS)
def test_odd_members_harm_nothing(word: str) -> None:
    ask = Ask("anthropic_messages", "m", ())
    for value in ODD:
        for schema in ({"type": "object", word: value}, {"type": "array", "items": {word: value}}):
            assert isinstance(fitted(schema), dict)
            assert isinstance(completed(ask, schema), dict)
            assert can_be_strict(ask, schema) in (True, False)
