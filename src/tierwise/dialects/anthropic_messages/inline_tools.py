"""Tools that a conversation brings on its way: system messages that add and remove them (`tool_addition`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ...nouns import Message, Opaque

Block = dict[str, Any]


def defined(messages: Iterable[Message]) -> dict[str, Block]:
    """Name → definition of the tools that messages define and do not remove again. What they only refer to is
    declared with the others.
    """
    found: dict[str, Block] = {}
    for message in messages:
        for part in message.parts if message.role == "system" else ():
            tool = part.raw.get("tool") if isinstance(part, Opaque) else None
            if not isinstance(part, Opaque) or not isinstance(tool, dict):
                continue
            definition = tool.get("definition")
            if part.kind == "tool_removal":
                found.pop(str(tool.get("name")), None)
            elif part.kind == "tool_addition" and isinstance(definition, dict):
                found[str(definition.get("name"))] = definition
    return found
