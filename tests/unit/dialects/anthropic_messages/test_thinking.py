"""Thinking by budget in the middle of calls, as Anthropic takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.nouns import (
    Abilities,
    Ask,
    Message,
    Model,
    Reasoning,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)

HI = Message("user", (Text("hi"),))
WEATHER = Tool("weather", schema={"type": "object", "properties": {"city": {"type": "string"}}})
CALL = ToolCall("t1", "weather", "{}")
RESULT = Message("tool", (ToolResult("t1", (Text("22"),)),))
OURS = Thinking("hm", "sig", origin="anthropic_messages")
THEIRS = Thinking("hm", origin="openai_chat")


def written(messages: tuple[Message, ...], modes: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    asked = Ask("openai_chat", "m", messages, (WEATHER,), reasoning=Reasoning(effort="low"), max_output=9000)
    model = Model("p/m", "p", "claude-x", Abilities(thinking=modes))
    out = registry.get("anthropic_messages").write_request(asked, model)
    return json.loads(out.body), [loss.name for loss in out.losses]


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((HI,), True),
        ((HI, Message("assistant", (CALL,)), RESULT), False),
        ((HI, Message("assistant", (Text("so"), CALL)), RESULT), False),
        ((HI, Message("assistant", (THEIRS, CALL)), RESULT), False),
        ((HI, Message("assistant", (OURS, CALL)), RESULT), True),
        # one turn of several calls: it began with thinking
        ((HI, *(Message("assistant", (OURS, CALL)), RESULT),
          *(Message("assistant", (CALL,)), RESULT)), True),
        ((HI, *(Message("assistant", (CALL,)), RESULT),
          *(Message("assistant", (OURS, CALL)), RESULT)), False),
        # the user has spoken since
        ((HI, Message("assistant", (CALL,)), RESULT, Message("assistant", (Text("22"),)), HI), True),
        ((HI, Message("assistant", (CALL,)), RESULT, Message("system", (Text("kind"),))), False),
    ],
)  # fmt: skip
def test_no_thinking_by_budget_amid_calls_that_began_without(messages: Any, thinks: bool) -> None:
    """Anthropic: "a final `assistant` message must start with a thinking block"."""
    body, losses = written(messages, ("enabled", "disabled"))
    assert ("thinking" in body) is thinks
    assert ("thinking.mode" in losses) is not thinks
    body, losses = written(messages, ("adaptive",))  # asks for no thinking before the calls
    assert body["thinking"] == {"type": "adaptive"}
    assert "thinking.mode" not in losses
