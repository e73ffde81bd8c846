"""Gemini against OpenAI chat and Anthropic messages, both ways: a conversation or an answer means the same
after the crossing, and what does not cross is named.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tierwise.dialects import registry
from tierwise.nouns import Answer, Ask, Event, Media, Model, Text, Thinking, ToolCall, ToolResult, UsageSeen

GEMINI = registry.get("gemini")
CHAT = registry.get("openai_chat")
MESSAGES = registry.get("anthropic_messages")
OTHERS = {"openai_chat": CHAT, "anthropic_messages": MESSAGES}
MODELS = {
    "gemini": Model("google/gemini-3.1-flash-lite", "google", "gemini-3.1-flash-lite"),
    "openai_chat": Model("openai/gpt-5.6", "openai", "gpt-5.6"),
    "anthropic_messages": Model("anthropic/claude-haiku-5-5", "anthropic", "claude-haiku-5-5"),
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

CHAT_BODY: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather here?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            ],
        },
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {
                    "id": f"c{i}",
                    "type": "function",
                    "function": {"name": "w", "arguments": f'{{"city":"{c}"}}'},
                }
                for i, c in enumerate(("Bern", "Rome"))
            ],
        },
        {"role": "tool", "tool_call_id": "c0", "content": "sun"},
        {"role": "tool", "tool_call_id": "c1", "content": '{"t":20}'},
        {"role": "assistant", "content": "Sun in Bern."},
        {"role": "user", "content": "As JSON."},
    ],
    "tools": [
        {"type": "function", "function": {"name": "w", "description": "weather", "parameters": SCHEMA}}
    ],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}},
    "stop": ["END"],
    "temperature": 0.5,
    "max_completion_tokens": 50,
}
MESSAGES_BODY: dict[str, Any] = {
    "model": "m",
    "system": "Be brief.",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Weather here?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "c0", "name": "w", "input": {"city": "Bern"}},
                {"type": "tool_use", "id": "c1", "name": "w", "input": {"city": "Rome"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c0", "content": "sun"},
                {"type": "tool_result", "tool_use_id": "c1", "content": '{"t":20}'},
            ],
        },
        {"role": "assistant", "content": "Sun in Bern."},
        {"role": "user", "content": "As JSON."},
    ],
    "tools": [{"name": "w", "description": "weather", "input_schema": SCHEMA}],
    "tool_choice": {"type": "auto"},
    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "max_tokens": 50,
}
BODIES = {"openai_chat": CHAT_BODY, "anthropic_messages": MESSAGES_BODY}


def meaning(ask: Ask) -> list[Any]:
    """A conversation's content, free of what dialects may say differently."""
    told: list[Any] = []
    for message in ask.messages:
        for part in message.parts:
            match part:
                case Text():
                    told.append((message.role, part.text))
                case Media():
                    told.append((message.role, part.kind, part.mime, part.value))
                case ToolCall():
                    told.append((part.id, part.name, msgspec.json.decode(part.arguments)))
                case ToolResult():
                    texts = [inner.text for inner in part.parts if isinstance(inner, Text)]
                    told.append((part.call_id, texts, part.is_error))
                case Thinking():
                    told.append(("thinking", part.text))
    return told


