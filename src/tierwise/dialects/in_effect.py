"""What a conversation has come to, for vendors who know no tools that come and go in it (Anthropic's
`tool_addition`, `tool_removal`) and no summaries that stand for what was said before (`compaction`).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import takewhile

from msgspec.structs import replace

from ..nouns import Ask, Message, Opaque, Part, Text, Tool, ToolChange

_SO_FAR = "Summary of the conversation so far:\n\n"


def in_effect(ask: Ask) -> Ask:
    """`ask` with the tools that are offered at its end, and from its last summary on: Anthropic's models are
    not shown what stands before that either. A change that names no tool of the request stays where it is.
    """
    if not any(isinstance(part, Opaque) and part.means for each in ask.messages for part in each.parts):
        return ask
    tools = _Tools(ask.tools)
    opening = len(list(takewhile(lambda message: message.role == "system", ask.messages)))
    messages: list[Message] = []
    for message in ask.messages:
        parts: list[Part] = []
        for part in message.parts:
            if not isinstance(part, Opaque) or part.means is None:
                parts.append(part)
            elif isinstance(part.means, ToolChange):
                parts += [] if tools.change(part.means) else [part]
            elif part.means.text:
                said = Message("user", (Text(_SO_FAR + part.means.text, part.cache),))
                messages, parts = [*messages[:opening], said], []
                tools.since(part.means.changes)
        if parts or not message.parts:
            messages.append(replace(message, parts=tuple(parts)))
    return replace(ask, messages=tuple(messages), tools=tuple(tools.offered.values()))


class _Tools:
    """The tools `offered`, by name, as the conversation goes on."""

    def __init__(self, declared: Iterable[Tool]) -> None:
        self._declared = {tool.name: tool for tool in declared}
        self._known = dict(self._declared)
        self.offered = dict(self._declared)

    def change(self, change: ToolChange) -> bool:
        """Follows `change`; False when it names no tool that is known."""
        tool = change.tool or self._known.get(change.name)
        if tool is None:
            return False
        self._known[change.name] = tool
        if change.offered:
            self.offered[change.name] = tool
        else:
            self.offered.pop(change.name, None)
        return True

    def since(self, changes: tuple[ToolChange, ...] | None) -> None:
        """Begins anew from a summary that tells the changes before it; None: it does not."""
        if changes is not None:
            self.offered = dict(self._declared)
            for change in changes:
                self.change(change)
