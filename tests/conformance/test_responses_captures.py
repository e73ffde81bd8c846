"""Requests that real clients sent to `/v1/responses`: read, and written back without a loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.dialects.openai_responses import DIALECT
from tierwise.nouns import Message, Model, Text, Thinking, ToolCall, ToolResult

CAPTURES = Path(__file__).parents[2] / "../shared/data/captures"
pytestmark = pytest.mark.skipif(not CAPTURES.exists(), reason="the shared captures are not here")


def bodies(client: str = "*") -> list[Any]:
    found = []
    for path in sorted(CAPTURES.glob(f"{client}.json")):
        for i, request in enumerate(json.loads(path.read_bytes())["requests"]):
            if request["path"] == "/v1/responses" and isinstance(request["body"], dict):
                found.append(pytest.param(request["body"], id=f"{path.stem}-{i}"))
    return found


def said(body: dict[str, Any]) -> dict[str, Any]:
    """The body without members that say what is so anyway."""
    return {name: value for name, value in body.items() if not (name == "stream" and value is False)}


@pytest.mark.parametrize("body", bodies())
def test_every_request_comes_back_as_it_was(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    ask = DIALECT.read_request(raw, {})
    written = DIALECT.write_request(ask, Model("p/x", "p", "served"))
    assert written.losses == ()
    assert json.loads(written.body) == said({**body, "model": "served"})


@pytest.mark.parametrize("body", bodies())
def test_a_changed_request_keeps_all_but_ids(body: dict[str, Any]) -> None:
    """Without its bytes an Ask still says the same: read again, it is the same Ask."""
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    bare = type(ask)(**{f: getattr(ask, f) for f in ask.__struct_fields__ if f != "raw"})
    written = DIALECT.write_request(bare, Model("p/x", "p", ask.model))
    again = DIALECT.read_request(written.body, {})
    assert written.losses == ()
    for field in ask.__struct_fields__:
        if field != "raw":
            assert getattr(again, field) == getattr(ask, field), field


@pytest.mark.parametrize("body", bodies())
def test_the_outline_agrees_with_the_whole_reading(body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    outline, ask = DIALECT.outline(raw), DIALECT.read_request(raw, {})
    parts = [part for message in ask.messages for part in message.parts]
    assert (outline.model, outline.stream, outline.max_output) == (ask.model, ask.stream, ask.max_output)
    assert outline.tools == len(ask.tools)
    assert outline.tool_loop == any(isinstance(part, ToolResult) for part in parts)
    assert outline.thinking_history == any(isinstance(part, Thinking) for part in parts)
    assert outline.session == ask.cache_key
    assert outline.output_schema == (ask.output.schema if ask.output else None)
    assert 0 < outline.prompt_bytes < len(raw)


@pytest.mark.parametrize("name", ["openai_chat", "anthropic_messages"])
@pytest.mark.parametrize("body", bodies())
def test_other_dialects_can_carry_it(body: dict[str, Any], name: str) -> None:
    """Every message and tool arrives there; what is lost is named and nothing of the conversation."""
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    dialect = registry.get(name)
    written = dialect.write_request(ask, Model("p/x", "p", "some-model"))
    again = dialect.read_request(written.body, {})
    text = "".join(part.text for m in ask.messages for part in m.parts if isinstance(part, Text))
    there = "".join(part.text for m in again.messages for part in m.parts if isinstance(part, Text))
    assert sorted(text) == sorted(there)
    kept = [tool.name for tool in ask.tools if tool.kind != "hosted"]
    assert [tool.name for tool in again.tools] == kept
    assert all(len(name) <= 64 for name in kept)
    names = {loss.name for loss in written.losses}
    assert not {n for n in names if n.startswith(("tool_result", "tool_call", "message", "media"))}


def test_codex_sends_tools_inside_namespaces_of_an_input_item() -> None:
    body = next(p.values[0] for p in bodies("codex") if p.values[0]["model"] == "gpt-6-sol")
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    names = [tool.name for tool in ask.tools]
    assert names[:2] == ["functions__exec", "functions__wait"]
    assert ask.tools[0].kind == "custom"
    assert ask.tools[0].grammar is not None
    assert "clock__sleep" in names
    assert all(message.role != "assistant" for message in ask.messages)


def test_codex_hands_reasoning_calls_and_outputs_back() -> None:
    body = next(
        p.values[0] for p in bodies("codex") if any(i["type"] == "reasoning" for i in p.values[0]["input"])
    )
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    call = body["input"][-2]
    assert [message.role for message in ask.messages[-2:]] == ["assistant", "tool"]
    assert ask.messages[-2] == Message(
        "assistant",
        (
            Thinking("stub reasoning", "", "gAAAA-stub", body["input"][-3]["id"], "openai_responses", True),
            ToolCall(call["call_id"], "exec_command", '{"cmd": "ls"}', item_id=call["id"]),
        ),
    )
    result = ask.messages[-1].parts[0]
    assert isinstance(result, ToolResult)
    assert result.call_id == call["call_id"]