def crossed(name: str, body: dict[str, Any]) -> tuple[Ask, Ask, list[str]]:
    """The caller's Ask, and what Gemini is then asked."""
    ask = OTHERS[name].read_request(msgspec.json.encode(body), {})
    made = GEMINI.write_request(ask, MODELS["gemini"])
    return ask, GEMINI.read_request(made.body, {}), [loss.name for loss in made.losses]


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_requests_to_gemini(name: str) -> None:
    before, after, losses = crossed(name, BODIES[name])
    assert meaning(after) == meaning(before)
    assert after.tools[0].schema == before.tools[0].schema
    assert after.tool_choice.mode == "auto"
    assert after.sampling == before.sampling
    assert after.max_output == 50
    assert after.output is not None
    assert after.output.schema is not None
    assert {**after.output.schema, "title": ""} == {**SCHEMA, "title": ""}
    assert losses == []


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_requests_from_gemini(name: str) -> None:
    _, asked, _ = crossed(name, BODIES[name])
    made = OTHERS[name].write_request(asked, MODELS[name])
    again = OTHERS[name].read_request(made.body, {})
    assert meaning(again) == meaning(asked)
    assert again.tools[0].schema == SCHEMA
    assert (again.max_output, again.sampling.stop) == (50, ("END",))
    assert again.output is not None
    assert again.output.schema == (asked.output and asked.output.schema)
    assert [loss.name for loss in made.losses] == []


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_calls_without_ids_reach_other_vendors_with_ids(name: str) -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "go"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "w", "args": {"city": c}}} for c in "ab"]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "w", "response": {"output": c}}} for c in "AB"],
            },
        ]
    }
    ask = GEMINI.read_request(msgspec.json.encode(body), {})
    made = OTHERS[name].write_request(ask, MODELS[name])
    again = OTHERS[name].read_request(made.body, {})
    assert meaning(again)[1:] == [
        ("call_0", "w", {"city": "a"}),
        ("call_1", "w", {"city": "b"}),
        ("call_0", ["A"], False),
        ("call_1", ["B"], False),
    ]
    assert not [loss for loss in made.losses if loss.name.startswith("tool_")]


@pytest.mark.parametrize(
    ("wire", "chat", "messages"),
    [
        ({"mode": "ANY"}, "required", {"type": "any"}),
        (
            {"mode": "ANY", "allowedFunctionNames": ["w"]},
            {"type": "function", "function": {"name": "w"}},
            {"type": "tool", "name": "w"},
        ),
        ({"mode": "NONE"}, "none", {"type": "none"}),
    ],
)
def test_tool_choice_crosses(wire: Any, chat: Any, messages: Any) -> None:
    body = {
        "contents": [{"parts": [{"text": "x"}]}],
        "tools": [{"functionDeclarations": [{"name": "w"}]}],
        "toolConfig": {"functionCallingConfig": wire},
    }
    ask = GEMINI.read_request(msgspec.json.encode(body), {})
    for name, expected in (("openai_chat", chat), ("anthropic_messages", messages)):
        made = OTHERS[name].write_request(ask, MODELS[name])
        assert msgspec.json.decode(made.body)["tool_choice"] == expected
        back = GEMINI.write_request(OTHERS[name].read_request(made.body, {}), MODELS["gemini"])
        assert msgspec.json.decode(back.body)["toolConfig"] == {"functionCallingConfig": wire}


@pytest.mark.parametrize(
    ("config", "effort"), [({"thinkingLevel": "HIGH"}, "high"), ({"thinkingLevel": "MINIMAL"}, "minimal")]
)
def test_effort_crosses(config: Any, effort: str) -> None:
    body = {"contents": [{"parts": [{"text": "x"}]}], "generationConfig": {"thinkingConfig": config}}
    ask = GEMINI.read_request(msgspec.json.encode(body), {})
    made = CHAT.write_request(ask, MODELS["openai_chat"])
    assert msgspec.json.decode(made.body)["reasoning_effort"] == effort
    back = GEMINI.write_request(CHAT.read_request(made.body, {}), MODELS["gemini"])
    assert msgspec.json.decode(back.body)["generationConfig"]["thinkingConfig"] == config


def test_vendor_features_are_named() -> None:
    body = {
        "contents": [{"parts": [{"text": "x"}, {"executableCode": {"code": "1"}}]}],
        "tools": [{"googleSearch": {}}],
        "safetySettings": [{"category": "c"}],
        "cachedContent": "cachedContents/1",
        "generationConfig": {"topK": 3, "speechConfig": {}},
    }
    ask = GEMINI.read_request(msgspec.json.encode(body), {})
    for name, dialect in OTHERS.items():
        losses = {loss.name for loss in dialect.write_request(ask, MODELS[name]).losses}
        assert {
            "opaque.executableCode", "tool.hosted", "extra.safetySettings", "extra.cachedContent",
            "extra.generationConfig.speechConfig",
        } <= losses  # fmt: skip


