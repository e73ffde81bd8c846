"""Calls that cross between the Responses dialect and the others: what was said must arrive."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.dialects.openai_responses import DIALECT
from tierwise.nouns import (
    Answer,
    Ask,
    Choice,
    Ended,
    Event,
    Model,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
)

OTHERS = ("openai_chat", "anthropic_messages")
CLAUDE = Model("p/x", "p", "claude-opus-5")
GPT = Model("p/x", "p", "gpt-5.6")
OPEN = Model("p/x", "p", "gpt-oss-120b")

CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "call_2", "type": "custom", "custom": {"name": "c", "input": "free"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sun"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "rain"}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "and?", "prompt_cache_breakpoint": {"mode": "explicit"}},
                {"type": "image_url", "image_url": {"url": "http://e/i.png"}},
            ],
        },
    ],
    "tools": [
        {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        {"type": "custom", "custom": {"name": "c"}},
    ],
}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
ANTHROPIC: dict[str, Any] = {
    "model": "m",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "look"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "f", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "see"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
                        },
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no", "is_error": True},
                {"type": "text", "text": "and?"},
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object", "properties": {}}}],
    "output_config": {"format": {"type": "json_schema", "schema": CLOSED}},
    "metadata": {"user_id": "u"},
}


def ask_of(name: str, body: dict[str, Any]) -> Ask:
    return registry.get(name).read_request(json.dumps(body).encode(), {})


def cross(name: str, body: dict[str, Any], model: Model) -> tuple[dict[str, Any], set[str]]:
    """A request of dialect `name` as this one writes it, and the names of what was lost."""
    written = DIALECT.write_request(ask_of(name, body), model)
    found: dict[str, Any] = json.loads(written.body)
    return found, {loss.name for loss in written.losses}


def test_a_chat_conversation_becomes_items() -> None:
    body, losses = cross("openai_chat", CHAT, GPT)
    assert losses == set()
    assert body["instructions"] == "Be brief."
    assert body["store"] is False
    assert "include" not in body
    items = body["input"]
    assert [item["type"] for item in items] == [
        "message",
        "message",
        "function_call",
        "custom_tool_call",
        "function_call_output",
        "custom_tool_call_output",
        "message",
    ]
    assert items[0] == {"type": "message", "role": "user", "content": "weather?"}
    assert items[1]["content"] == [{"type": "output_text", "text": "Looking.", "annotations": []}]
    assert items[2] == {
        "type": "function_call",
        "call_id": "call_1",
        "name": "f",
        "arguments": '{"a":1}',
    }
    assert items[3] == {"type": "custom_tool_call", "call_id": "call_2", "name": "c", "input": "free"}
    assert items[5] == {"type": "custom_tool_call_output", "call_id": "call_2", "output": "rain"}
    assert items[6]["content"] == [
        {"type": "input_text", "text": "and?", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "image_url": "http://e/i.png", "detail": "auto"},
    ]
    assert body["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "custom", "name": "c"},
    ]


def test_an_open_model_gets_functions_only() -> None:
    body, losses = cross("openai_chat", CHAT, OPEN)
    assert losses == {"tool.custom", "cache.mark"}
    assert body["tools"][1]["parameters"]["required"] == ["input"]
    assert body["input"][3]["arguments"] == '{"input":"free"}'
    assert body["input"][5]["type"] == "function_call_output"


def test_an_anthropic_conversation_becomes_items() -> None:
    body, losses = cross("anthropic_messages", ANTHROPIC, GPT)
    assert losses == {"thinking.replay", "tool_result.is_error"}
    system, _, said, first, second, seen, failed, last = body["input"]
    assert system["role"] == "system"
    assert system["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert said["content"][0]["text"] == "Looking."
    assert (first["call_id"], first["arguments"], second["arguments"]) == ("toolu_1", '{"a":1}', "{}")
    assert seen["output"] == [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
    ]
    assert [part["text"] for part in failed["output"]] == ["Error:", "no"]
    assert last["content"] == "and?"
    assert body["max_output_tokens"] == 100
    assert body["text"]["format"]["type"] == "json_schema"


@pytest.mark.parametrize("name", OTHERS)
def test_an_image_in_a_tools_output_reaches_the_other_dialect(name: str) -> None:
    output = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
    ]
    body = {
        "model": "m",
        "input": [
            {"role": "user", "content": "look"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": output},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}],
        "max_output_tokens": 50,
    }
    written = registry.get(name).write_request(ask_of("openai_responses", body), CLAUDE)
    assert b"aGk=" in written.body
    lost = {loss.name for loss in written.losses}
    assert lost <= {"tool_result.media"}
    assert bool(lost) == (name == "openai_chat")


PARTS = (
    Thinking("hm", origin="openai_responses", summary=True),
    Text("Hello"),
    ToolCall("call_1", "f", '{"a":1}'),
    ToolCall("call_2", "f", "{}"),
)
USAGE = Usage(input=10, cache_read=5, cache_write_5m=3, output=9, reasoning=4)


@pytest.mark.parametrize("name", OTHERS)
def test_a_reply_crosses_both_ways(name: str) -> None:
    """Responses → other → Responses: the same text, calls, usage and end."""
    other = registry.get(name)
    ask = ask_of(name, CHAT if name == "openai_chat" else ANTHROPIC)
    own = ask_of("openai_responses", {"model": "m", "input": "hi"})
    first = DIALECT.write_answer(Answer("resp_1", "m", (Choice(PARTS, "tool_calls"),), USAGE), own)
    there = other.read_answer(other.write_answer(DIALECT.read_answer(first.body), ask).body)
    back = DIALECT.read_answer(DIALECT.write_answer(there, own).body)
    assert [part.text for part in back.choices[0].parts if isinstance(part, Text)] == ["Hello"]
    calls = [part for part in back.choices[0].parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in calls] == [
        ("call_1", "f", {"a": 1}),
        ("call_2", "f", {}),
    ]
    assert back.choices[0].finish == "tool_calls"
    assert back.usage is not None
    assert (back.usage.prompt, back.usage.cache_read, back.usage.output) == (18, 5, 9)


@pytest.mark.parametrize("name", OTHERS)
def test_a_stream_crosses_both_ways(name: str) -> None:
    """A stream written in one dialect, read, written in the other, read again, says the same."""
    other = registry.get(name)
    theirs = ask_of(name, {**(CHAT if name == "openai_chat" else ANTHROPIC), "stream": True})
    ours = ask_of("openai_responses", {"model": "m", "input": "hi", "stream": True})
    whole = Answer("resp_1", "m", (Choice(PARTS, "tool_calls"),), USAGE)
    start = events_of(DIALECT, own_stream(whole, ours))
    there = events_of(other, written(other, start, theirs))
    back = written(DIALECT, there, ours)
    last = json.loads(back.decode().rstrip().rsplit("data: ", 1)[1])
    answer = DIALECT.read_answer(json.dumps(last["response"]).encode())
    assert [part.text for part in answer.choices[0].parts if isinstance(part, Text)] == ["Hello"]
    calls = [part for part in answer.choices[0].parts if isinstance(part, ToolCall)]
    assert [(call.id, json.loads(call.arguments)) for call in calls] == [("call_1", {"a": 1}), ("call_2", {})]
    assert isinstance(start[-1], Ended)
    assert isinstance(there[-1], Ended)


def own_stream(answer: Answer, ask: Ask) -> bytes:
    """A provider's stream of this answer: the whole reply, told in the last event only."""
    response = json.loads(DIALECT.write_answer(answer, ask).body)
    event = {"type": "response.completed", "response": response, "sequence_number": 1}
    created = {"type": "response.created", "response": {**response, "output": []}, "sequence_number": 0}
    return b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (created, event))


