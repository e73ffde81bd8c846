"""One request of many features from every caller to every provider, whole and streamed: all are told the same
answer, and the ledger and the caller have the provider's own bill.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import live
from conformance.matrix import CODES, DIRECTIONS
from conformance.matrix_streams import assembled
from conformance.matrix_words import PDF, PNG
from tierwise.dialects import registry
from tierwise.nouns import Answer, Text, ToolCall, Usage

MODEL = "gpt-6-luna"
RULES = "Be brief. " * 800
TOOLS = ("get_weather", "get_time")
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PLACE = {"city": "Ulm"}
LAST = "get_weather and get_time in Oslo"
Wire = dict[str, Any]


def chat() -> Wire:
    calls = [
        {"id": f"call_{name}", "type": "function", "function": {"name": name, "arguments": json.dumps(PLACE)}}
        for name in TOOLS
    ]
    look = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ]
    return {
        "messages": [
            {"role": "system", "content": RULES},
            {"role": "user", "content": look},
            {"role": "assistant", "content": "I call", "tool_calls": calls},
            *({"role": "tool", "tool_call_id": f"call_{name}", "content": f"{name}: 22"} for name in TOOLS),
            {"role": "assistant", "content": "It is 22."},
            {"role": "user", "content": LAST},
        ],
        "tools": [
            {"type": "function", "function": {"name": name, "description": "d", "parameters": CITY}}
            for name in TOOLS
        ],
        "max_completion_tokens": 900,
        "reasoning_effort": "low",
        "stream_options": {"include_usage": True},
    }


def responses() -> Wire:
    def said(text: str) -> Wire:
        part = {"type": "output_text", "text": text, "annotations": []}
        return {"type": "message", "role": "assistant", "content": [part]}

    look = [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
        {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
    ]
    return {
        "instructions": RULES,
        "input": [
            {"role": "user", "content": look},
            said("I call"),
            *(
                {"type": "function_call", "call_id": name, "name": name, "arguments": json.dumps(PLACE)}
                for name in TOOLS
            ),
            *({"type": "function_call_output", "call_id": name, "output": f"{name}: 22"} for name in TOOLS),
            said("It is 22."),
            {"role": "user", "content": LAST},
        ],
        "tools": [
            {"type": "function", "name": name, "description": "d", "parameters": CITY} for name in TOOLS
        ],
        "max_output_tokens": 900,
        "reasoning": {"effort": "low"},
    }


def messages() -> Wire:
    look = [
        {"type": "text", "text": "Look"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
        },
    ]
    calls = [{"type": "tool_use", "id": name, "name": name, "input": PLACE} for name in TOOLS]
    results = [{"type": "tool_result", "tool_use_id": name, "content": f"{name}: 22"} for name in TOOLS]
    return {
        "system": [{"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": look},
            {"role": "assistant", "content": [{"type": "text", "text": "I call"}, *calls]},
            {"role": "user", "content": results},
            {"role": "assistant", "content": "It is 22."},
            {"role": "user", "content": LAST},
        ],
        "tools": [{"name": name, "description": "d", "input_schema": CITY} for name in TOOLS],
        "max_tokens": 900,
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
    }


def gemini() -> Wire:
    look = [
        {"text": "Look"},
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "application/pdf", "data": PDF}},
    ]
    calls = [{"functionCall": {"name": name, "args": PLACE}} for name in TOOLS]
    results = [{"functionResponse": {"name": name, "response": {"output": f"{name}: 22"}}} for name in TOOLS]
    declared = [{"name": name, "description": "d", "parametersJsonSchema": CITY} for name in TOOLS]
    return {
        "systemInstruction": {"parts": [{"text": RULES}]},
        "contents": [
            {"role": "user", "parts": look},
            {"role": "model", "parts": [{"text": "I call"}, *calls]},
            {"role": "user", "parts": results},
            {"role": "model", "parts": [{"text": "It is 22."}]},
            {"role": "user", "parts": [{"text": LAST}]},
        ],
        "tools": [{"functionDeclarations": declared}],
        "generationConfig": {"maxOutputTokens": 900, "thinkingConfig": {"thinkingLevel": "low"}},
    }


ASKED = {"C": chat(), "R": responses(), "A": messages(), "G": gemini()}
PATHS = {"C": "/v1/chat/completions", "R": "/v1/responses", "A": "/anthropic/v1/messages"}


class World:
    """A gateway with a provider of every dialect behind it, called after its code."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "bill.jsonl"
        at = ("--port", "0", "--speed", "0", "--log", str(self.log))
        self.simulator = live.Process(folder, "simulator", *at)
        # A caller of chat is passed on as he asks: functions while the model reasons, which it refuses there.
        live.post(self.simulator.port, "/simulator/profile", {"version_rules": False})
        rows = [live.config(dialect, self.simulator.port, [MODEL]) for dialect in CODES.values()]
        named = [row.replace('"agg"', f'"{code}"') for code, row in zip(CODES, rows, strict=True)]
        self.gateway = live.Gateway(folder, "".join(named))
        self.key = self.gateway.key()

    def answer(self, source: str, target: str, stream: bool) -> Answer:
        """What a caller of `source` is told by the provider of `target`."""
        body, name = dict(ASKED[source]), f"{target}/{MODEL}"
        if source == "G":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path = f"/gemini/v1beta/models/{quote(name, safe='')}:{verb}"
        else:
            path = PATHS[source]
            body |= {"model": name, "stream": stream}
        if not stream:
            body.pop("stream_options", None)
        got = live.post(self.gateway.port, path, body, self.key, {"anthropic-version": "2023-06-01"})
        assert got.status == 200, got.body
        raw = got.body.replace(b"\r\n", b"\n")
        whole = json.dumps(assembled(source, raw)).encode() if stream else raw
        return registry.get(CODES[source]).read_answer(whole)

    def billed(self) -> tuple[Wire, Wire]:
        """The usage in the provider's last bill, and in the ledger's last row."""
        bill = json.loads(live.lines(self.log)[-1])
        row = self.gateway.closes()[-1]
        assert row["usage_source"] == "reported"
        return bill["usage"], row["usage"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("directions"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.simulator.stop()


def said(answer: Answer) -> list[tuple[str, Any]]:
    """The texts and calls of an answer; ids are the vendor's own."""
    found: list[tuple[str, Any]] = []
    for part in answer.choices[0].parts:
        if isinstance(part, Text):
            found.append(("text", part.text))
        elif isinstance(part, ToolCall):
            found.append((part.name, json.loads(part.arguments)))
    return found


def totals(usage: Usage | Wire) -> tuple[int, ...]:
    """Prompt, cache reads, output and reasoning: what every dialect can tell. Gemini counts writes as
    prompt."""
    if isinstance(usage, Usage):
        return usage.prompt, usage.cache_read, usage.output, usage.reasoning
    prompt = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
    return sum(usage[name] for name in prompt), usage["cache_read"], usage["output"], usage["reasoning"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_all_are_told_the_same_and_billed_right(world: World, direction: str, stream: bool) -> None:
    source, target = direction.split(">")
    answer = world.answer(source, target, stream)
    bill, booked = world.billed()
    assert said(answer) == [
        ("text", "Simulated: calling get_weather, get_time."),
        *((name, {"city": "Oslo"}) for name in TOOLS),
    ]
    assert answer.choices[0].finish == "tool_calls"
    assert booked == {name: bill[name] for name in booked}
    assert answer.usage is not None
    assert totals(answer.usage) == totals(booked)
    if source in "CR":
        assert answer.created > 0
