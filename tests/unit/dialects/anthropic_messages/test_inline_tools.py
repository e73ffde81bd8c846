"""Tools that Claude Code and Anthropic's tool runners bring into a conversation on its way."""

from __future__ import annotations

import json
from typing import Any

from tierwise.dialects import registry
from tierwise.nouns import Model

SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "late", "description": "d", "input_schema": SCHEMA}
DECLARED = {"name": "first", "input_schema": SCHEMA}


def added(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool}}


def removed(name: str) -> dict[str, Any]:
    return {"type": "tool_removal", "tool": {"type": "tool_reference", "name": name}}


def sent(target: str, *changes: dict[str, Any]) -> dict[str, Any]:
    """What a provider of dialect `target` is sent after `changes` in mid-conversation."""
    talk = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "system", "content": list(changes)},
        {"role": "user", "content": "go"},
    ]
    body = {"model": "m", "max_tokens": 9, "tools": [DECLARED], "messages": talk}
    ask = registry.get("anthropic_messages").read_request(json.dumps(body).encode(), {})
    written: dict[str, Any] = json.loads(registry.get(target).write_request(ask, Model("p/m", "p", "m")).body)
    return written


def names(*changes: dict[str, Any]) -> list[str]:
    return [tool["function"]["name"] for tool in sent("openai_chat", *changes)["tools"]]


def test_other_vendors_models_are_offered_them() -> None:
    assert names(added(TOOL)) == ["first", "late"]
    assert sent("openai_chat", added(TOOL))["tools"][1]["function"]["description"] == "d"
    assert len(sent("gemini", added(TOOL))["tools"][0]["functionDeclarations"]) == 2
    assert [tool["name"] for tool in sent("openai_responses", added(TOOL))["tools"]] == ["first", "late"]


def test_only_those_that_are_not_removed_or_declared_already() -> None:
    assert names(added(TOOL), removed("late")) == ["first"]
    assert names(added(TOOL), removed("late"), added(TOOL)) == ["first", "late"]
    assert names(added(DECLARED), added({**TOOL, "description": "x"}), added(TOOL)) == ["first", "late"]
    reference = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "first"}}
    assert names(reference, {"type": "tool_addition", "tool": 5}, {"type": "tool_addition"}) == ["first"]


def test_anthropic_gets_them_where_they_stand() -> None:
    body = sent("anthropic_messages", added(TOOL))
    assert [tool["name"] for tool in body["tools"]] == ["first"]
    assert body["messages"][2] == {"role": "system", "content": [added(TOOL)]}


def test_what_a_tool_search_found_is_told_in_words() -> None:
    """An empty result would say that it found nothing."""
    found = {"type": "tool_reference", "tool_name": "first"}
    call = {"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [found]}
    talk = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    body = {"model": "m", "max_tokens": 9, "tools": [DECLARED], "messages": talk}
    ask = registry.get("anthropic_messages").read_request(json.dumps(body).encode(), {})
    other = json.loads(registry.get("openai_chat").write_request(ask, Model("p/m", "p", "m")).body)
    assert other["messages"][-1]["content"] == "The tool first can be called now."
    own = json.loads(registry.get("anthropic_messages").write_request(ask, Model("p/m", "p", "m")).body)
    assert own["messages"][-1]["content"][0]["content"] == [found]
