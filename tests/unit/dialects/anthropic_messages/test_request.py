"""Anthropic requests: outline, reading, and writing back what was read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.errors import BadRequest
from tierwise.nouns import (
    CacheMark,
    Media,
    Message,
    Model,
    Opaque,
    OutputFormat,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
)

DATA = Path(__file__).parents[5] / "shared" / "data"
DIALECT = registry.get("anthropic_messages")


def captures() -> list[Any]:
    found = []
    for path in sorted((DATA / "captures").glob("*.json")):
        for i, request in enumerate(json.loads(path.read_text())["requests"]):
            if request["path"].endswith("/v1/messages") and isinstance(request["body"], dict):
                found.append(pytest.param(request, id=f"{path.stem}-{i}"))
    absent = pytest.param(None, marks=pytest.mark.skip(reason="shared/data is not here"))
    return found or [absent]


def written(body: dict[str, Any], **headers: str) -> tuple[dict[str, Any], list[str]]:
    ask = DIALECT.read_request(json.dumps(body).encode(), headers)
    out = DIALECT.write_request(ask, Model("p/m", "p", body["model"]))
    return json.loads(out.body), [loss.name for loss in out.losses]


def normal(value: Any) -> Any:
    """The forms Anthropic takes as equal, as one: strings and single text blocks, null, false and absent."""
    if isinstance(value, list):
        return [normal(item) for item in value]
    if not isinstance(value, dict):
        return value
    whole = {key: normal(item) for key, item in value.items() if item is not None}
    for key in ("content", "system"):
        if isinstance(whole.get(key), str):
            whole[key] = [{"type": "text", "text": whole[key]}]
    for key, default in (("is_error", False), ("stream", False)):
        if whole.get(key) is default:
            del whole[key]
    return whole


def request(*content: Any, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": list(content) or "hi"}]
    return {"model": "claude-x", "max_tokens": 10, "messages": messages, **fields}


@pytest.mark.parametrize("capture", captures())
def test_real_requests_are_written_back_whole(capture: dict[str, Any]) -> None:
    body = capture["body"]
    out, losses = written(body, **dict(capture["headers"]))
    assert normal(out) == normal(body)
    assert losses == []


@pytest.mark.parametrize("capture", captures())
def test_real_requests_have_an_outline(capture: dict[str, Any]) -> None:
    body = capture["body"]
    outline = DIALECT.outline(json.dumps(body).encode())
    blocks = [
        block["type"]
        for turn in body["messages"]
        if isinstance(turn["content"], list)
        for block in turn["content"]
    ]
    assert outline.model == body["model"]
    assert outline.stream == bool(body.get("stream"))
    assert outline.max_output == body["max_tokens"]
    assert outline.tools == len(body.get("tools", ()))
    assert outline.images == ("image" in blocks)
    assert outline.documents == ("document" in blocks)
    assert outline.media == blocks.count("image") + blocks.count("document")
    assert outline.tool_loop == ("tool_result" in blocks)
    assert outline.thinking_history == ("thinking" in blocks)
    assert outline.json == ("format" in body.get("output_config", {}))


def test_claude_code_tells_its_session() -> None:
    packed = json.dumps({"device_id": "d1", "account_uuid": "", "session_id": "s1"})
    body = request(metadata={"user_id": packed, "task": "triage"})
    outline = DIALECT.outline(json.dumps(body).encode())
    assert (outline.user, outline.session, outline.task) == ("d1", "s1", "triage")
    assert DIALECT.read_request(json.dumps(body).encode(), {}).cache_key == "s1"
    header = {"x-claude-code-session-id": "s2"}
    assert DIALECT.read_request(json.dumps(body).encode(), header).cache_key == "s2"
    older = DIALECT.outline(json.dumps(request(metadata={"user_id": "user_a_account_b_session_c"})).encode())
    assert (older.user, older.session) == ("user_a_account_b", "c")


def test_outline_is_exact_about_media_that_only_seem_to_be_there() -> None:
    talk = request({"type": "text", "text": 'say "image" or {"type":"tool_result"}, "thinking"'})
    call = {"type": "tool_use", "id": "t", "name": "n", "input": {"type": "image", "kind": "document"}}
    talk["messages"].append({"role": "assistant", "content": [call]})
    outline = DIALECT.outline(json.dumps(talk).encode())
    assert not any((outline.images, outline.documents, outline.tool_loop, outline.thinking_history))


def test_outline_counts_media_in_tool_results_and_leaves_base64_out() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 5000}}
    body = request({"type": "tool_result", "tool_use_id": "t", "content": [image]}, image)
    outline = DIALECT.outline(json.dumps(body).encode())
    assert (outline.images, outline.media, outline.tool_loop) == (True, 2, True)
    assert 100 < outline.prompt_bytes < 1000


def test_outline_of_choices_format_and_extension() -> None:
    schema = {"type": "object", "properties": {}}
    body = request(
        tools=[{"name": "a", "input_schema": schema}],
        tool_choice={"type": "any"},
        output_format={"type": "json_schema", "schema": schema},
        thinking={"type": "adaptive"},
        cache_control={"type": "ephemeral"},
        provider={"fallback": ["p/x"], "routing": "cost"},
        service_tier="auto",
    )
    outline = DIALECT.outline(json.dumps(body).encode())
    assert outline.forced_tool
    assert outline.thinking
    assert outline.json
    assert outline.output_schema == schema
    assert outline.cache_marks
    assert outline.fallback == ("p/x",)
    assert outline.preference == "cost"
    assert outline.service_tier == "auto"
    assert "provider" not in written(body)[0]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"model":"m"', None),
        (b'{"messages":[]}', "model"),
        (b'{"model":"m"}', "messages"),
        (b'{"model":1,"messages":[]}', "model"),
        (b'{"model":"m","messages":{}}', "messages"),
        (b'{"model":"m","messages":[],"max_tokens":"x"}', "max_tokens"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream"),
        (b'{"model":"m","messages":[{"role":"user","content":7}]}', "messages"),
        (b"{" * 2000, None),
        (b'{"model":"m","messages":' + b"[" * 100000, None),
    ],
)
def test_bad_requests_name_the_field(body: bytes, param: str | None) -> None:
    for read in (DIALECT.outline, lambda body: DIALECT.read_request(body, {})):
        with pytest.raises(BadRequest) as caught:
            read(body)
        if param:
            assert (caught.value.param or "").startswith(param)


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([{"text": "no type"}], "messages.0.content.0"),
        (["bare"], "messages.0.content.0"),
        ([{"type": "text"}], "messages.0.content.0.text"),
        ([{"type": "text", "text": 5}], "messages.0.content.0.text"),
        ([{"type": "tool_use", "name": "n", "input": {}}], "messages.0.content.0.id"),
        ([{"type": "image", "source": None}], "messages.0.content.0.source"),
        ([{"type": "tool_result", "tool_use_id": "t", "content": [{}]}], "messages.0.content.0.content.0"),
        ({}, "messages.0.content"),
    ],
)
def test_bad_blocks_are_named(content: Any, param: str) -> None:
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]}
    with pytest.raises(BadRequest) as caught:
        DIALECT.read_request(json.dumps(body).encode(), {})
    assert caught.value.param == param


def test_tool_results_become_messages_of_their_own_and_go_back() -> None:
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "ok", "is_error": True}
    other = {"type": "tool_result", "tool_use_id": "t2", "content": [{"type": "text", "text": "x"}] * 2}
    text = {"type": "text", "text": "and now?", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    calls = [{"type": "tool_use", "id": i, "name": "n", "input": {"a": 1}} for i in ("t1", "t2")]
    body = {
        "model": "m",
        "max_tokens": 1,
        "messages": [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": calls},
            {"role": "user", "content": [result, other, text]},
        ],
    }
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    assert [message.role for message in ask.messages] == ["user", "assistant", "tool", "user"]
    assert ask.messages[1].parts[0] == ToolCall("t1", "n", '{"a":1}')
    assert ask.messages[2].parts[0] == ToolResult("t1", (Text("ok"),), True)
    assert ask.messages[3].parts == (Text("and now?", CacheMark("1h")),)
    out, losses = written(body)
    assert normal(out) == normal(body)
    assert losses == []


def test_everything_the_nouns_lack_survives() -> None:
    text = {"type": "text", "text": "x"}
    body = {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "a"},
                   {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [
                {"type": "search_result", "source": "s", "title": "t", "content": [text]},
                {"type": "document", "source": {"type": "content", "content": [text]}},
                {"type": "document", "title": "T",
                 "source": {"type": "text", "media_type": "text/plain", "data": "d"},
                 "context": "C", "citations": {"enabled": True}},
                {"type": "image", "source": {"type": "file", "file_id": "f1"}, "transformations": {}},
                {"type": "container_upload", "file_id": "f2"},
            ]},
            {"role": "system", "content": "mid", "output_config": {"effort": "low"}, "clear_at": "never"},
            {"role": "assistant", "content": [
                {"type": "redacted_thinking", "data": "zz"},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"q": 1}},
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []},
                {"type": "tool_use", "id": "t1", "name": "n", "input": {},
                 "caller": {"type": "code_execution_20250825", "tool_id": "s1"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "toolset_name": "x",
                 "content": [{"type": "tool_reference", "tool_name": "n"}]},
            ]},
        ],
        "tools": [
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3,
             "cache_control": {"type": "ephemeral"}},
            {"type": "browser_toolset_20260801"},
            {"name": "n", "input_schema": {"type": "object"}, "strict": False, "defer_loading": True},
        ],
        "thinking": {"type": "between_tools"},
        "output_config": {"effort": "low", "task_budget": {"total": 5}},
        "metadata": {"user_id": "u", "odd": 4},
        "container": "c1",
        "mcp_servers": [{"type": "url", "url": "u", "name": "n"}],
        "context_management": {"edits": []},
        "service_tier": "standard_only",
    }  # fmt: skip
    out, losses = written(body)
    assert normal(out) == normal(body)
    assert losses == []


def test_parts_as_nouns() -> None:
    body = request(
        {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
        },
        {"type": "search_result", "source": "s", "title": "t", "content": []},
    )
    body["messages"].append(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "thinking", "thinking": "foreign", "signature": ""},
                {"type": "redacted_thinking", "data": "zz"},
            ],
        }
    )
    user, assistant = DIALECT.read_request(json.dumps(body).encode(), {}).messages
    assert user.parts[:2] == (
        Media("image", "url", "https://x/y.png"),
        Media("document", "base64", "JVBERi0=", "application/pdf"),
    )
    assert isinstance(user.parts[2], Opaque)
    assert user.parts[2].kind == "search_result"
    assert assistant == Message(
        "assistant",
        (
            Thinking("hm", "sig", origin="anthropic_messages"),
            Thinking("foreign"),
            Thinking(encrypted="zz", origin="anthropic_messages"),
        ),
    )
    out, losses = written(body)
    assert [block["type"] for block in out["messages"][1]["content"]] == ["thinking", "redacted_thinking"]
    assert losses == ["thinking.replay"]


def test_settings_as_nouns() -> None:
    body = request(
        tools=[
            {
                "type": "custom",
                "name": "n",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
            }
        ],
        tool_choice={"type": "tool", "name": "n", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2000, "display": "summarized"},
        output_config={"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        stop_sequences=["END"],
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        metadata={"user_id": "u", "task": "t"},
    )
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    assert ask.tool_choice == ToolChoice("named", ("n",), parallel=False)
    assert (ask.reasoning.mode, ask.reasoning.effort, ask.reasoning.budget) == ("enabled", "high", 2000)
    assert ask.reasoning.summary == "auto"
    assert ask.output == OutputFormat("json_schema", schema={"type": "object"}, strict=True)
    assert ask.sampling.stop == ("END",)
    assert (ask.sampling.temperature, ask.sampling.top_p, ask.sampling.top_k) == (0.5, 0.9, 4)
    assert (ask.user, ask.metadata, ask.extras) == ("u", {}, {})
    out, _ = written(body)
    assert out["metadata"] == {"user_id": "u"}


def test_only_the_model_changes_in_a_pass_through() -> None:
    body = b'{ "messages":[{"role":"user","content":"\\u00e9 \\"model\\": 1"}],'
    body += b'\n "model" : "a\\/b", "x":{"model":"n"} }'
    changed = DIALECT.replace_model(body, "claude-y")
    assert changed == body.replace(b'"a\\/b"', b'"claude-y"')
