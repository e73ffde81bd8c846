"""Digests of prompts' beginnings: equal where calls could share a prompt cache, and only there."""

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.gateway.prefixes.prefix import LENGTH, Prefixes
from tierwise.nouns import Abilities

LONG = "Rule: answer politely. " * 300
ABLE = Abilities(prompt_cache=True, cache_minimum=1024)
PREFIXES = Prefixes(b"secret")


def digest(dialect: str, able: Abilities = ABLE, prefixes: Prefixes = PREFIXES, **body: Any) -> str:
    outline = registry.get(dialect).outline(json.dumps(body).encode())
    return prefixes.digest(outline, outline.prompt_bytes // 3, able)


def chat(system: str, *turns: str) -> dict[str, Any]:
    return {"model": "m", "messages": [
        {"role": "system", "content": system},
        *({"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)),
    ]}  # fmt: skip


def messages(system: Any, *turns: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "system": system, "messages": [
        {"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)
    ]}  # fmt: skip


def responses(system: str, *turns: str) -> dict[str, Any]:
    return {"model": "m", "instructions": system, "input": [
        {"role": ("user", "assistant")[i % 2], "content": turn} for i, turn in enumerate(turns)
    ]}  # fmt: skip


def gemini(system: str, *turns: str) -> dict[str, Any]:
    return {"systemInstruction": {"parts": [{"text": system}]}, "contents": [
        {"role": ("user", "model")[i % 2], "parts": [{"text": turn}]} for i, turn in enumerate(turns)
    ]}  # fmt: skip


SHAPES = [
    ("openai_chat", chat), ("anthropic_messages", messages), ("openai_responses", responses),
    ("gemini", gemini),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "body"), SHAPES)
def test_a_long_head_is_told_whatever_follows_and_a_short_one_with_its_first_turn(dialect, body) -> None:
    shared = digest(dialect, **body(LONG, "one"))
    assert len(shared) == LENGTH
    assert shared == digest(dialect, **body(LONG, "two", "yes", "three"))
    assert shared != digest(dialect, **body(LONG.replace("politely", "POLITELY", 1), "one"))
    first = digest(dialect, **body("Short.", LONG))
    assert first == digest(dialect, **body("Short.", LONG, "yes", "and now?"))
    assert (
        len({first, digest(dialect, **body("Short!", LONG)), digest(dialect, **body("Short.", LONG + "x"))})
        == 3
    )


@pytest.mark.parametrize(("dialect", "body"), SHAPES)
def test_what_no_model_would_cache_has_none(dialect, body) -> None:
    assert digest(dialect, **body("Short.", "one")) == ""
    assert digest(dialect, Abilities(prompt_cache=False), **body(LONG, "one")) == ""
    assert digest(dialect, Abilities(cache_minimum=100_000), **body(LONG, "one")) == ""
    assert digest(dialect, Abilities(), **body(LONG, "one")) != ""


def test_it_is_keyed() -> None:
    body = messages(LONG, "one")
    assert digest("anthropic_messages", prefixes=Prefixes(b"other"), **body) != digest(
        "anthropic_messages", **body
    )


def test_marks_that_clients_move_along_and_claude_codes_billing_line_do_not_count() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    text = {"type": "text", "text": LONG}
    marked = digest("anthropic_messages", **messages("Short.", [{**text, **mark}]))
    assert marked == digest("anthropic_messages", **messages("Short.", [text], "yes", [{**text, **mark}]))

    def billed(n: int) -> str:
        line = {"type": "text", "text": f"x-anthropic-billing-header: cch={n};"}
        return digest("anthropic_messages", **messages([line, text], "one"))

    assert billed(1) == billed(2)


def test_tools_count() -> None:
    def with_tool(name: str) -> str:
        tools = [{"name": name, "description": LONG, "input_schema": {"type": "object"}}]
        return digest("anthropic_messages", tools=tools, **messages("Short.", "one"))

    assert with_tool("f") == with_tool("f") != with_tool("g")
