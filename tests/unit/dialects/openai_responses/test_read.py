"""OpenAI responses: what is on the wire → Ask, the Outline, and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tierwise.dialects.openai_responses import DIALECT
from tierwise.errors import BadRequest
from tierwise.nouns import (
    Ask,
    CacheMark,
    Media,
    Message,
    Model,
    Opaque,
    OutputFormat,
    Reasoning,
    Refusal,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

NAME = "openai_responses"
GPT = Model("p/m", "p", "gpt-5.6")


def body(*items: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": list(items) or "hi", **fields}).encode()


def read(*items: Any, **fields: Any) -> Ask:
    return DIALECT.read_request(body(*items, **fields), {})


def write(ask: Ask, model: Model = GPT) -> tuple[dict[str, Any], set[str]]:
    written = DIALECT.write_request(ask, model)
    found: dict[str, Any] = json.loads(written.body)
    return found, {loss.name for loss in written.losses}


def call(call_id: str, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": "{}", **more}


def output(call_id: str, value: Any = "ok") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": value}


def space(*tools: dict[str, Any], name: str = "n", **more: Any) -> dict[str, Any]:
    return {"type": "namespace", "name": name, "tools": list(tools), **more}


def test_a_text_is_a_users_message_and_instructions_a_system_message() -> None:
    assert read(instructions="Be brief.").messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("hi"),)),
    )


def test_content_parts() -> None:
    found = read(
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                {"type": "input_image", "file_id": "file-1"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
                {"type": "input_file", "file_url": "http://e/a.pdf"},
                {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
                {"type": "new_part", "x": 1},
            ],
        }
    )
    assert found.messages[0].parts == (
        Text("a", CacheMark("30m")),
        Media("image", "base64", "aGk=", "image/png", detail="low"),
        Media("image", "file_id", "file-1"),
        Media("document", "base64", "aGk=", "application/pdf", "a.pdf"),
        Media("document", "url", "http://e/a.pdf"),
        Media("audio", "base64", "aGk=", "audio/mpeg"),
        Opaque(NAME, "new_part", {"type": "new_part", "x": 1}),
    )


def test_items_of_one_turn_are_one_message() -> None:
    found = read(
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "enc"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Looking.", "annotations": []}]},
        call("c1", id="fc_1"),
        {"type": "reasoning", "id": "rs_2", "summary": [{"type": "summary_text", "text": "x"}]},
        call("c2"),
        output("c1"),
        output("c2", [{"type": "input_image", "image_url": "http://e/i"}]),
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ).messages
    assert [message.role for message in found] == ["user", "assistant", "tool", "assistant"]
    assert found[1].parts == (
        Thinking("", "", "enc", "rs_1", NAME),
        Text("Looking."),
        ToolCall("c1", "f", "{}", item_id="fc_1"),
        Thinking("x", "", "", "rs_2", NAME, True),
        ToolCall("c2", "f", "{}"),
    )
    assert found[2].parts == (
        ToolResult("c1", (Text("ok"),)),
        ToolResult("c2", (Media("image", "url", "http://e/i"),)),
    )
    assert found[3].parts == (Refusal("no"),)


def test_two_messages_in_a_row_are_two_texts() -> None:
    found = read({"role": "assistant", "content": "I'll look."}, {"role": "assistant", "content": "Done."})
    assert [message.parts for message in found.messages] == [(Text("I'll look."),), (Text("Done."),)]


def test_items_of_the_vendors_own_tools_travel_whole() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    shell = {"type": "local_shell_call_output", "id": "ls_1", "output": "x"}
    ask = read({"role": "user", "content": "hi"}, search, shell, {"type": "item_reference", "id": "rs_1"})
    assert [(message.role, message.parts[0]) for message in ask.messages[1:]] == [
        ("assistant", Opaque(NAME, "web_search_call", search)),
        ("tool", Opaque(NAME, "local_shell_call_output", shell)),
        ("assistant", Opaque(NAME, "item_reference", {"type": "item_reference", "id": "rs_1"})),
    ]
    again, losses = write(replace(ask, raw=b""))
    assert again["input"][1:] == [search, shell, {"type": "item_reference", "id": "rs_1"}]
    assert losses == set()


def test_free_text_tools() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "t", "input": "free"}
    ask = read(
        item, {**output("c"), "type": "custom_tool_call_output"}, tools=[{"type": "custom", "name": "t"}]
    )
    assert ask.messages[0].parts == (ToolCall("c", "t", "free", custom=True),)
    assert ask.messages[1].parts == (ToolResult("c", (Text("ok"),), custom=True),)
    assert ask.tools == (Tool("t", "custom"),)


def test_tools_in_namespaces_get_one_name_each() -> None:
    inner = {"type": "function", "name": "f", "description": "d"}
    ask = read(
        {"role": "user", "content": "hi"},
        {
            "type": "additional_tools",
            "role": "developer",
            "tools": [space(inner, {"type": "custom", "name": "c"})],
        },
        call("c1", "f", namespace="n"),
        call("c2", "g", namespace="gone"),
        tools=[
            {"type": "function", "name": "n__f"},
            space({**inner, "name": "h"}, name="o", description="About o."),
        ],
        tool_choice={"type": "function", "name": "h"},
    )
    assert [(tool.name, tool.kind) for tool in ask.tools] == [
        ("n__f", "function"),
        ("o__h", "function"),
        ("n__f_", "function"),
        ("n__c", "custom"),
    ]
    assert ask.tools[1].description == "About o.\n\nd"
    assert ask.tool_choice == ToolChoice("named", ("o__h",))
    assert [part.name for part in ask.messages[1].parts if isinstance(part, ToolCall)] == ["n__f_", "gone__g"]
    again, losses = write(replace(ask, raw=b""))
    assert losses == set()
    assert again["tools"] == [
        {"type": "function", "name": "n__f"},
        space({**inner, "name": "h"}, name="o", description="About o."),
        space(inner, {"type": "custom", "name": "c"}),
    ]
    assert [(item["namespace"], item["name"]) for item in again["input"][1:]] == [("n", "f"), ("gone", "g")]


def test_long_names_in_namespaces_are_cut_alike_every_time() -> None:
    tools = [space({"type": "function", "name": "x" * 60}, name="mcp.server")]
    name = read(tools=tools).tools[0].name
    assert len(name) == 64
    assert name.startswith("mcp_server__xxx")
    assert read(tools=tools).tools[0].name == name


def test_tools_and_what_is_unknown_about_them() -> None:
    mcp = {"type": "mcp", "server_label": "s", "authorization": "secret"}
    ask = read(
        tools=[
            {
                "type": "function",
                "name": "f",
                "parameters": {"type": "object"},
                "strict": True,
                "defer_loading": True,
            },
            mcp,
        ],
        tool_choice={"type": "mcp", "server_label": "s"},
    )
    assert ask.tools == (
        Tool("f", schema={"type": "object"}, strict=True, raw={"defer_loading": True}, dialect=NAME),
        Tool("mcp", "hosted", raw=mcp, dialect=NAME),
    )
    assert ask.extras == {"tool_choice": {"type": "mcp", "server_label": "s"}}
    again, _ = write(replace(ask, raw=b""))
    assert again["tools"][1] == mcp
    assert again["tools"][0]["defer_loading"] is True
    assert again["tool_choice"] == {"type": "mcp", "server_label": "s"}


def test_the_rest_of_a_request() -> None:
    ask = read(
        stream=True,
        temperature=0.5,
        top_p=1,
        top_logprobs=3,
        include=["reasoning.encrypted_content", "message.output_text.logprobs", "file_search_call.results"],
        reasoning={"effort": "none", "summary": "auto", "context": "all_turns"},
        text={
            "verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True},
        },
        max_output_tokens=9,
        previous_response_id="resp_1",
        prompt_cache_key="k",
        service_tier="flex",
        store=False,
        user="u",
        metadata={"task": "t"},
        truncation="auto",
        parallel_tool_calls=False,
        tool_choice={
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "f"}],
        },
        provider={"fallback": ["a/b"]},
        background=None,
    )
    assert ask.sampling == Sampling(0.5, 1, logprobs=True, top_logprobs=3)
    assert ask.reasoning == Reasoning(effort="none", summary="auto", include_encrypted=True)
    assert ask.output == OutputFormat("json_schema", "n", {}, True)
    assert ask.tool_choice == ToolChoice("allowed", ("f",), False, True)
    assert (ask.max_output, ask.previous_id, ask.cache_key) == (9, "resp_1", "k")
    assert (ask.service_tier, ask.store, ask.user, ask.metadata) == ("flex", False, "u", {"task": "t"})
    assert ask.verbosity == "low"
    assert ask.stream
    assert ask.extras == {
        "include": ["file_search_call.results"],
        "reasoning": {"context": "all_turns"},
        "truncation": "auto",
    }
    again, losses = write(replace(ask, raw=b""))
    came = json.loads(ask.raw)
    assert losses == set()
    assert {**again, "include": sorted(again["include"])} == {
        **{name: value for name, value in came.items() if name not in ("provider", "background", "input")},
        "model": "gpt-5.6",
        "include": sorted(came["include"]),
        "input": [{"type": "message", "role": "user", "content": "hi"}],
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"type": "message", "role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"x": 1}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
        ),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        (
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom"}]}]},
            "tools[0].tools[0].name",
        ),
        ({"tools": 5}, "tools"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"text": {"format": {"type": "json_schema", "schema": 5}}}, "text.format.schema"),
        ({"reasoning": "low"}, "reasoning"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    raw = json.dumps({"model": "m", "input": "hi", **fields}).encode()
    with pytest.raises(BadRequest) as caught:
        DIALECT.read_request(raw, {})
    assert caught.value.param == param


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object(raw: bytes) -> None:
    for reading in (DIALECT.outline, lambda b: DIALECT.read_request(b, {})):
        with pytest.raises(BadRequest):
            reading(raw)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"input": [5]}, "input[0]"),
        ({"max_output_tokens": "9"}, "max_output_tokens"),
        ({"tools": [5]}, "tools[0]"),
    ],
)
def test_the_outline_names_what_is_wrong(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.outline(json.dumps({"model": "m", "input": "hi", **fields}).encode())
    assert caught.value.param == param


def test_the_outline_of_everything() -> None:
    found = DIALECT.outline(
        body(
            {"type": "additional_tools", "tools": [space({"type": "function", "name": "f"})]},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}},
                    {"type": "input_file", "file_data": "data:;base64," + "a" * 5000},
                    {"type": "input_audio", "input_audio": {"data": "a" * 5000}},
                ],
            },
            {"type": "reasoning", "summary": []},
            call("c"),
            output("c", [{"type": "input_image", "image_url": "data:;base64," + "a" * 5000}]),
            stream=True,
            max_output_tokens=9,
            tools=[{"type": "web_search"}],
            tool_choice={"type": "web_search"},
            text={"format": {"type": "json_schema", "schema": {"type": "object"}}},
            reasoning={"effort": "high"},
            metadata={"task": "t", "session_id": "s"},
            safety_identifier="u",
            service_tier="flex",
            provider={"fallback": ["a/b"], "routing": "cost"},
        )
    )
    assert found.images
    assert found.documents
    assert found.audio
    assert found.media == 3
    assert found.tools == 2
    assert found.forced_tool
    assert found.tool_loop
    assert found.thinking
    assert found.thinking_history
    assert found.cache_marks
    assert found.json
    assert found.output_schema == {"type": "object"}
    assert (found.task, found.session, found.user, found.service_tier) == ("t", "s", "u", "flex")
    assert (found.fallback, found.preference) == (("a/b",), "cost")
    assert 0 < found.prompt_bytes < 1000
    assert DIALECT.outline(b'{"model":"m","previous_response_id":"r"}').prompt_bytes == 0
