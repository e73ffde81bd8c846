"""What only Anthropic lets a conversation hold: tools that Claude Code and its SDKs' tool runners bring into
it on its way, and summaries that stand for what was said before.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.nouns import Model

SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "late", "description": "d", "input_schema": SCHEMA}
DECLARED = {"name": "first", "input_schema": SCHEMA}


def added(tool: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": tool}}


def removed(name: str) -> dict[str, Any]:
    return {"type": "tool_removal", "tool": {"type": "tool_reference", "name": name}}


def written(target: str, talk: list[dict[str, Any]], **more: Any) -> tuple[dict[str, Any], list[str]]:
    """What a provider of dialect `target` is sent, and the names of what it is not."""
    body = {"model": "m", "max_tokens": 99, "tools": [DECLARED], "messages": talk, **more}
    ask = registry.get("anthropic_messages").read_request(json.dumps(body).encode(), {})
    sent = registry.get(target).write_request(ask, Model("p/m", "p", "m"))
    return json.loads(sent.body), [loss.name for loss in sent.losses]


def changing(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """A conversation with `changes` in its midst."""
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "system", "content": list(changes)},
        {"role": "user", "content": "go"},
    ]


def sent(target: str, *changes: dict[str, Any]) -> dict[str, Any]:
    return written(target, changing(*changes))[0]


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


@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "gemini"])
def test_nothing_is_lost_of_changes_that_others_can_follow(target: str) -> None:
    again = {"type": "tool_addition", "tool": {"type": "tool_reference", "name": "late"}}
    body, lost = written(target, changing(added(TOOL), removed("first"), removed("late"), again))
    assert lost == []
    assert '"late"' in json.dumps(body["tools"])
    assert '"first"' not in json.dumps(body["tools"])
    unknown = {"type": "tool_reference", "name": "nobody's"}
    server = {"type": "mcp_toolset_reference", "mcp_server_name": "s"}
    for odd in (unknown, server, {"type": "tool_definition", "definition": {"type": "web_search_20260209"}}):
        assert written(target, changing({"type": "tool_addition", "tool": odd}))[1]


def test_no_tools_are_left_to_choose_from_when_all_are_removed() -> None:
    assert "tools" not in sent("openai_chat", removed("first"))


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


def compacted(**more: Any) -> list[dict[str, Any]]:
    """A conversation that Anthropic summed up in its midst."""
    summary = {"type": "compaction", "content": "They met.", "encrypted_content": "e", **more}
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "old"}]},
        {"role": "system", "content": [added(TOOL)]},
        {"role": "user", "content": "and?"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "lead"}, summary, {"type": "text", "text": "So."}],
        },
        {"role": "user", "content": "go"},
    ]


def test_a_summary_stands_for_what_was_said_before_it() -> None:
    body, lost = written("openai_chat", compacted(), system="Be brief.")
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Summary of the conversation so far:\n\nThey met."},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "go"},
    ]
    assert [tool["function"]["name"] for tool in body["tools"]] == ["first", "late"]
    assert lost == []
    body, _ = written("gemini", compacted())
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user"]
    body, _ = written("openai_responses", compacted())
    assert [item["role"] for item in body["input"]] == ["user", "assistant", "user"]


def test_a_summary_may_tell_the_tools_changed_before_it() -> None:
    body, lost = written(
        "openai_chat", compacted(tool_changes=[removed("first"), added({**TOOL, "name": "x"})])[4:]
    )
    assert [tool["function"]["name"] for tool in body["tools"]] == ["x"]
    assert lost == []
    body, _ = written("openai_chat", compacted(tool_changes=[]))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["first"]


def test_a_summary_that_failed_stands_for_nothing_and_one_in_secret_is_lost_by_name() -> None:
    body, lost = written("openai_chat", compacted(content=None, encrypted_content=None))
    assert [message["content"] for message in body["messages"][:2]] == ["hi", "old"]
    assert lost == []
    _, lost = written("openai_chat", compacted(content=None))
    assert lost == ["opaque.compaction"]


def test_the_last_summary_counts_and_anthropic_gets_them_all() -> None:
    talk = [*compacted(), *compacted(content="They met again.")]
    body, _ = written("openai_chat", talk)
    assert [message["content"] for message in body["messages"]] == [
        "Summary of the conversation so far:\n\nThey met again.", "So.", "go",
    ]  # fmt: skip
    own = json.dumps(written("anthropic_messages", talk)[0]["messages"])
    assert own.count('"compaction"') == own.count('"tool_addition"') == 2
