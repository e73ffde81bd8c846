"""Names of tools: Gemini's callers may put dots and colons into them, which no other vendor takes."""

from __future__ import annotations

import hashlib
import re

from msgspec.structs import replace

from ..nouns import Ask, Part, ToolCall, ToolResult

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")
_ODD = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST = 64


def plain(name: str) -> str:
    """`name` where every vendor takes its letters, else with a digest of itself, of 64 letters at most."""
    if _PLAIN.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_ODD.sub('_', name)[: _LONGEST - 9]}_{digest}"


def with_plain_names(ask: Ask) -> Ask:
    """`ask` as it is sent to another vendor than Gemini, every tool under its plain name."""
    if ask.dialect != "gemini" or all(_PLAIN.fullmatch(name) for name in _names(ask)):
        return ask
    messages = [
        replace(message, parts=tuple(_renamed(part) for part in message.parts)) for message in ask.messages
    ]
    tools = [tool if tool.kind == "hosted" else replace(tool, name=plain(tool.name)) for tool in ask.tools]
    choice = replace(ask.tool_choice, names=tuple(map(plain, ask.tool_choice.names)))
    return replace(ask, messages=tuple(messages), tools=tuple(tools), tool_choice=choice)


def given_name(ask: Ask, name: str) -> str:
    """What the caller calls the tool that was sent as `name`."""
    return next((tool.name for tool in ask.tools if tool.name != name and plain(tool.name) == name), name)


def _names(ask: Ask) -> list[str]:
    calls = (part for message in ask.messages for part in message.parts)
    return [
        *(tool.name for tool in ask.tools if tool.kind != "hosted"),
        *(part.name for part in calls if isinstance(part, ToolCall | ToolResult)),
    ]


def _renamed(part: Part) -> Part:
    return replace(part, name=plain(part.name)) if isinstance(part, ToolCall | ToolResult) else part
