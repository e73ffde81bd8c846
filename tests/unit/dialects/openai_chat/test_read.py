"""OpenAI chat: what is on the wire → Ask, and back without a loss."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_chat import DIALECT
from tierwise.errors import BadRequest
from tierwise.nouns import (
    Ask,
    CacheMark,
    Media,
    Message,
    Model,
    Opaque,
    OutputFormat,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)

HI: dict[str, Any] = {"role": "user", "content": "hi"}


def read(**fields: Any) -> Ask:
    body = {"model": "m", "messages": [HI], **fields}
    return DIALECT.read_request(json.dumps(body).encode(), {})


def parts(message: dict[str, Any]) -> tuple[Any, ...]:
    return read(messages=[message]).messages[0].parts


def again(**fields: Any) -> dict[str, Any]:
    """The same request read and written back, for a model that is not OpenAI's own."""
    ask = read(**fields)
    written = DIALECT.write_request(ask, Model("p/m", "p", "m"))
    assert written.losses == ()
    return json.loads(written.body)


def user(*content: Any) -> dict[str, Any]:
    """A conversation of one user message with these parts."""
    return {"messages": [{"role": "user", "content": list(content)}]}


def said(*more: Any, content: str | None = None, **message: Any) -> dict[str, Any]:
    """A conversation in which the assistant said this, and `more` followed."""
    return {"messages": [HI, {"role": "assistant", "content": content, **message}, *more]}


def called(**members: Any) -> list[dict[str, Any]]:
    """Tool calls of an assistant."""
    return [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}, **members}]


def result(content: Any = "r", **members: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": "c", "content": content, **members}


def text(value: str = "a", **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **members}


def part(kind: str, **inner: Any) -> dict[str, Any]:
    return {"type": kind, kind: inner}


def function(**members: Any) -> dict[str, Any]:
    return part("function", name="f", **members)


def allowed(mode: str) -> dict[str, Any]:
    return part("allowed_tools", mode=mode, tools=[function()])


SCHEMA = {"type": "object"}
CITED = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}

