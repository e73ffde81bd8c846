"""Free-text tools for vendors that know only functions: one text argument in, taken out again in the
reply.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from ..nouns import Answer, Ask, ToolCall


def schema() -> dict[str, Any]:
    """The JSON Schema of a function that stands for a free-text tool."""
    return {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def wrap(text: str) -> str:
    """A free-text call's input as a function's arguments."""
    return msgspec.json.encode({"input": text}).decode()


def unwrap(arguments: str) -> str:
    """The free text inside a function's arguments; the arguments themselves when the model did not keep to
    the schema.
    """
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return arguments
    if isinstance(value, dict) and isinstance(value.get("input"), str):
        return str(value["input"])
    return arguments


def names(ask: Ask) -> frozenset[str]:
    """The names of the free-text tools the caller offered."""
    return frozenset(tool.name for tool in ask.tools if tool.kind == "custom")


def restore(answer: Answer, ask: Ask) -> Answer:
    """`answer` with calls of the caller's free-text tools as free-text calls, whatever the provider made of
    them.
    """
    offered = names(ask)
    if not offered:
        return answer
    choices = []
    for choice in answer.choices:
        parts = tuple(
            replace(part, arguments=unwrap(part.arguments), custom=True)
            if isinstance(part, ToolCall) and not part.custom and part.name in offered
            else part
            for part in choice.parts
        )
        choices.append(replace(choice, parts=parts))
    return replace(answer, choices=tuple(choices))
