"""Whatever a caller or a provider sends: Gemini's dialect answers, or refuses in its own errors."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import msgspec
import pytest

from tierwise.dialects import registry
from tierwise.errors import BadRequest, UpstreamBroke, UpstreamStatus
from tierwise.nouns import Model

GEMINI = registry.get("gemini")
MODEL = Model("google/gemini-3.1-flash-lite", "google", "gemini-3.1-flash-lite")
ODD: tuple[Any, ...] = (None, 1, -1, 1.5, True, "x", "", [], {}, [1], {"a": 1}, [[]], [{}], "AUTO", 10**17)
PNG = {"inlineData": {"mimeType": "image/png", "data": "AA"}}
REQUEST: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "s"}]},
    "contents": [
        {"role": "user", "parts": [{"text": "a"}, PNG, {"fileData": {"fileUri": "https://e.org/y.pdf"}}]},
        {
            "role": "model",
            "parts": [
                {"text": "t", "thought": True, "thoughtSignature": "S"},
                {"functionCall": {"name": "f", "args": {"a": 1}}},
                {"executableCode": {}},
            ],
        },
        {"parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}, "parts": [PNG]}}]},
    ],
    "tools": [
        {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "nullable": True}}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "topK": 3,
        "stopSequences": ["a"],
        "responseSchema": {"type": "OBJECT"},
        "thinkingConfig": {"thinkingBudget": 5, "thinkingLevel": "LOW"},
        "maxOutputTokens": 5,
        "responseModalities": ["TEXT"],
    },
    "labels": {"task": "x"},
}
REPLY: dict[str, Any] = {
    "candidates": [
        {
            "content": {
                "parts": [{"text": "a", "thoughtSignature": "S"}, {"functionCall": {"name": "f"}}, PNG]
            },
            "finishReason": "STOP",
            "index": 0,
            "groundingMetadata": {"groundingChunks": [{"web": {"uri": "u"}}], "webSearchQueries": ["q"]},
            "logprobsResult": {"chosenCandidates": [{"token": "a"}], "topCandidates": [{"candidates": []}]},
            "citationMetadata": {"citationSources": [{"uri": "x"}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 5, "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}]},
    "promptFeedback": {"blockReason": "X"},
    "modelVersion": "m",
}


def mutated(whole: Any, draw: random.Random) -> bytes:
    """`whole` with a few of its values replaced by odd ones."""
    copy = msgspec.json.decode(msgspec.json.encode(whole))
    for _ in range(draw.randint(1, 3)):
        at = copy
        while at:
            key = draw.choice(list(at) if isinstance(at, dict) else range(len(at)))
            if isinstance(at[key], dict | list) and at[key] and draw.random() < 0.8:
                at = at[key]
                continue
            odd = draw.choice(ODD)
            at[key] = odd.copy() if isinstance(odd, dict | list) else odd
            break
    return msgspec.json.encode(copy)


@pytest.mark.parametrize("seed", range(300))
def test_odd_requests(seed: int) -> None:
    body = mutated(REQUEST, random.Random(seed))
    with contextlib.suppress(BadRequest):
        GEMINI.outline(body)
    with contextlib.suppress(BadRequest):
        ask = GEMINI.read_request(body, {})
        written = GEMINI.write_request(ask, MODEL)
        assert GEMINI.read_request(written.body, {}) or not msgspec.json.decode(written.body)["contents"]


@pytest.mark.parametrize("seed", range(300))
def test_odd_replies(seed: int) -> None:
    body = mutated(REPLY, random.Random(seed))
    ask = GEMINI.read_request(msgspec.json.encode(REQUEST), {})
    GEMINI.usage(body)
    GEMINI.served_model(body)
    with contextlib.suppress(UpstreamBroke, UpstreamStatus):
        GEMINI.write_answer(GEMINI.read_answer(body), ask)
    data = b"data: " + body + b"\r\n\r\n"
    tap = GEMINI.tap()
    assert 0 <= tap.feed(data) <= len(data)
    assert tap.usage is None or tap.usage.input >= 0
    writer = GEMINI.writer(ask)
    with contextlib.suppress(UpstreamBroke):
        reader = GEMINI.reader()
        for event in [*reader.feed(data), *reader.finish()]:
            writer.write(event)
