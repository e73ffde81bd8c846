"""OpenAI chat ⇄ Anthropic messages: the same conversation, asked in one dialect and served by the other."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.dialects import registry
from tierwise.nouns import Abilities, Model

CHAT = registry.get("openai_chat")
ANTHROPIC = registry.get("anthropic_messages")
GPT = Model("openai/gpt-5.2", "openai", "gpt-5.2")
CLAUDE = Model("anthropic/claude-x", "anthropic", "claude-x", Abilities(thinking=("adaptive", "disabled")))
PNG = "iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def to_anthropic(**body: Any) -> tuple[dict[str, Any], list[str]]:
    ask = CHAT.read_request(json.dumps({"model": "m", "max_tokens": 50, **body}).encode(), {})
    out = ANTHROPIC.write_request(ask, CLAUDE)
    return json.loads(out.body), [loss.name for loss in out.losses]


def to_chat(**body: Any) -> tuple[dict[str, Any], list[str]]:
    ask = ANTHROPIC.read_request(json.dumps({"model": "m", "max_tokens": 50, **body}).encode(), {})
    out = CHAT.write_request(ask, GPT)
    return json.loads(out.body), [loss.name for loss in out.losses]


def use(call_id: str, city: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "weather", "input": {"city": city}}


def call(call_id: str, city: str) -> dict[str, Any]:
    function = {"name": "weather", "arguments": json.dumps({"city": city}, separators=(",", ":"))}
    return {"id": call_id, "type": "function", "function": function}


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": text}


# What is asked in one dialect and must arrive in the other: (OpenAI chat, Anthropic), both directions.
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "text": (
        {"messages": [{"role": "user", "content": "hi"}]},
        {"messages": [{"role": "user", "content": "hi"}]},
    ),
    "system": (
        {"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]},
        {"system": "be brief", "messages": [{"role": "user", "content": "hi"}]},
    ),
    "many turns": (
        {
            "messages": [
                {"role": "user", "content": "1"},
                {"role": "assistant", "content": "2"},
                {"role": "user", "content": "3"},
            ]
        },
        {
            "messages": [
                {"role": "user", "content": "1"},
                {"role": "assistant", "content": "2"},
                {"role": "user", "content": "3"},
            ]
        },
    ),
    "parallel tools": (
        {
            "messages": [
                {"role": "user", "content": "weather?"},
                {"role": "assistant", "content": "I look",
                 "tool_calls": [call("a", "Rome"), call("b", "Oslo")]},
                {"role": "tool", "tool_call_id": "a", "content": "hot"},
                {"role": "tool", "tool_call_id": "b", "content": "cold"},
                {"role": "user", "content": "and?"},
            ],
            "tools": [{"type": "function", "function": {
                "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True,
            }}],
        },
        {
            "messages": [
                {"role": "user", "content": "weather?"},
                {"role": "assistant",
                 "content": [{"type": "text", "text": "I look"}, use("a", "Rome"), use("b", "Oslo")]},
                {"role": "user",
                 "content": [result("a", "hot"), result("b", "cold"), {"type": "text", "text": "and?"}]},
            ],
            "tools": [{"name": "weather", "description": "d", "input_schema": SCHEMA, "strict": True}],
        },
    ),
    "images": (
        {"messages": [{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"type": "text", "text": "what?"},
        ]}]},
        {"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            {"type": "text", "text": "what?"},
        ]}]},
    ),
    "settings": (
        {"messages": [{"role": "user", "content": "hi"}], "stop": ["END"], "temperature": 0.5, "user": "u1"},
        {"messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["END"], "temperature": 0.5,
         "metadata": {"user_id": "u1"}},
    ),
}  # fmt: skip


def plain(body: dict[str, Any]) -> dict[str, Any]:
    """Without what each side adds for itself: the model, the limit, and null members."""
    dropped = ("model", "max_tokens", "max_completion_tokens")
    whole = {key: value for key, value in body.items() if key not in dropped}
    for turn in whole["messages"]:
        for key in [key for key, value in turn.items() if value is None]:
            del turn[key]
    return whole


@pytest.mark.parametrize("name", PAIRS)
def test_requests_arrive_whole_in_both_directions(name: str) -> None:
    chat, anthropic = PAIRS[name]
    body, losses = to_anthropic(**chat)
    assert plain(body) == anthropic
    assert losses == []
    body, losses = to_chat(**anthropic)
    assert plain(body) == chat
    assert losses == []


@pytest.mark.parametrize(
    ("chat", "anthropic"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "tool", "name": "weather"}),
    ],
)
def test_tool_choice_in_both_directions(chat: Any, anthropic: Any) -> None:
    talk = [{"role": "user", "content": "hi"}]
    there = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    here = [{"name": "weather", "input_schema": SCHEMA}]
    body, losses = to_anthropic(messages=talk, tools=there, tool_choice=chat)
    assert (body["tool_choice"], losses) == (anthropic, [])
    body, losses = to_chat(messages=talk, tools=here, tool_choice=anthropic)
    assert (body["tool_choice"], losses) == (chat, [])
    body, _ = to_anthropic(messages=talk, tools=there, parallel_tool_calls=False)
    assert body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    body, _ = to_chat(
        messages=talk, tools=here, tool_choice={"type": "auto", "disable_parallel_tool_use": True}
    )
    assert body["parallel_tool_calls"] is False


def test_output_schema_and_effort_in_both_directions() -> None:
    talk = [{"role": "user", "content": "hi"}]
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    body, losses = to_anthropic(messages=talk, response_format=wanted, reasoning_effort="high")
    named = {"title": "a", **SCHEMA}
    assert body["output_config"] == {"effort": "high", "format": {"type": "json_schema", "schema": named}}
    assert body["thinking"] == {"type": "adaptive"}
    assert losses == []
    body, losses = to_chat(messages=talk, output_config=body["output_config"])
    assert body["response_format"]["json_schema"]["schema"] == named
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["reasoning_effort"] == "high"
    assert losses == []


def test_what_anthropic_alone_has_is_named() -> None:
    _, losses = to_chat(
        system=[
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=1;"},
            {"type": "text", "text": "s"},
        ],
        messages=[
            {"role": "user", "content": [
                {"type": "text", "text": "hi"},
                {"type": "container_upload", "file_id": "f"},
            ]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                use("a", "R"),
            ]},
            {"role": "user", "content": [{**result("a", "x"), "is_error": True}]},
        ],
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        context_management={"edits": []},
        top_k=3,
    )  # fmt: skip
    assert set(losses) >= {
        "system.billing_header", "opaque.container_upload", "thinking.replay", "tool_result.is_error",
        "tool.hosted", "extra.context_management", "sampling.top_k",
    }  # fmt: skip


# Whole replies and streams: what a provider says, and what the caller of the other dialect must see.
CHAT_USAGE = {
    "prompt_tokens": 137,
    "completion_tokens": 50,
    "total_tokens": 187,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
ANTHROPIC_USAGE = {
    "input_tokens": 7,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 100,
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 40},
}
# Anthropic content and stop_reason, OpenAI message and finish_reason
ANSWERS: dict[str, tuple[list[dict[str, Any]], str, dict[str, Any], str]] = {
    "text": ([{"type": "text", "text": "Grüße"}], "end_turn", {"content": "Grüße"}, "stop"),
    "length": ([{"type": "text", "text": "cut"}], "max_tokens", {"content": "cut"}, "length"),
    "tools": (
        [{"type": "text", "text": "I look"}, use("a", "Rome"), use("b", "Oslo")],
        "tool_use",
        {"content": "I look", "tool_calls": [call("a", "Rome"), call("b", "Oslo")]},
        "tool_calls",
    ),
    "refusal": ([{"type": "text", "text": "no"}], "refusal", {"content": "no"}, "content_filter"),
    "thinking": (
        [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "so"}],
        "end_turn",
        {"content": "so", "reasoning_content": "hm"},
        "stop",
    ),
}


def asks() -> tuple[Any, Any]:
    """The same question as a caller of each dialect asks it."""
    talk = [{"role": "user", "content": "hi"}]
    chat = {"model": "m", "messages": talk, "stream_options": {"include_usage": True}, "stream": True}
    anthropic = {"model": "m", "messages": talk, "max_tokens": 9}
    return (
        CHAT.read_request(json.dumps(chat).encode(), {}),
        ANTHROPIC.read_request(json.dumps(anthropic).encode(), {}),
    )


def check_anthropic(seen: dict[str, Any], content: list[dict[str, Any]], stop: str) -> None:
    assert seen["content"] == content
    assert seen["stop_reason"] == stop
    assert seen["model"] == "served"
    assert {key: seen["usage"][key] for key in ANTHROPIC_USAGE} == ANTHROPIC_USAGE


def check_chat(seen: dict[str, Any], message: dict[str, Any], finish: str) -> None:
    (choice,) = seen["choices"]
    said = {key: value for key, value in choice["message"].items() if value not in (None, [], "")}
    said.pop("role")
    assert said == message
    assert choice["finish_reason"] == finish
    assert seen["model"] == "served"
    for key, value in CHAT_USAGE.items():
        told = seen["usage"][key]
        if isinstance(value, dict):  # other details may stand there with 0
            told = {name: count for name, count in told.items() if count}
        assert told == value


@pytest.mark.parametrize("name", ANSWERS)
def test_whole_replies_in_both_directions(name: str) -> None:
    content, stop, message, finish = ANSWERS[name]
    for_chat, for_anthropic = asks()
    told = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "served", "content": content,
        "stop_reason": stop, "stop_sequence": None, "usage": ANTHROPIC_USAGE,
    }  # fmt: skip
    answer = ANTHROPIC.read_answer(json.dumps(told).encode())
    check_chat(json.loads(CHAT.write_answer(answer, for_chat).body), message, finish)
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    said = {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "served", "choices": [choice],
        "usage": CHAT_USAGE,
    }  # fmt: skip
    answer = CHAT.read_answer(json.dumps(said).encode())
    check_anthropic(json.loads(ANTHROPIC.write_answer(answer, for_anthropic).body), content, stop)


def anthropic_stream(content: list[dict[str, Any]], stop: str) -> bytes:
    start = {
        "input_tokens": 7,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 100,
        "output_tokens": 1,
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served",
        "content": [],
        "usage": start,
    }
    events: list[dict[str, Any]] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    for i, block in enumerate(content):
        kind = block["type"]
        empty = {
            "text": {"text": ""},
            "thinking": {"thinking": "", "signature": ""},
            "tool_use": {"input": {}},
        }[kind]
        if kind == "tool_use":
            whole = json.dumps(block["input"], separators=(",", ":"))
            deltas = [
                {"type": "input_json_delta", "partial_json": piece} for piece in ("", whole[:4], whole[4:])
            ]
        else:
            deltas = [{"type": f"{kind}_delta", kind: piece} for piece in block[kind]]
        events.append({"type": "content_block_start", "index": i, "content_block": {**block, **empty}})
        events += [{"type": "content_block_delta", "index": i, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": i})
    change = {"stop_reason": stop, "stop_sequence": None}
    events.append({"type": "message_delta", "delta": change, "usage": ANTHROPIC_USAGE})
    events.append({"type": "message_stop"})
    return b"".join(b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def chat_stream(message: dict[str, Any], finish: str) -> bytes:
    """Parallel calls' pieces interleave, which OpenAI allows."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in message.get("reasoning_content", "")]
    deltas += [{"content": piece} for piece in message.get("content", "")]
    calls = message.get("tool_calls", [])
    for i, made in enumerate(calls):
        opened = {**made, "function": {**made["function"], "arguments": ""}}
        deltas.append({"tool_calls": [{"index": i, **opened}]})
    for piece in range(0, 40, 3):
        for i, made in enumerate(calls):
            text = made["function"]["arguments"][piece : piece + 3]
            if text:
                deltas.append({"tool_calls": [{"index": i, "function": {"arguments": text}}]})
    shared = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "served"}
    chunks: list[dict[str, Any]] = [
        {**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    chunks.append({**shared, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({**shared, "choices": [], "usage": CHAT_USAGE})
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + b"data: [DONE]\n\n"


def through(reader: Any, writer: Any, stream: bytes, cuts: list[int]) -> bytes:
    """What the caller gets when the provider's bytes come in these pieces."""
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    out = b""
    for a, b in itertools.pairwise(edges):
        out += b"".join(writer.write(event) for event in reader.feed(stream[a:b]))
    return out + b"".join(writer.write(event) for event in reader.finish())


def gathered_anthropic(stream: bytes) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    pieces: dict[int, str] = {}
    for line in stream.decode().splitlines():
        if not line.startswith("data: "):
            continue
        event = json.loads(line[6:])
        match event["type"]:
            case "message_start":
                assert not seen
                seen = event["message"]
            case "content_block_start":
                assert event["index"] == len(seen["content"])
                seen["content"].append(event["content_block"])
            case "content_block_delta":
                index, delta = event["index"], event["delta"]
                assert index == len(seen["content"]) - 1
                if delta["type"] == "input_json_delta":
                    pieces[index] = pieces.get(index, "") + delta["partial_json"]
                else:
                    key = delta["type"].removesuffix("_delta")
                    seen["content"][index][key] += delta[key]
            case "message_delta":
                seen |= event["delta"]
                seen["usage"] |= event["usage"]
    for index, text in pieces.items():
        seen["content"][index]["input"] = json.loads(text)
    assert stream.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    return seen


def gathered_chat(stream: bytes) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    calls: dict[int, dict[str, Any]] = {}
    seen: dict[str, Any] = {"choices": [{"message": message}]}
    assert stream.endswith(b"data: [DONE]\n\n")
    for line in stream.decode().splitlines():
        if not line.startswith("data: {"):
            continue
        chunk = json.loads(line[6:])
        seen["model"] = chunk["model"]
        seen["usage"] = chunk.get("usage") or seen.get("usage")
        for choice in chunk["choices"]:
            for key in ("content", "reasoning_content", "refusal"):
                if choice["delta"].get(key):
                    message[key] = message.get(key, "") + choice["delta"][key]
            for piece in choice["delta"].get("tool_calls", []):
                made = calls.setdefault(piece.pop("index"), {**piece, "function": dict(piece["function"])})
                if made["function"] is not piece["function"] and "id" not in piece:
                    made["function"]["arguments"] += piece["function"]["arguments"]
            seen["choices"][0]["finish_reason"] = choice["finish_reason"]
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return seen


@given(st.sampled_from(sorted(ANSWERS)), st.lists(st.integers(0, 1 << 20), max_size=20))
@settings(max_examples=60, deadline=None)
def test_streams_in_both_directions_in_any_pieces(name: str, cuts: list[int]) -> None:
    content, stop, message, finish = ANSWERS[name]
    for_chat, for_anthropic = asks()
    out = through(ANTHROPIC.reader(), CHAT.writer(for_chat), anthropic_stream(content, stop), cuts)
    check_chat(gathered_chat(out), message, finish)
    out = through(CHAT.reader(), ANTHROPIC.writer(for_anthropic), chat_stream(message, finish), cuts)
    check_anthropic(gathered_anthropic(out), content, stop)


def test_one_hour_writes_survive_an_anthropic_caller() -> None:
    """A stream's 5-minute and 1-hour split reaches a caller of the same dialect by way of Events too."""
    usage = {
        **ANTHROPIC_USAGE,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    stream = anthropic_stream([{"type": "text", "text": "x"}], "end_turn")
    stream = stream.replace(json.dumps(ANTHROPIC_USAGE).encode(), json.dumps(usage).encode())
    out = through(ANTHROPIC.reader(), ANTHROPIC.writer(asks()[1]), stream, [])
    assert gathered_anthropic(out)["usage"]["cache_creation"] == usage["cache_creation"]


def test_errors_cross_over() -> None:
    busy = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    stream = anthropic_stream([], "end_turn").split(b"event: message_delta")[0]
    stream += b"event: error\ndata: %s\n\n" % json.dumps(busy).encode()
    out = through(ANTHROPIC.reader(), CHAT.writer(asks()[0]), stream, [])
    assert b"[DONE]" not in out
    assert json.loads(out.split(b"data: ")[-1])["error"]["message"] == "busy"
    failing = (
        b'data: {"error": {"message": "slow", "type": "server_error", "code": "server_is_overloaded"}}\n\n'
    )
    out = through(CHAT.reader(), ANTHROPIC.writer(asks()[1]), failing, [])
    assert b"message_stop" not in out
    assert json.loads(out.split(b"data: ")[-1])["error"]["message"] == "slow"
    error = ANTHROPIC.read_error(529, {}, json.dumps(busy).encode())
    assert json.loads(CHAT.write_error(error, "r")[2])["error"]["message"] == "busy"
    body = {"error": {"message": "no", "type": "invalid_request_error", "param": "x", "code": None}}
    status, _, told = ANTHROPIC.write_error(CHAT.read_error(400, {}, json.dumps(body).encode()), "r")
    assert (status, json.loads(told)["error"]) == (400, {"type": "invalid_request_error", "message": "no"})


def test_free_text_tools_survive_the_round_trip() -> None:
    offered = {"type": "custom", "custom": {"name": "patch", "format": {"type": "text"}}}
    talk = [{"role": "user", "content": "hi"}]
    ask = CHAT.read_request(json.dumps({"model": "m", "messages": talk, "tools": [offered]}).encode(), {})
    made = {"type": "tool_use", "id": "a", "name": "patch", "input": {"input": 'say "x"'}}
    told = {
        "id": "msg_1",
        "content": [made],
        "model": "served",
        "stop_reason": "tool_use",
        "usage": ANTHROPIC_USAGE,
    }
    answer = ANTHROPIC.read_answer(json.dumps(told).encode())
    (seen,) = json.loads(CHAT.write_answer(answer, ask).body)["choices"][0]["message"]["tool_calls"]
    assert (seen["type"], seen["custom"]) == ("custom", {"name": "patch", "input": 'say "x"'})
