"""OpenAI chat: the Outline is exact where it says so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs

from tierwise.dialects.openai_chat import DIALECT
from tierwise.errors import BadRequest
from tierwise.nouns import Outline

HI: dict[str, Any] = {"role": "user", "content": "hi"}


def outline(*messages: Any, **fields: Any) -> Outline:
    body = {"model": "m", "messages": list(messages) or [HI], **fields}
    return DIALECT.outline(json.dumps(body).encode())


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def test_a_plain_request() -> None:
    assert outline() == Outline("m", prompt_bytes=len('"hi"'))


def test_everything_choosing_needs() -> None:
    schema = {"type": "object"}
    found = outline(
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=5,
        max_completion_tokens=7,
        tools=[{"type": "function", "function": {"name": "f"}}],
        functions=[{"name": "g"}],
        tool_choice="required",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        reasoning_effort="low",
        n=3,
        metadata={"task": "t", "session_id": "s", "n": 5},
        user="u",
        service_tier="flex",
        provider={"fallback": ["a/b"], "routing": "cost"},
    )
    assert found.prompt_bytes > 40
    assert structs.replace(found, head=(), opening=None) == Outline(
        "m",
        stream=True,
        max_output=7,
        tools=2,
        forced_tool=True,
        thinking=True,
        json=True,
        output_schema=schema,
        prompt_bytes=found.prompt_bytes,
        choices=3,
        task="t",
        session="s",
        user="u",
        include_usage=True,
        service_tier="flex",
        fallback=("a/b",),
        preference="cost",
    )


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 10_000}}
FILE = {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 10_000, "filename": "f"}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "A" * 10_000, "format": "wav"}}


@pytest.mark.parametrize(
    ("message", "flags"),
    [
        (user(IMAGE), {"images": True, "media": 1}),
        (user({"type": "image_url", "image_url": "http://x"}), {"images": True, "media": 1}),
        (user(FILE), {"documents": True, "media": 1}),
        (user({"type": "file", "file": {"file_id": "f"}}), {"documents": True, "media": 1}),
        (user(AUDIO), {"audio": True, "media": 1}),
        (user(IMAGE, FILE, IMAGE), {"images": True, "documents": True, "media": 3}),
        (user({"type": "text", "text": json.dumps(IMAGE)}), {}),
        (user({"type": ["odd"]}, "bare"), {}),
        ({"role": "user", "content": json.dumps([IMAGE, {"role": "tool"}])}, {}),
        ({"role": "tool", "tool_call_id": "c", "content": "r"}, {"tool_loop": True}),
        ({"role": "function", "name": "c", "content": "r"}, {"tool_loop": True}),
        ({"role": "user", "content": '"role": "tool"'}, {}),
        ({"role": "assistant", "content": "a", "reasoning_content": "r"}, {"thinking_history": True}),
        ({"role": "assistant", "content": "a", "reasoning": "r"}, {"thinking_history": True}),
        ({"role": "assistant", "content": "a", "reasoning_content": None}, {}),
        (user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}), {"cache_marks": True}),
        (user({"type": "text", "text": "a", "prompt_cache_breakpoint": {}}), {"cache_marks": True}),
        (user({"type": "text", "text": "cache_control"}), {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_messages_hold_is_exact(message: dict[str, Any], flags: dict[str, Any]) -> None:
    found = outline(HI, message)
    assert structs.replace(found, head=(), opening=None) == Outline(
        "m", prompt_bytes=found.prompt_bytes, **flags
    )


TOOL = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"tools": [TOOL]}, {"tools": 1}),
        ({"tools": [TOOL, {**TOOL, "cache_control": {}}]}, {"tools": 2}),
        (
            {"tools": [TOOL, {**TOOL, "cache_control": {"type": "ephemeral"}}]},
            {"tools": 2, "cache_marks": True},
        ),
        ({"modalities": ["text"]}, {}),
        ({"modalities": ["text", "audio"]}, {"audio": True}),
        ({"stream_options": {"include_usage": True}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {}),
        ({"prompt_cache_key": "k"}, {"session": "k"}),
        ({"prompt_cache_key": "k", "metadata": {"session_id": "s"}}, {"session": "s"}),
        ({"safety_identifier": "i"}, {"user": "i"}),
        ({"safety_identifier": "i", "user": "u"}, {"user": "u"}),
        ({"n": 0}, {}),
        ({"reasoning_effort": "none"}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "json_object"}}, {"json": True}),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_other_fields_say_is_exact(fields: dict[str, Any], flags: dict[str, Any]) -> None:
    found = outline(**fields)
    assert structs.replace(found, head=(), opening=None) == Outline(
        "m", prompt_bytes=found.prompt_bytes, **flags
    )


def test_base64_is_not_counted_as_prompt() -> None:
    assert outline(user(IMAGE, FILE, AUDIO)).prompt_bytes < 400
    assert outline({"role": "user", "content": "x" * 10_000}).prompt_bytes >= 10_000


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"messages": "x"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": None}, "messages"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"stream": 1}, "stream"),
        ({"tools": 1}, "tools"),
        ({"provider": {"fallback": "a"}}, "provider.fallback"),
        ({"provider": {"routing": "cheep"}}, "provider.routing"),
        ({"provider": {"routing": "cost", "order": []}}, "provider.order"),
    ],
    ids=str,
)
def test_a_wrong_type_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        outline(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(("body", "param"), [(b'{"messages":[{}]}', "model"), (b'{"model":"m"}', "messages")])
def test_what_is_missing_is_named(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        DIALECT.outline(body)
    assert caught.value.param == param
    assert "missing" in caught.value.message


def test_openrouters_provider_object_is_not_ours() -> None:
    found = outline(provider={"order": ["x"], "sort": "price"})
    assert (found.fallback, found.preference) == ((), None)


@pytest.mark.parametrize(
    ("choice", "forced"),
    [
        ("auto", False),
        ("none", False),
        ("required", True),
        (None, False),
        ({"type": "function", "function": {"name": "f"}}, True),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, False),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}, True),
    ],
)
def test_forced_tools(choice: Any, forced: bool) -> None:
    assert outline(tool_choice=choice).forced_tool is forced