GEMINI_REPLY: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "Looking."},
                    {
                        "functionCall": {"name": "w", "args": {"city": "Bern"}, "id": "a"},
                        "thoughtSignature": "S",
                    },
                    {"functionCall": {"name": "w", "args": {"city": "Rome"}, "id": "b"}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 7,
        "totalTokenCount": 127,
    },
    "modelVersion": "gemini-3.1-flash-lite",
    "responseId": "r1",
}


def shown(answer: Answer) -> tuple[Any, ...]:
    """What an answer says, free of what dialects may say differently."""
    choice = answer.choices[0]
    calls = [
        (p.id, p.name, msgspec.json.decode(p.arguments)) for p in choice.parts if isinstance(p, ToolCall)
    ]
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    usage = answer.usage
    assert usage is not None
    return text, calls, choice.finish, usage.prompt, usage.cache_read, usage.output, answer.model


def asking(name: str) -> Ask:
    return OTHERS[name].read_request(msgspec.json.encode(BODIES[name]), {})


GEMINI_ASK = replace(
    GEMINI.read_request(b'{"contents":[{"parts":[{"text":"x"}]}]}', {}), model="tier/x", stream=True
)


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_answers_from_gemini_and_back(name: str) -> None:
    answer = GEMINI.read_answer(msgspec.json.encode(GEMINI_REPLY))
    dialect = OTHERS[name]
    made = dialect.write_answer(answer, asking(name))
    again = dialect.read_answer(made.body)
    assert shown(again) == shown(answer)
    names = {loss.name for loss in made.losses}
    assert names <= (set() if name == "openai_chat" else {"tool_call.signature"})
    back = GEMINI.read_answer(GEMINI.write_answer(again, GEMINI_ASK).body)
    assert shown(back) == shown(answer)


@pytest.mark.parametrize("name", sorted(OTHERS))
@pytest.mark.parametrize(
    ("word", "chat", "messages"),
    [
        ("STOP", "stop", "end_turn"),
        ("MAX_TOKENS", "length", "max_tokens"),
        ("SAFETY", "content_filter", "refusal"),
        ("PROHIBITED_CONTENT", "content_filter", "refusal"),
    ],
)
def test_finish_reasons_cross(name: str, word: str, chat: str, messages: str) -> None:
    candidate = {"content": {"parts": [{"text": "x"}]}, "finishReason": word}
    answer = GEMINI.read_answer(msgspec.json.encode({"candidates": [candidate]}))
    told = msgspec.json.decode(OTHERS[name].write_answer(answer, asking(name)).body)
    if name == "openai_chat":
        assert told["choices"][0]["finish_reason"] == chat
    else:
        assert told["stop_reason"] == messages
    back = OTHERS[name].read_answer(msgspec.json.encode({**told, "usage": None}))
    again = msgspec.json.decode(GEMINI.write_answer(back, GEMINI_ASK).body)
    assert again["candidates"][0]["finishReason"] == ("SAFETY" if word == "PROHIBITED_CONTENT" else word)


def gemini_stream() -> bytes:
    parts = GEMINI_REPLY["candidates"][0]["content"]["parts"]
    frames = []
    for i, part in enumerate(parts):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if i == len(parts) - 1:
            candidate["finishReason"] = "STOP"
        frames.append({**GEMINI_REPLY, "candidates": [candidate]})
    return b"".join(b"data: " + msgspec.json.encode(frame) + b"\r\n\r\n" for frame in frames)


def events_of(dialect: Any, data: bytes) -> list[Event]:
    reader = dialect.reader()
    return [*reader.feed(data), *reader.finish()]


def streamed(dialect: Any, ask: Ask, events: list[Event]) -> tuple[bytes, set[str]]:
    writer = dialect.writer(ask)
    data = b"".join(writer.write(event) for event in events)
    return data, {loss.name for loss in writer.losses}


