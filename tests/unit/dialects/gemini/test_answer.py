"""Whole Gemini replies, both ways, and their usage."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from tierwise.dialects import registry
from tierwise.errors import UpstreamBroke, UpstreamStatus
from tierwise.nouns import (
    Answer,
    Ask,
    Choice,
    Citation,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)

GEMINI = registry.get("gemini")
HI = Message("user", (Text("hi"),))

REPLY: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True},
                    {"text": "hi", "thoughtSignature": "S"},
                    {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "T"},
                    {"functionCall": {"name": "f", "args": {"a": 1}}},
                ],
            },
            "finishReason": "STOP",
            "index": 0,
            "avgLogprobs": -0.1,
            "logprobsResult": {
                "chosenCandidates": [{"token": "hi", "logProbability": -0.5}],
                "topCandidates": [{"candidates": [{"token": "hi", "logProbability": -0.5}]}],
            },
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 30,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 7,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 122,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 60},
            {"modality": "AUDIO", "tokenCount": 40},
        ],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 10}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 4}],
        "serviceTier": "FLEX",
    },
    "modelVersion": "gemini-3.1-flash-lite",
    "responseId": "abc",
}
USAGE = Usage(
    input=45,
    cache_read=20,
    output=13,
    reasoning=7,
    extra={"input_audio": 30, "cache_audio_read": 10, "output_image": 4},
    service_tier="flex",
)


def test_read_answer() -> None:
    answer = GEMINI.read_answer(msgspec.json.encode(REPLY))
    parts = answer.choices[0].parts
    ids = [part.id for part in parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 2
    assert parts == (
        Thinking("hm", origin="gemini", summary=True),
        Text("hi"),
        Thinking("", "S", origin="gemini"),
        ToolCall(ids[0], "f", '{"a":1}', signature="T"),
        ToolCall(ids[1], "f", '{"a":1}'),
    )
    assert answer.choices[0].finish == "tool_calls"
    assert answer.choices[0].logprobs == {
        "content": [
            {
                "token": "hi",
                "logprob": -0.5,
                "bytes": [104, 105],
                "top_logprobs": [{"token": "hi", "logprob": -0.5, "bytes": [104, 105]}],
            }
        ],
        "refusal": None,
    }
    assert (answer.id, answer.model, answer.service_tier) == ("abc", "gemini-3.1-flash-lite", "flex")
    assert answer.usage == USAGE
    assert answer.choices[0].extras == {"avgLogprobs": -0.1}


def test_made_ids_differ_from_turn_to_turn() -> None:
    def ids(reply: dict[str, Any]) -> set[str]:
        answer = GEMINI.read_answer(msgspec.json.encode(reply))
        return {part.id for part in answer.choices[0].parts if isinstance(part, ToolCall)}

    later = {**REPLY, "responseId": "abd"}
    unnamed = [{**REPLY, "responseId": None, "usageMetadata": {"promptTokenCount": n}} for n in (1, 2)]
    assert not ids(REPLY) & ids(later)
    assert not ids(unnamed[0]) & ids(unnamed[1])
    assert ids(REPLY) == ids(REPLY)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"promptTokenCount": 5, "totalTokenCount": 5}, Usage(input=5)),
        ({"promptTokenCount": 5, "serviceTier": "standard"}, Usage(input=5)),
        ({"promptTokenCount": 5, "trafficType": "ON_DEMAND"}, Usage(input=5)),
        ({"promptTokenCount": 5, "trafficType": "ON_DEMAND_FLEX"}, Usage(input=5, service_tier="flex")),
        (
            {
                "promptTokenCount": 5,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 6,
                "totalTokenCount": 15,
            },
            Usage(input=5, output=10, reasoning=6),
        ),
        (  # a server that counts thoughts into the candidates
            {
                "promptTokenCount": 5,
                "candidatesTokenCount": 10,
                "thoughtsTokenCount": 6,
                "totalTokenCount": 15,
            },
            Usage(input=5, output=10, reasoning=6),
        ),
        (  # one that leaves them out of the total: more was thought than said
            {
                "promptTokenCount": 5,
                "candidatesTokenCount": 4,
                "thoughtsTokenCount": 6,
                "totalTokenCount": 9,
            },
            Usage(input=5, output=10, reasoning=6),
        ),
        ({"promptTokenCount": 5, "cachedContentTokenCount": 9, "totalTokenCount": 5}, Usage(cache_read=5)),
        (
            {
                "promptTokenCount": 1,
                "candidatesTokenCount": 9,
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 8}],
            },
            Usage(input=1, output=1, extra={"output_audio": 8}),
        ),
    ],
)
@pytest.mark.parametrize("last", [True, False])
def test_usage(told: dict[str, Any], usage: Usage, last: bool) -> None:
    rest: dict[str, Any] = {"candidates": [{"content": {"parts": [{"text": '"usageMetadata":{'}]}}]}
    reply = {**rest, "usageMetadata": told} if last else {"usageMetadata": told, **rest}
    body = msgspec.json.encode(reply)
    assert GEMINI.usage(body) == usage
    assert GEMINI.read_answer(body).usage == usage


def test_usage_counts_searches() -> None:
    candidate = {"groundingMetadata": {"webSearchQueries": ["a", "b"]}, "finishReason": "STOP"}
    told = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    for name, searches in (("gemini-3.1-pro", 2), ("gemini-2.5-flash", 1)):
        body = msgspec.json.encode({"candidates": [candidate], "usageMetadata": told, "modelVersion": name})
        usage = GEMINI.usage(body)
        assert usage is not None
        assert usage.extra == {"web_search": searches}
        assert GEMINI.read_answer(body).usage == usage


@pytest.mark.parametrize(
    ("grounds", "counted"),
    [
        ([{"web": {"uri": "u"}}, {"maps": {"placeId": "p"}}, {"maps": {"placeId": "q"}}], {"maps_search": 1}),
        ([{"web": {"uri": "u"}}, {"maps": None}], {}),
        ([7, None], {}),
        ("odd", {}),
    ],
)
def test_usage_counts_a_prompt_that_was_answered_from_google_maps(
    grounds: Any, counted: dict[str, int]
) -> None:
    content = {"parts": [{"text": "there"}]}
    candidate = {
        "content": content,
        "groundingMetadata": {"groundingChunks": grounds},
        "finishReason": "STOP",
    }
    told = {"promptTokenCount": 1, "candidatesTokenCount": 1}
    body = msgspec.json.encode({"candidates": [candidate], "usageMetadata": told})
    usage = GEMINI.usage(body)
    assert usage is not None
    assert usage.extra == counted
    assert GEMINI.read_answer(body).usage == usage
    frame, tap, reader = b"data: " + body + b"\n\n", GEMINI.tap(), GEMINI.reader()
    tap.feed(frame)
    assert tap.usage == usage
    events = reader.feed(frame) + reader.finish()
    assert [event.usage for event in events if isinstance(event, UsageSeen)][-1] == usage


def test_usage_is_not_taken_from_a_call() -> None:
    args = {"usageMetadata": {"promptTokenCount": 99}, "modelVersion": "fake"}
    parts = [{"functionCall": {"name": "f", "args": args}}]
    body = msgspec.json.encode({"candidates": [{"content": {"parts": parts}}]})
    assert GEMINI.usage(body) is None
    assert GEMINI.served_model(body) is None
    assert GEMINI.usage(b"[") is None
    for count in ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"):
        told = {"promptTokenCount": 1, "candidatesTokenCount": 1, count: -1}
        assert GEMINI.usage(msgspec.json.encode({"usageMetadata": told})) is None
    assert GEMINI.served_model(msgspec.json.encode(REPLY)) == "gemini-3.1-flash-lite"


def test_blocked_and_empty_replies() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}
    answer = GEMINI.read_answer(msgspec.json.encode(blocked))
    assert answer.choices == (Choice((), "refusal"),)
    told = {"candidates": [{"finishReason": "SAFETY", "finishMessage": "no", "index": 0}]}
    answer = GEMINI.read_answer(msgspec.json.encode(told))
    assert answer.choices == (Choice((Refusal("no"),), "refusal"),)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"candidates":[3]}', b'{"candidates":[{"content":{"parts":[{"text":1}]}}]}']
)
def test_malformed_replies(body: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        GEMINI.read_answer(body)


def test_error_in_disguise() -> None:
    with pytest.raises(UpstreamStatus) as caught:
        GEMINI.read_answer(b'{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}')
    assert caught.value.status == 429


def reply_to(answer: Answer, summary: str | None = None) -> tuple[dict[str, Any], list[str]]:
    made = GEMINI.write_answer(answer, Ask("gemini", "tier/x", (HI,), reasoning=Reasoning(summary=summary)))
    return msgspec.json.decode(made.body), [loss.name for loss in made.losses]


def test_write_answer_round_trip() -> None:
    answer = GEMINI.read_answer(msgspec.json.encode(REPLY))
    body, losses = reply_to(answer, "auto")
    again = GEMINI.read_answer(msgspec.json.encode(body))
    assert again == answer
    assert losses == []


def test_write_answer_of_another_vendor() -> None:
    parts = (
        Thinking("hm", "sig", origin="anthropic_messages"),
        Text("see", citations=(Citation({}, "a", "https://e.org", "E"), Citation({}, "a"))),
        ToolCall("a", "f", '{"x":1}'),
        ToolCall("b", "g", "oops"),
        Opaque("anthropic_messages", "server_tool_use", {}),
    )
    usage = Usage(input=5, cache_read=10, cache_write_5m=3, cache_write_1h=2, output=9, reasoning=4)
    answer = Answer("id", "claude", (Choice(parts, "tool_calls"),), usage, extras={"container": 1})
    body, losses = reply_to(answer)
    candidate = body["candidates"][0]
    assert candidate["content"]["parts"] == [
        {"text": "see"},
        {
            "functionCall": {"name": "f", "args": {"x": 1}, "id": "a"},
            "thoughtSignature": base64.b64encode(b"skip_thought_signature_validator").decode(),
        },
    ]
    assert candidate["citationMetadata"] == {"citationSources": [{"uri": "https://e.org", "title": "E"}]}
    assert candidate["finishReason"] == "MALFORMED_FUNCTION_CALL"
    assert body["usageMetadata"] == {
        "promptTokenCount": 20,
        "candidatesTokenCount": 5,
        "totalTokenCount": 29,
        "cachedContentTokenCount": 10,
        "thoughtsTokenCount": 4,
    }
    assert (body["modelVersion"], body["responseId"]) == ("claude", "id")
    assert losses == [
        "thinking.signature",
        "answer.citations",
        "tool_call.arguments",
        "opaque.server_tool_use",
        "answer.usage",
        "answer_extra.container",
    ]
    body, _ = reply_to(answer, "auto")
    assert body["candidates"][0]["content"]["parts"][0] == {"text": "hm", "thought": True}


@pytest.mark.parametrize(
    ("choice", "word", "losses"),
    [
        (Choice((Text("x"),)), "STOP", []),
        (Choice((Text("x"),), "stop_sequence", "END"), "STOP", ["stop.which"]),
        (Choice((Text("x"),), "length"), "MAX_TOKENS", []),
        (Choice((Text("x"),), "context"), "MAX_TOKENS", []),
        (Choice((Refusal("x"),)), "SAFETY", ["answer.refusal"]),
        (Choice((), "refusal"), "SAFETY", []),
        (Choice((), "error"), "OTHER", ["stop.reason"]),
        (Choice((Text("x"),), "pause"), "STOP", ["stop.reason"]),
    ],
)
def test_finish_reasons(choice: Choice, word: str, losses: list[str]) -> None:
    body, named = reply_to(Answer("i", "m", (choice,)))
    assert body["candidates"][0]["finishReason"] == word
    assert "usageMetadata" not in body
    assert named == losses
