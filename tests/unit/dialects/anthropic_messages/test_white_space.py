"""Texts of white space alone, which Anthropic refuses: pieces of what Gemini's callers hand back."""

from __future__ import annotations

import json
from typing import Any

from tierwise.dialects import registry
from tierwise.nouns import Ask, Message, Model, Text, Thinking, ToolCall, ToolResult

HI = Message("user", (Text("hi"),))


def sent(*messages: Message) -> list[dict[str, Any]]:
    """The messages Anthropic is sent of a conversation in Gemini's dialect."""
    written = registry.get("anthropic_messages").write_request(
        Ask("gemini", "m", messages, max_output=9), Model("p/m", "p", "m")
    )
    assert all(loss.name == "thinking.replay" for loss in written.losses)
    told: list[dict[str, Any]] = json.loads(written.body)["messages"]
    return told


def test_white_space_between_texts_is_kept() -> None:
    pieces = map(Text, ("\n", "a", " ", "b", "\n\n", "", "c"))
    result = ToolResult("1", (Text("x"), Text(" "), Text("y")))
    talk = sent(HI, Message("assistant", (*pieces, ToolCall("1", "f", "{}"))), Message("tool", (result,)))
    assert [block.get("text") for block in talk[1]["content"]] == ["\na ", "b\n\n", "c", None]
    assert [block["text"] for block in talk[2]["content"][0]["content"]] == ["x ", "y"]


def test_white_space_alone_is_left_out() -> None:
    turn = Message("assistant", (Thinking("x"), Text(" "), ToolCall("1", "f", "{}"), Text("\n")))
    assert [block["type"] for block in sent(HI, turn, HI)[1]["content"]] == ["tool_use"]