def spoken(events: list[Event]) -> tuple[Any, ...]:
    """Text, calls and finish of a stream."""
    blocks: dict[int, list[str]] = {}
    kinds: dict[int, Any] = {}
    finish = None
    for event in events:
        tag = event.__struct_config__.tag
        if tag == "block_start":
            blocks[event.index] = []  # type: ignore[union-attr]
            kinds[event.index] = event  # type: ignore[union-attr]
        elif tag == "delta":
            blocks[event.index].append(event.text)  # type: ignore[union-attr]
        elif tag == "finished":
            finish = event.reason  # type: ignore[union-attr]
    text = "".join("".join(said) for i, said in blocks.items() if kinds[i].kind == "text")
    calls = [
        (kinds[i].part.id, kinds[i].part.name, msgspec.json.decode("".join(said)))
        for i, said in blocks.items()
        if kinds[i].kind == "tool_call"
    ]
    usage = [event.usage for event in events if isinstance(event, UsageSeen)][-1]
    return text, calls, finish, usage.prompt, usage.cache_read, usage.output, type(events[-1]).__name__


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_streams_from_gemini_and_back(name: str) -> None:
    events = events_of(GEMINI, gemini_stream())
    dialect = OTHERS[name]
    ask = replace(asking(name), stream=True, include_usage=True)
    data, losses = streamed(dialect, ask, events)
    again = events_of(dialect, data)
    assert spoken(again) == spoken(events)
    assert spoken(events)[-1] == "Ended"
    assert losses == (set() if name == "openai_chat" else {"tool_call.signature"})
    back, _ = streamed(GEMINI, GEMINI_ASK, again)
    assert spoken(events_of(GEMINI, back)) == spoken(events)


def test_a_signature_survives_a_chat_client() -> None:
    answer = GEMINI.read_answer(msgspec.json.encode(GEMINI_REPLY))
    message = msgspec.json.decode(CHAT.write_answer(answer, asking("openai_chat")).body)["choices"][0][
        "message"
    ]
    body = {
        "model": "m",
        "messages": [
            {"role": "user", "content": "x"},
            message,
            *({"role": "tool", "tool_call_id": i, "content": "sun"} for i in "ab"),
        ],
    }
    _, asked, losses = crossed("openai_chat", body)
    calls = [part for part in asked.messages[1].parts if isinstance(part, ToolCall)]
    assert [call.signature for call in calls] == ["S", ""]
    assert losses == ["thinking.replay"]


def test_thinking_for_an_anthropic_caller() -> None:
    body = {**MESSAGES_BODY, "thinking": {"type": "enabled", "budget_tokens": 4000}, "temperature": 1}
    _, asked, losses = crossed("anthropic_messages", body)
    assert asked.reasoning.summary == "auto"
    assert asked.reasoning.effort == "medium"
    assert losses == ["thinking.budget"]
    answer = GEMINI.read_answer(msgspec.json.encode(GEMINI_REPLY))
    ask = MESSAGES.read_request(msgspec.json.encode(body), {})
    made = msgspec.json.decode(MESSAGES.write_answer(answer, ask).body)
    assert made["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_blocked_prompt_is_a_refusal(name: str) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    answer = GEMINI.read_answer(msgspec.json.encode(blocked))
    told = msgspec.json.decode(OTHERS[name].write_answer(answer, asking(name)).body)
    finish = told["choices"][0]["finish_reason"] if name == "openai_chat" else told["stop_reason"]
    assert finish == ("content_filter" if name == "openai_chat" else "refusal")
    events = events_of(GEMINI, b"data: " + msgspec.json.encode(blocked) + b"\r\n\r\n")
    ask = replace(asking(name), stream=True, include_usage=True)
    data, _ = streamed(OTHERS[name], ask, events)
    assert (b"content_filter" if name == "openai_chat" else b"refusal") in data


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_errors_cross(name: str) -> None:
    body = b'{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}'
    found = GEMINI.read_error(429, {}, body)
    status, _, told = OTHERS[name].write_error(found, "r")
    assert status == 429
    back = OTHERS[name].read_error(status, {}, told)
    status, _, again = GEMINI.write_error(back, "r")
    assert status == 429
    assert msgspec.json.decode(again)["error"]["status"] == "RESOURCE_EXHAUSTED"