ROUND = [
    {"messages": [{"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, HI]},
    {"messages": [{"role": "user", "content": "hi", "name": "ann"}]},
    {"messages": [{"role": "user", "content": "hi", "strange": 7}]},
    user(text("a"), text("b")),
    user(part("image_url", url="http://x/y.png", detail="low")),
    user(part("image_url", url="data:image/png;base64,QUJD")),
    user(part("image_url", url="http://x", format="png")),
    user(part("input_audio", data="QUJD", format="wav")),
    user(part("input_audio", data="QUJD", format="mp3")),
    user(part("file", filename="a.pdf", file_data="data:application/pdf;base64,QUJD")),
    user(part("file", file_id="file-1")),
    user(part("file", file_data="QUJD")),
    user(part("video_url", url="http://x/v.mp4")),
    user(part("new_kind", a=1) | {"cache_control": {"type": "ephemeral"}}),
    user(text(strange={"b": 1})),
    user(text(prompt_cache_breakpoint={"mode": "explicit"})),
    user(text(cache_control={"type": "ephemeral"})),
    user(text(cache_control={"type": "ephemeral", "ttl": "1h"})),
    said(content="x", refusal="no"),
    said(refusal="no"),
    said(content=""),
    said(content="x", reasoning_content="because"),
    said(content="x", reasoning_details=[{"type": "r"}]),
    said(HI, audio={"id": "audio_1"}),
    said(content="x", annotations=[CITED]),
    said(result(), tool_calls=called()),
    said(result([text("r"), text("s")], name="f"), content="x", tool_calls=called()),
    said(result(), tool_calls=called(extra_content={"google": {"thought_signature": "sig"}})),
    said(result(odd=2), tool_calls=called(odd=1)),
    said({"role": "function", "name": "f", "content": "r"}, function_call={"name": "f", "arguments": "{}"})
    | {"functions": [{"name": "f", "parameters": SCHEMA}], "function_call": {"name": "f"}},
    {"functions": [{"name": "f", "description": "d", "parameters": SCHEMA}], "function_call": "auto"},
    {"tools": [function(description="d", parameters=SCHEMA, strict=True)], "tool_choice": "required"},
    {"tools": [function()], "tool_choice": function(), "parallel_tool_calls": False},
    {"tools": [function(odd=1) | {"odder": 2}]},
    {"tools": [{"type": "hosted_thing", "x": 1}], "tool_choice": "none"},
    {"tools": [function()], "tool_choice": allowed("required")},
    {"tools": [function()], "tool_choice": allowed("auto")},
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}},
    {"response_format": part("json_schema", name="n", schema=SCHEMA, strict=True, description="d")},
    {"response_format": {"type": "grammar", "grammar": "g"}},
    {"stop": ["a", "b"], "max_tokens": 5, "temperature": 0, "top_p": 0.5, "top_k": 3, "seed": 1, "n": 2},
    {"logprobs": True, "top_logprobs": 2, "frequency_penalty": -1, "presence_penalty": 1.5},
    {"reasoning_effort": "low", "verbosity": "high", "service_tier": "flex", "metadata": {"a": "b"}},
    {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit"}, "user": "u", "store": False},
    {"safety_identifier": "s", "prediction": {"type": "content", "content": "x"}, "logit_bias": {"5": -100}},
    {"modalities": ["text", "audio"], "audio": {"voice": "v", "format": "wav"}},
    {"metadata": {"a": 1}, "web_search_options": {}, "anything": [1, {"x": None}]},
    {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
    {"provider": {"order": ["a"], "allow_fallbacks": False}},
]


@pytest.mark.parametrize("fields", ROUND, ids=str)
def test_a_request_survives_reading_and_writing(fields: dict[str, Any]) -> None:
    assert again(**fields) == {"model": "m", "messages": [HI], **fields}


def test_custom_tools_survive_for_openais_own_models() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "x"}}
    call = {"id": "c", **part("custom", name="p", input="free")}
    fields = {
        "model": "gpt-5.6",
        **said(result("ok"), tool_calls=[call]),
        "tools": [
            part("custom", name="p", description="d", format=grammar),
            part("custom", name="q", format={"type": "text"}),
        ],
        "tool_choice": part("custom", name="p"),
    }
    ask = DIALECT.read_request(json.dumps(fields).encode(), {})
    assert ask.tools[0].grammar == {"type": "grammar", "syntax": "lark", "definition": "x"}
    written = DIALECT.write_request(ask, Model("o/g", "o", "gpt-5.6"))
    assert json.loads(written.body) == fields
    assert written.losses == ()


def test_nulls_are_as_good_as_absent_everywhere() -> None:
    names = (
        "temperature top_p n stop max_tokens max_completion_tokens tools tool_choice functions store seed "
        "function_call logprobs response_format stream stream_options metadata user logit_bias modalities "
        "provider new_field parallel_tool_calls reasoning_effort prompt_cache_key service_tier"
    )
    nothing = {"name": None, "refusal": None, "tool_calls": None, "function_call": None, "audio": None}
    message = {"role": "assistant", "content": "x", "annotations": None, **nothing}
    ask = read(messages=[HI, message], **dict.fromkeys(names.split()))
    plain = read(messages=[HI, {"role": "assistant", "content": "x"}])
    assert (ask.messages, ask.extras, ask.sampling) == (plain.messages, {}, plain.sampling)
    assert DIALECT.outline(ask.raw).tools == 0


def test_what_the_parts_become() -> None:
    content = [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image_url", "image_url": "http://x"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ==", "detail": "high"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ==", "filename": "f"}},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
        {"type": "novel", "a": 1},
        "bare",
    ]
    assert parts({"role": "user", "content": content}) == (
        Text("a", CacheMark("1h")),
        Media("image", "url", "http://x"),
        Media("image", "base64", "QQ==", "image/png", detail="high"),
        Media("document", "base64", "QQ==", "application/pdf", "f"),
        Media("audio", "base64", "QQ==", "audio/mpeg"),
        Opaque("openai_chat", "novel", {"type": "novel", "a": 1}),
        Text("bare"),
    )


def test_what_an_assistants_message_becomes() -> None:
    message = {
        "role": "assistant",
        "content": [{"type": "text", "text": "t"}, {"type": "refusal", "refusal": "r"}],
        "reasoning": "why",
        "tool_calls": [
            {"id": "1", "function": {"name": "f", "arguments": {"sloppy": True}}, "index": 0},
            {"id": "2", "type": "custom", "custom": {"name": "g", "input": "free"}},
        ],
        "reasoning_details": [1],
    }
    assert parts(message) == (
        Thinking("why", origin="openai_chat"),
        Text("t"),
        Refusal("r"),
        ToolCall("1", "f", '{"sloppy":true}'),
        ToolCall("2", "g", "free", custom=True),
        Opaque("openai_chat", "message.reasoning_details", {"reasoning_details": [1]}),
    )


def test_tool_results_and_a_mark_on_a_message() -> None:
    assert parts({"role": "tool", "tool_call_id": "c", "content": None}) == (ToolResult("c"),)
    marked = {"role": "system", "content": "s", "cache_control": {"type": "ephemeral"}}
    assert read(messages=[marked]).messages == (Message("system", (Text("s", CacheMark("5m")),)),)


@pytest.mark.parametrize(
    ("mark", "lifetime"),
    [
        ({"cache_control": {"type": "ephemeral"}}, "5m"),
        ({"cache_control": {"type": "ephemeral", "ttl": "1h"}}, "1h"),
        ({"prompt_cache_breakpoint": {"mode": "explicit"}}, "30m"),
        ({"prompt_cache_breakpoint": {"ttl": "12h"}}, "1h"),
    ],
)
@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "http://x"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}},
        {"type": "file", "file": {"file_id": "f"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QQ=="}},
        {"type": "file", "file": {"file_data": "http://x"}},
        {"type": "file", "file": {"file_data": "QQ=="}},
        {"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}},
    ],
    ids=str,
)
def test_any_part_may_bear_a_mark(part: dict[str, Any], mark: dict[str, Any], lifetime: Any) -> None:
    [found] = parts({"role": "user", "content": [{**part, **mark}]})
    assert isinstance(found, Text | Media)
    assert found.cache == CacheMark(lifetime)


def test_a_mark_on_a_message_of_parts_is_its_last_texts() -> None:
    content = [{"type": "text", "text": text} for text in "abc"]
    message = {"role": "user", "content": content, "cache_control": {"type": "ephemeral"}}
    assert parts(message) == (Text("a"), Text("b"), Text("c", CacheMark("5m")))


def test_deprecated_functions_get_ids_that_pair_up() -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    answer = {"role": "function", "name": "f", "content": "r"}
    ids = []
    for message in read(messages=[HI, call, answer, call, answer]).messages[1:]:
        found = message.parts[0]
        assert isinstance(found, ToolCall | ToolResult)
        ids.append(found.id if isinstance(found, ToolCall) else found.call_id)
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_tools_choice_and_output() -> None:
    ask = read(
        tools=[{"type": "function", "function": {"name": "f", "parameters": None}, "cache_control": {}}],
        tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"name": "f"}]}},
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
        max_tokens=3,
        max_completion_tokens=4.0,
        parallel_tool_calls=True,
    )
    assert ask.tools == (Tool("f", cache=CacheMark("5m")),)
    assert ask.tool_choice == ToolChoice("allowed", ("f",), True)
    assert ask.output == OutputFormat("json_schema", "n", {"type": "object"})
    assert ask.max_output == 4


def test_tierwises_extension_is_left_out_and_openrouters_kept() -> None:
    assert read(provider={"fallback": ["a/b"], "routing": "cost"}).extras == {}
    assert read(provider={"sort": "price"}).extras == {"provider": {"sort": "price"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [HI, {"role": "robot"}]}, "messages[1].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": 1}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]},
            "messages[0].tool_calls[0].function",
        ),
        ({"tools": {}}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop": [1]}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    ],
    ids=str,
)
def test_a_wrong_type_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        read(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"a":"\xff"}', b"[" * 50_000, b'{"model":"m",}']
)
def test_what_is_not_json_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(BadRequest):
        DIALECT.read_request(body, {})
    with pytest.raises(BadRequest):
        DIALECT.outline(body)
