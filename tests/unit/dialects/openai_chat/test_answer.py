"""OpenAI chat: whole replies, both ways, and usage in disjoint buckets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects.openai_chat import DIALECT
from tierwise.errors import UpstreamBroke, UpstreamStatus
from tierwise.nouns import (
    Answer,
    Ask,
    Choice,
    Citation,
    Media,
    Message,
    Opaque,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Usage,
)

ASK = Ask("openai_chat", "m", (Message("user", (Text("hi"),)),))


def reply(message: dict[str, Any] | None = None, finish: str | None = "stop", **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **(message or {})}, "finish_reason": finish}
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 5,
        "model": "m-1",
        "choices": [choice],
        **fields,
    }
    return json.dumps(body).encode()


def first(message: dict[str, Any], finish: str | None = "stop") -> Choice:
    return DIALECT.read_answer(reply(message, finish)).choices[0]


def write(*parts: Any, ask: Ask = ASK, **choice: Any) -> tuple[dict[str, Any], list[str]]:
    answer = Answer("c1", "m-1", (Choice(parts, **choice),), created=5)
    written = DIALECT.write_answer(answer, ask)
    return json.loads(written.body)["choices"][0], [loss.name for loss in written.losses]


def test_a_plain_reply() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    body = reply({"content": "hi"}, usage=usage, service_tier="default", system_fingerprint="fp")
    assert DIALECT.read_answer(body) == Answer(
        "c1",
        "m-1",
        (Choice((Text("hi"),)),),
        Usage(3, output=2),
        5,
        "default",
        {"system_fingerprint": "fp"},
        "openai_chat",
    )
    assert DIALECT.served_model(body) == "m-1"


def test_everything_a_message_may_hold() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    cite = {"type": "url_citation", "url_citation": {"url": "u"}}
    message = {
        "content": "t",
        "refusal": "r",
        "reasoning": "why",
        "annotations": [cite],
        "tool_calls": [call, {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}],
        "audio": {"id": "a"},
    }
    assert first(message, "tool_calls") == Choice(
        (
            Thinking("why", origin="openai_chat"),
            Text("t", None, (Citation(cite, "openai_chat", "u"),)),
            Refusal("r"),
            ToolCall("c", "f", "{}"),
            ToolCall("d", "g", "x", custom=True),
            Opaque("openai_chat", "message.audio", {"audio": {"id": "a"}}),
        ),
        "tool_calls",
    )


def test_content_in_parts_as_mistral_writes_it() -> None:
    content = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"type": "text", "text": "c"},
    ]
    assert first({"content": content}).parts == (Thinking("ab", origin="openai_chat"), Text("c"))


def test_calls_without_ids_get_ids_of_their_own() -> None:
    calls = [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "f"}}]
    parts = first({"tool_calls": calls}).parts
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2
    assert all(name.startswith("call_") for name in ids)
    assert parts[0] == ToolCall(ids[0], "f", '{"a":1}')
    other = DIALECT.read_answer(reply({"tool_calls": calls}, id="c2")).choices[0].parts[0]
    assert isinstance(other, ToolCall)
    assert other.id not in ids


@pytest.mark.parametrize(
    ("reason", "message", "finish"),
    [
        ("stop", {"content": "x"}, "stop"),
        ("length", {"content": "x"}, "length"),
        ("content_filter", {"content": "x"}, "refusal"),
        ("tool_calls", {"tool_calls": [{"function": {"name": "f"}}]}, "tool_calls"),
        ("stop", {"tool_calls": [{"function": {"name": "f"}}]}, "tool_calls"),
        ("function_call", {"function_call": {"name": "f", "arguments": "{}"}}, "tool_calls"),
        (None, {"content": "x"}, "stop"),
        ("eos", {"content": "x"}, "stop"),
        ("insufficient_system_resource", {"content": "x"}, "error"),
    ],
)
def test_why_it_ended(reason: str | None, message: dict[str, Any], finish: str) -> None:
    assert first(message, reason).finish == finish


def test_choices_stand_in_order() -> None:
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in (1, 0)]
    answer = DIALECT.read_answer(reply(choices=choices))
    assert [choice.parts for choice in answer.choices] == [(Text("0"),), (Text("1"),)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":[5]}',
        b'{"choices":[{}]}',
        b'{"choices":[{"message":{"tool_calls":[{}]}}]}',
        b'{"a":"\xff"}',
        b"[" * 50_000,
    ],
)
def test_a_malformed_reply_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        DIALECT.read_answer(body)
    assert DIALECT.usage(body) is None
    assert DIALECT.served_model(body) is None


def test_an_error_in_the_place_of_a_reply() -> None:
    with pytest.raises(UpstreamStatus) as caught:
        DIALECT.read_answer(b'{"error":{"message":"no","code":429}}')
    assert caught.value.status == 429


USAGES = [
    ({"prompt_tokens": 10, "completion_tokens": 4}, Usage(10, output=4)),
    (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 5},
        },
        Usage(6, 60, 30, 0, 45, 20, {"input_audio": 4, "output_audio": 5}),
    ),
    ({"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}, Usage(2, 8, output=1)),
    ({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 8}, Usage(2, 8, output=1)),
    (
        {
            "prompt_tokens": 100,
            "completion_tokens": 1,
            "cache_read_input_tokens": 50,
            "cache_creation_input_tokens": 40,
            "cache_creation": {"ephemeral_1h_input_tokens": 30},
        },
        Usage(10, 50, 10, 30, 1),
    ),
    # Anthropic's exclusive prompt count, handed on as it is: by the total, and by arithmetic alone.
    (
        {
            "prompt_tokens": 100,
            "completion_tokens": 1,
            "total_tokens": 151,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 30,
        },
        Usage(100, 20, 30, 0, 1),
    ),
    ({"prompt_tokens": 5, "completion_tokens": 1, "cache_read_input_tokens": 50}, Usage(5, 50, output=1)),
    # xAI: completion_tokens without reasoning; Gemini: not even named.
    (
        {
            "prompt_tokens": 10,
            "completion_tokens": 4,
            "total_tokens": 20,
            "completion_tokens_details": {"reasoning_tokens": 6},
        },
        Usage(10, output=10, reasoning=6),
    ),
    ({"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 20}, Usage(10, output=10, reasoning=6)),
    (
        {"prompt_tokens": 10, "completion_tokens": None, "prompt_tokens_details": None},
        Usage(10, source="partial"),
    ),
    ({"prompt_tokens": 10, "total_tokens": 14}, Usage(10, output=4)),
    ({"completion_tokens": 4, "total_tokens": 14}, Usage(10, output=4)),
    ({"completion_tokens": 4}, Usage(0, output=4, source="partial")),
    ({"prompt_tokens": "10", "completion_tokens": "4"}, Usage(10, output=4)),
    ({"prompt_tokens": -10, "completion_tokens": 4}, None),
    ({"prompt_tokens": 10, "completion_tokens": -4}, None),
    ({"prompt_tokens": 10.0, "completion_tokens": 4}, Usage(10, output=4)),
    (
        {"prompt_tokens": 1, "completion_tokens": 1, "server_tool_use": {"web_search_requests": 2}},
        Usage(1, output=1, extra={"web_search": 2}),
    ),
    ({}, None),
    (None, None),
]


@pytest.mark.parametrize(("wire", "usage"), USAGES, ids=str)
def test_usage_is_read_into_disjoint_buckets(wire: Any, usage: Usage | None) -> None:
    for body in (
        reply({"content": 'say "usage": {"prompt_tokens": 99}'}, usage=wire),
        reply({"content": "x"}, usage=wire, system_fingerprint="fp", service_tier="default"),
        json.dumps({"usage": wire, **json.loads(reply({"content": "x"}))}).encode(),
    ):
        assert DIALECT.usage(body) == usage
        assert DIALECT.read_answer(body).usage == usage


def test_the_replys_service_tier_goes_with_the_usage_wherever_it_stands() -> None:
    wire = {"prompt_tokens": 10, "completion_tokens": 4}
    after = reply({"content": "x"}, usage=wire, service_tier="flex")
    before = json.dumps({"service_tier": "flex", **json.loads(reply({"content": "x"}, usage=wire))}).encode()
    inside = reply({"content": "x"}, usage={**wire, "service_tier": "flex"})
    for body in (after, before, inside):
        assert DIALECT.usage(body) == Usage(10, output=4, service_tier="flex")
        assert DIALECT.read_answer(body).usage == Usage(10, output=4, service_tier="flex")


def test_usage_is_written_as_openai_counts_it() -> None:
    usage = Usage(6, 60, 20, 10, 45, 20, {"input_audio": 4, "output_audio": 5})
    answer = Answer("c", "m", (Choice((Text("x"),)),), usage)
    wire = json.loads(DIALECT.write_answer(answer, ASK).body)["usage"]
    assert (wire["prompt_tokens"], wire["completion_tokens"], wire["total_tokens"]) == (100, 50, 150)
    assert wire["prompt_tokens_details"] == {"cached_tokens": 60, "cache_write_tokens": 30, "audio_tokens": 4}
    assert wire["completion_tokens_details"]["reasoning_tokens"] == 20


def test_a_written_reply_is_read_back() -> None:
    parts = (Thinking("why", origin="openai_chat"), Text("t"), Refusal("r"), ToolCall("c", "f", '{"a":1}'))
    logprobs = {"content": [], "refusal": None}
    choices = (Choice(parts, "tool_calls", logprobs=logprobs), Choice((Text("u"),), "length"))
    answer = Answer("c1", "m-1", choices, Usage(10, 5, 3, 0, 7, 2), 9, "default", {}, "openai_chat")
    assert DIALECT.read_answer(DIALECT.write_answer(answer, ASK).body) == answer


@pytest.mark.parametrize(
    ("finish", "word", "losses"),
    [
        ("stop", "stop", []),
        ("stop_sequence", "stop", []),
        ("length", "length", []),
        ("context", "length", []),
        ("refusal", "content_filter", []),
        ("pause", "stop", ["stop.reason"]),
        ("error", "length", ["stop.reason"]),
    ],
)
def test_the_word_for_why_it_ended(finish: Any, word: str, losses: list[str]) -> None:
    choice, found = write(Text("x"), finish=finish)
    assert (choice["finish_reason"], found) == (word, losses)


def test_an_anthropic_answer_is_joined_and_its_losses_named() -> None:
    page = Citation({}, "anthropic_messages", "http://p", "P", rest=("cited_text",))
    choice, losses = write(
        Thinking("hm", signature="s", origin="anthropic_messages"),
        Thinking(encrypted="e", origin="anthropic_messages"),
        Text("ab"),
        Text("cd", None, (page, Citation({}, "anthropic_messages"))),
        Media("image", "base64", "QQ==", "image/png"),
        Opaque("anthropic_messages", "server_tool_use", {}),
        ToolCall("t", "f", ""),
        finish="tool_calls",
    )
    message = choice["message"]
    assert message["content"] == "abcd"
    assert message["reasoning_content"] == "hm"
    assert message["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {"start_index": 2, "end_index": 4, "url": "http://p", "title": "P"},
        }
    ]
    assert message["images"][0]["image_url"]["url"] == "data:image/png;base64,QQ=="
    assert message["tool_calls"][0]["function"]["arguments"] == "{}"
    assert losses == [
        "thinking.signature",
        "thinking.redacted",
        "opaque.citation.cited_text",
        "answer.citations",
        "opaque.server_tool_use",
    ]


def test_the_reply_is_as_old_as_the_request() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "functions": [{"name": "f"}]}
    ask = DIALECT.read_request(json.dumps(body).encode(), {})
    choice, _ = write(ToolCall("t", "f", "{}"), ask=ask, finish="tool_calls")
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"}
    assert choice["finish_reason"] == "function_call"


def test_a_free_text_tool_called_as_a_function_is_given_back_as_one() -> None:
    ask = Ask("openai_chat", "m", ASK.messages, tools=(Tool("p", "custom"),))
    choice, _ = write(ToolCall("t", "p", '{"input":"a\\nb"}'), ask=ask, finish="tool_calls")
    assert choice["message"]["tool_calls"] == [
        {"id": "t", "type": "custom", "custom": {"name": "p", "input": "a\nb"}}
    ]
