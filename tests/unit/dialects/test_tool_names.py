"""Tools of Gemini's callers at other vendors: plain names there, the caller's own in its answers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.dialects.tool_names import plain
from tierwise.nouns import Answer, BlockStart, BlockStop, Choice, Model, Started, ToolCall, Usage

GEMINI = registry.get("gemini")
ODD, SENT = "mail.box:send", plain("mail.box:send")
BODY: dict[str, Any] = {
    "contents": [
        {"role": "user", "parts": [{"text": "hi"}]},
        {"role": "model", "parts": [{"functionCall": {"name": ODD, "args": {}}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": ODD, "response": {"result": 1}}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": ODD}, {"name": "mail_box_send"}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [ODD]}},
}


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_other_vendors_see_plain_names(target: str) -> None:
    ask = GEMINI.read_request(json.dumps(BODY).encode(), {})
    written = registry.get(target).write_request(ask, Model("p/m", "p", "m"))
    assert ODD not in written.body.decode()
    assert written.body.decode().count(SENT) >= 3
    assert '"mail_box_send"' in written.body.decode() or target == "anthropic_messages"


def test_the_caller_is_told_his_own() -> None:
    ask = GEMINI.read_request(json.dumps(BODY).encode(), {})
    call = ToolCall("c1", SENT, "{}")
    answer = Answer("a", "m", (Choice((call,), "tool_calls"),), Usage(input=1, output=1))
    assert ODD in GEMINI.write_answer(answer, ask).body.decode()
    writer = GEMINI.writer(ask)
    events = [
        Started("a", "m"),
        BlockStart(0, "tool_call", ToolCall("c1", SENT, "")),
        BlockStop(0),
    ]
    assert ODD in b"".join(map(writer.write, events)).decode()
