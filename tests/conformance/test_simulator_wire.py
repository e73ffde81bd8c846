"""What the simulator sends, against JSON Schemas of the official SDKs' types, and rules they do not state."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tierwise import simulator

SCHEMAS = Path(__file__).parents[2] / "../shared/data/schemas"
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CLAUDE = {"anthropic-version": "2026-10-21"}


def validator(name: str) -> jsonschema.Draft202012Validator:
    found = list(SCHEMAS.glob(f"*-{name}.schema.json"))
    if not found:
        pytest.skip(f"no JSON Schema for {name} beside the checkout (../shared/data/schemas)")
    return jsonschema.Draft202012Validator(msgspec.json.decode(found[0].read_bytes()))


@pytest.fixture
async def running() -> AsyncIterator[simulator.Running]:
    found = await simulator.start()
    yield found
    await found.close()


async def post(
    running: simulator.Running,
    path: str,
    body: Any,
    headers: dict[str, str] | None = None,
    method: str = "POST",
) -> tuple[int, dict[str, str], bytes]:
    def send() -> tuple[int, dict[str, str], bytes]:
        link = http.client.HTTPConnection("127.0.0.1", running.port, timeout=60)
        raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
        link.request(method, path, raw, {"content-type": "application/json", **(headers or {})})
        reply = link.getresponse()
        found = reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        link.close()
        return found

    return await asyncio.to_thread(send)


def events(raw: bytes) -> list[tuple[str, Any]]:
    """Name and decoded body of each server-sent event."""
    found = []
    for frame in raw.decode().replace("\r\n", "\n").strip("\n").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in frame.split("\n"))
        data = lines["data"]
        found.append((lines.get("event", ""), data if data == "[DONE]" else msgspec.json.decode(data)))
    return found


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": CITY}}


CHATS: list[dict[str, Any]] = [
    {},
    {"n": 2, "max_completion_tokens": 5},
    {"stop": ["e"]},
    {"tools": [tool("get_weather"), tool("get_time")]},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": CITY}}},
    {"reasoning_effort": "low"},
    {"model": "gpt-refuse"},
    {"model": "gpt-empty"},
]
TALK = [{"role": "user", "content": "get_weather and get_time in Oslo é"}]


@pytest.mark.parametrize("change", CHATS)
async def test_chat_matches_its_types(running: simulator.Running, change: dict[str, Any]) -> None:
    whole, piece = validator("ChatCompletion"), validator("ChatCompletionChunk")
    body = {"model": "gpt-5.4", "messages": TALK, **change}
    status, headers, raw = await post(running, "/v1/chat/completions", body)
    plain = msgspec.json.decode(raw)
    whole.validate(plain)
    assert (status, headers["x-simulated"]) == (200, "tierwise simulator")
    status, headers, raw = await post(
        running, "/v1/chat/completions", {**body, "stream": True, "stream_options": {"include_usage": True}}
    )
    assert headers["content-type"].startswith("text/event-stream")
    frames = [data for _, data in events(raw)]
    assert frames.pop() == "[DONE]"
    for frame in frames:
        piece.validate(frame)
    assert len({(frame["id"], frame["created"], frame["model"]) for frame in frames}) == 1
    assert frames[0]["choices"][0]["delta"]["role"] == "assistant"
    assert frames[-1]["choices"] == []
    assert frames[-1]["usage"] == plain["usage"]
    assert {frame["usage"] for frame in frames[:-1]} == {None}
    assert rebuilt_chat(frames) == [
        (choice["message"].get("content") or choice["message"].get("refusal") or "", choice["finish_reason"])
        for choice in plain["choices"]
    ]


def rebuilt_chat(frames: list[Any]) -> list[tuple[str, str]]:
    """Text and finish reason of each choice, from its chunks."""
    found: dict[int, list[Any]] = {}
    for frame in frames:
        for choice in frame["choices"]:
            row = found.setdefault(choice["index"], ["", None])
            row[0] += (choice["delta"].get("content") or "") + (choice["delta"].get("refusal") or "")
            row[1] = row[1] or choice["finish_reason"]
    return [(text, finish) for text, finish in found.values()]


async def test_a_streamed_call_begins_with_its_name_and_goes_on_with_pieces(
    running: simulator.Running,
) -> None:
    body = {"model": "gpt-5.4", "stream": True, "messages": TALK, "tools": [tool("get_weather")]}
    _, _, raw = await post(running, "/chat/completions", body)
    calls = [
        call
        for _, data in events(raw)
        if data != "[DONE]"
        for choice in data["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert set(calls[0]) == {"index", "id", "type", "function"}
    assert calls[0]["function"] == {"name": "get_weather", "arguments": ""}
    assert all(set(call) == {"index", "function"} for call in calls[1:])
    assert "".join(call["function"]["arguments"] for call in calls) == '{"city":"Oslo"}'


MESSAGES: list[dict[str, Any]] = [
    {},
    {"max_tokens": 3},
    {"stop_sequences": ["e"]},
    {"tools": [{"name": "get_weather", "input_schema": CITY}, {"name": "get_time", "input_schema": CITY}]},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"thinking": {"type": "adaptive"}, "tools": [{"name": "get_weather", "input_schema": CITY}]},
    {"output_config": {"format": {"type": "json_schema", "schema": CITY}}},
    {"model": "claude-refuse"},
    {"model": "claude-empty"},
]


@pytest.mark.parametrize("change", MESSAGES)
async def test_messages_match_their_types(running: simulator.Running, change: dict[str, Any]) -> None:
    whole, piece = validator("Message"), validator("RawMessageStreamEvent")
    body = {"model": "claude-haiku-4", "max_tokens": 2000, "messages": TALK, **change}
    _, headers, raw = await post(running, "/anthropic/v1/messages", body, CLAUDE)
    plain = msgspec.json.decode(raw)
    whole.validate(plain)
    assert headers["request-id"]
    _, _, raw = await post(running, "/v1/messages?beta=true", {**body, "stream": True}, CLAUDE)
    found = events(raw)
    for name, data in found:
        assert name == data["type"]
        if name != "ping":
            piece.validate(data)
    assert rebuilt_message(found) == (plain["content"], plain["stop_reason"], plain["stop_sequence"])
    start, end = found[0][1]["message"], found[-2][1]
    assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 1)
    assert end["usage"]["output_tokens"] == plain["usage"]["output_tokens"]
    assert end["usage"]["input_tokens"] == start["usage"]["input_tokens"] == plain["usage"]["input_tokens"]


def rebuilt_message(found: list[tuple[str, Any]]) -> tuple[list[Any], str, str | None]:
    """Content, stop reason and stop sequence from events, checking that blocks come one after the other."""
    content: list[Any] = []
    open_block, text = False, ""
    for name, data in found:
        if name == "content_block_start":
            assert (data["index"], open_block) == (len(content), False)
            content.append(dict(data["content_block"]))
            open_block, text = True, ""
        elif name == "content_block_delta":
            assert (data["index"], open_block) == (len(content) - 1, True)
            delta, block = data["delta"], content[-1]
            if delta["type"] == "input_json_delta":
                text += delta["partial_json"]
            else:
                key = delta["type"].removesuffix("_delta")
                block[key] += delta[key]
        elif name == "content_block_stop":
            assert data["index"] == len(content) - 1
            if content[-1]["type"] == "tool_use":
                content[-1]["input"] = msgspec.json.decode(text)
            open_block = False
    assert [name for name, _ in found[-2:]] == ["message_delta", "message_stop"]
    delta = found[-2][1]["delta"]
    return content, delta["stop_reason"], delta["stop_sequence"]


RESPONSES: list[dict[str, Any]] = [
    {},
    {"max_output_tokens": 16},
    {"reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]},
    {"tools": [{"type": "function", "name": "get_weather", "parameters": CITY, "strict": True}]},
    {"tools": [{"type": "custom", "name": "get_weather"}]},
    {"model": "gpt-refuse"},
]


@pytest.mark.parametrize("change", RESPONSES)
async def test_responses_match_their_types(running: simulator.Running, change: dict[str, Any]) -> None:
    whole, piece = validator("Response"), validator("ResponseStreamEvent")
    body = {"model": "gpt-5.6", "input": "get_weather in Oslo é", **change}
    _, _, raw = await post(running, "/v1/responses", body)
    plain = msgspec.json.decode(raw)
    whole.validate(plain)
    _, _, raw = await post(running, "/v1/responses", {**body, "stream": True})
    found = events(raw)
    for number, (name, data) in enumerate(found):
        piece.validate(data)
        assert (name, number) == (data["type"], data["sequence_number"])
    last = found[-1][1]
    assert last["type"] == f"response.{plain['status']}"
    one, two = last["response"], plain
    assert [{**item, "id": "", "call_id": ""} for item in one["output"]] == [
        {**item, "id": "", "call_id": ""} for item in two["output"]
    ]
    assert one["usage"] == two["usage"]
    done = [data["item"] for name, data in found if name == "response.output_item.done"]
    assert done == one["output"]


async def test_gemini_plain_and_streamed_agree(running: simulator.Running) -> None:
    path = "/gemini/v1beta/models/gemini-3.1-flash-lite"
    shape = {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]}
    declared = {"name": "get_weather", "parameters": shape}
    body = {
        "contents": [{"role": "user", "parts": [{"text": "get_weather in Oslo"}]}],
        "tools": [{"functionDeclarations": [declared]}],
        "generationConfig": {"thinkingConfig": {"thinkingBudget": 100, "includeThoughts": True}},
    }
    _, _, raw = await post(running, f"{path}:generateContent?key=k", body)
    plain = msgspec.json.decode(raw)
    parts = plain["candidates"][0]["content"]["parts"]
    assert parts[0]["thought"] is True
    assert parts[-1]["functionCall"] == {"name": "get_weather", "args": {"city": "Oslo"}}
    assert parts[-1]["thoughtSignature"]
    _, _, raw = await post(running, f"{path}:streamGenerateContent?alt=sse", body)
    chunks = [data for _, data in events(raw)]
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks] == [None] * (len(chunks) - 1) + [
        "STOP"
    ]
    assert chunks[-1]["usageMetadata"] == plain["usageMetadata"]
    told = plain["usageMetadata"]
    assert told["totalTokenCount"] == (
        told["promptTokenCount"] + told["candidatesTokenCount"] + told["thoughtsTokenCount"]
    )
    back = [
        *body["contents"],
        {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "get_weather", "response": {"output": "22C"}}}],
        },
    ]
    _, _, raw = await post(running, f"{path}:generateContent", {**body, "contents": back})
    assert "22C" in msgspec.json.decode(raw)["candidates"][0]["content"]["parts"][-1]["text"]
    status, _, raw = await post(running, f"{path}:generateContent", {**body, "contents": back[:2] + back[:1]})
    assert (status, msgspec.json.decode(raw)["error"]["status"]) == (400, "INVALID_ARGUMENT")
    _, _, raw = await post(running, f"{path}:countTokens", {"contents": body["contents"]})
    assert msgspec.json.decode(raw) == {"totalTokens": 5}


async def test_gemini_bills_what_its_usage_can_say(running: simulator.Running) -> None:
    """Its cache is written for nothing, whatever the model: its usage has no word for writes."""
    model = "gpt-6-luna"
    body = {"contents": [{"parts": [{"text": "ship " * 3000}]}]}
    _, _, raw = await post(running, f"/v1beta/models/{model}:generateContent", body)
    told = msgspec.json.decode(raw)["usageMetadata"]
    _, _, raw = await post(running, "/simulator/totals", None, method="GET")
    used = msgspec.json.decode(raw)["usage"][model]
    assert used["cache_write_5m"] == used["cache_write_1h"] == 0
    assert used["input"] == told["promptTokenCount"]


async def test_every_dialect_hears_the_same_words_and_says_the_same(running: simulator.Running) -> None:
    system, question, model = "Be kind.", "Tell me about ships.", "one-model"
    talk = [{"role": "user", "content": question}]
    chat = {"model": model, "messages": [{"role": "system", "content": system}, *talk]}
    said = []
    _, _, raw = await post(running, "/v1/chat/completions", chat)
    said.append(msgspec.json.decode(raw)["choices"][0]["message"]["content"])
    body = {"model": model, "max_tokens": 900, "system": system, "messages": talk}
    _, _, raw = await post(running, "/v1/messages", body, CLAUDE)
    said.append(msgspec.json.decode(raw)["content"][0]["text"])
    _, _, raw = await post(
        running, "/v1/responses", {"model": model, "instructions": system, "input": question}
    )
    said.append(msgspec.json.decode(raw)["output"][0]["content"][0]["text"])
    gemini = {
        "systemInstruction": {"parts": [{"text": system}]},
        "contents": [{"parts": [{"text": question}]}],
    }
    _, _, raw = await post(running, f"/v1beta/models/{model}:generateContent", gemini)
    said.append(msgspec.json.decode(raw)["candidates"][0]["content"]["parts"][0]["text"])
    assert len(said) == 4
    assert len(set(said)) == 1


async def test_errors_have_their_dialect_s_shape(running: simulator.Running) -> None:
    error = validator("ErrorResponse")
    status, _, raw = await post(
        running, "/v1/messages", {"model": "claude-e529", "max_tokens": 1, "messages": TALK}, CLAUDE
    )
    body = msgspec.json.decode(raw)
    error.validate(body)
    assert (status, body["error"]["type"]) == (529, "overloaded_error")
    status, headers, raw = await post(
        running, "/v1/chat/completions", {"model": "gpt-quota", "messages": TALK}
    )
    assert (status, msgspec.json.decode(raw)["error"]["code"]) == (429, "insufficient_quota")
    assert "retry-after" not in headers
    for bad in (b"{", b"[]", b"\xff", b"[" * 100_000):
        status, _, raw = await post(running, "/v1/chat/completions", bad)
        assert (status, set(msgspec.json.decode(raw)["error"])) == (400, {"message", "type", "param", "code"})
    status, _, _ = await post(running, "/v1/nothing", {})
    assert status == 404