def events_of(dialect: Any, data: bytes) -> list[Event]:
    reader = dialect.reader()
    return [*reader.feed(data), *reader.finish()]


def written(dialect: Any, events: list[Event], ask: Ask) -> bytes:
    writer = dialect.writer(ask)
    return b"".join(writer.write(event) for event in events)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize(
    ("finish", "there"), [("length", "length"), ("refusal", "refusal"), ("stop", "stop")]
)
def test_why_an_answer_ended_crosses(name: str, finish: Any, there: str) -> None:
    other = registry.get(name)
    ask = ask_of(name, CHAT if name == "openai_chat" else ANTHROPIC)
    own = ask_of("openai_responses", {"model": "m", "input": "hi"})
    answer = Answer("a", "m", (Choice((Text("x"),), finish),), USAGE)
    body = other.write_answer(DIALECT.read_answer(DIALECT.write_answer(answer, own).body), ask).body
    assert other.read_answer(body).choices[0].finish == there
    again = DIALECT.write_answer(other.read_answer(body), own).body
    assert DIALECT.read_answer(again).choices[0].finish == there


def test_a_chat_refusal_stays_a_refusal() -> None:
    own = ask_of("openai_responses", {"model": "m", "input": "hi"})
    chat = registry.get("openai_chat")
    answer = Answer("a", "m", (Choice((Refusal("no"),), "stop"),))
    there = chat.read_answer(chat.write_answer(answer, ask_of("openai_chat", CHAT)).body)
    body = json.loads(DIALECT.write_answer(there, own).body)
    assert body["status"] == "completed"
    assert body["output"][0]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_a_custom_tool_of_codex_goes_through_claude() -> None:
    """Called as a function there, it comes back as free text, in its namespace, streamed or whole."""
    tool = {"type": "custom", "name": "exec", "format": {"type": "text"}}
    space = {"type": "namespace", "name": "functions", "description": "d", "tools": [tool]}
    items = [
        {"type": "additional_tools", "role": "developer", "tools": [space]},
        {"role": "user", "content": "x"},
    ]
    ask = ask_of("openai_responses", {"model": "m", "input": items, "max_output_tokens": 90})
    claude = registry.get("anthropic_messages")
    sent = json.loads(claude.write_request(ask, CLAUDE).body)
    assert [tool["name"] for tool in sent["tools"]] == ["functions__exec"]
    use = {"type": "tool_use", "id": "toolu_1", "name": "functions__exec", "input": {"input": "ls"}}
    reply = {"id": "msg_1", "type": "message", "role": "assistant", "model": "c", "content": [use]}
    whole = {**reply, "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}
    answer = claude.read_answer(json.dumps(whole).encode())
    body = json.loads(DIALECT.write_answer(answer, ask).body)
    call = body["output"][0]
    assert (call["type"], call["namespace"], call["name"], call["input"]) == (
        "custom_tool_call",
        "functions",
        "exec",
        "ls",
    )
    output = {"type": "custom_tool_call_output", "call_id": "toolu_1", "output": "a.py"}
    again = ask_of(
        "openai_responses", {"model": "m", "input": [*items, call, output], "max_output_tokens": 90}
    )
    assert again.messages[-2].parts == (
        ToolCall("toolu_1", "functions__exec", "ls", custom=True, item_id=call["id"]),
    )
    assert isinstance(again.messages[-1].parts[0], ToolResult)
    sent = json.loads(claude.write_request(again, CLAUDE).body)
    assert sent["messages"][-2]["content"][0]["name"] == "functions__exec"
