"""Small things that a crossing must carry or name, in the chat and Anthropic dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.dialects.losses import Losses
from tierwise.errors import Overloaded, UpstreamStatus
from tierwise.nouns import (
    Answer,
    Ask,
    BlockStart,
    BlockStop,
    CacheMark,
    Choice,
    Delta,
    Media,
    Message,
    Model,
    OutputFormat,
    Reasoning,
    Started,
    Text,
    Tool,
)

CHAT, CLAUDE = registry.get("openai_chat"), registry.get("anthropic_messages")
GPT, SONNET = Model("p/g", "p", "gpt-5.6"), Model("p/c", "p", "claude-sonnet-4-6")
HELLO = Message("user", (Text("hello"),))


def sent(target: Any, model: Model, *messages: Message, **more: Any) -> tuple[dict[str, Any], list[str]]:
    ask = Ask("gemini", "", messages or (HELLO,), max_output=9, **more)
    out = target.write_request(ask, model)
    return json.loads(out.body), [loss.name for loss in out.losses]


def test_a_tools_own_members_are_named() -> None:
    losses = Losses()
    losses.tool(Tool("f", raw={"defer_loading": True}, dialect="anthropic_messages"))
    losses.tool(
        Tool("s__g", raw={"namespace": {"name": "s"}, "tool": {"name": "g", "type": "function", "x": 1}})
    )
    losses.tool(Tool("plain"))
    assert [loss.name for loss in losses.tuple()] == ["opaque.tool.defer_loading", "opaque.tool.x"]


@pytest.mark.parametrize(
    ("asked", "to_chat", "to_claude"),
    [("flex", "flex", None), ("priority", "priority", None), ("standard", "default", "standard_only")],
)
def test_geminis_service_tiers(asked: str, to_chat: str, to_claude: str | None) -> None:
    body, losses = sent(CHAT, GPT, service_tier=asked)
    assert (body["service_tier"], losses) == (to_chat, [])
    body, losses = sent(CLAUDE, SONNET, service_tier=asked)
    assert body.get("service_tier") == to_claude
    assert losses == ([] if to_claude else ["service_tier"])


def test_four_breakpoints_at_most_and_which() -> None:
    marked = Message("user", tuple(Text(f"t{i}", CacheMark("5m")) for i in range(6)))
    body, losses = sent(CHAT, GPT, marked)
    kept = [p["text"] for p in body["messages"][0]["content"] if "prompt_cache_breakpoint" in p]
    assert kept == ["t0", "t3", "t4", "t5"]
    assert losses == ["cache.more_than_4"]


def test_a_document_without_a_name_gets_one_of_its_type() -> None:
    body, _ = sent(CHAT, GPT, Message("user", (Media("document", "base64", "QQ==", "text/csv"),)))
    assert body["messages"][0]["content"][0]["file"]["filename"] == "document.csv"


def test_a_schemas_name_is_its_title() -> None:
    form = OutputFormat("json_schema", "town", {"type": "object", "additionalProperties": False})
    body, losses = sent(CLAUDE, SONNET, output=form)
    assert body["output_config"]["format"]["schema"]["title"] == "town"
    assert losses == []


def test_a_summary_of_no_thinking_is_named() -> None:
    body, losses = sent(CLAUDE, SONNET, reasoning=Reasoning(summary="auto"))
    assert "thinking" not in body
    assert losses == ["thinking.summary"]


@pytest.mark.parametrize(("wait", "told"), [(7.0, b"7"), (0.2, b"1"), (300.0, None), (None, None)])
def test_a_short_retry_after_is_told(wait: float | None, told: bytes | None) -> None:
    error = UpstreamStatus(429, "slow", "", b"")
    error.retry_after_s = wait
    _, headers, _ = CHAT.write_error(error, "r")
    assert dict(headers).get(b"retry-after") == told


@pytest.mark.parametrize("name", registry.NAMES)
def test_an_overload_tells_its_wait_to_the_millisecond(name: str) -> None:
    told = dict(registry.get(name).write_error(Overloaded("full", "", 1.234), "r")[1])
    assert (told[b"retry-after"], told[b"retry-after-ms"]) == (b"2", b"1234")


@pytest.mark.parametrize(
    ("tier", "shown", "losses"), [("default", "standard", []), ("flex", None, ["answer.usage"])]
)
def test_the_tier_that_billed_in_anthropics_words(tier: str, shown: str | None, losses: list[str]) -> None:
    answer = Answer("x", "m", (Choice((Text("hi"),)),), service_tier=tier)
    out = CLAUDE.write_answer(answer, Ask("anthropic_messages", "m", (HELLO,)))
    assert json.loads(out.body)["usage"].get("service_tier") == shown
    assert [loss.name for loss in out.losses] == losses


def test_media_in_a_streamed_answer_is_named() -> None:
    writer = CLAUDE.writer(Ask("anthropic_messages", "m", (HELLO,)))
    for event in (Started("x", "m"), BlockStart(0, "opaque", Media("image", "base64", "QQ==")), BlockStop(0)):
        writer.write(event)
    assert [loss.name for loss in writer.losses] == ["media.output"]


def test_deltas_written_at_once_are_those_written_in_turn() -> None:
    """The first of two blocks is written as it comes; the second waits for it, and then catches up."""
    ask = Ask("anthropic_messages", "m", (HELLO,))
    writer = CLAUDE.writer(ask)
    head = b"".join(
        writer.write(e) for e in (Started("x", "m"), BlockStart(0, "text"), BlockStart(1, "text"))
    )
    assert b"content_block" not in head
    assert b'"index":0' in writer.write(Delta(0, "a"))
    assert writer.write(Delta(1, "é")) == b""
    told = writer.write(Delta(0, '"b'))
    assert told == (
        b"event: content_block_delta\n"
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\"b"}}\n\n'
    )
    assert '"index":1,"delta":{"type":"text_delta","text":"é"}'.encode() in writer.write(BlockStop(0))
    assert writer.write(Delta(0, "late")) == b""


def test_a_cache_breakpoints_own_members_travel_within_the_dialect() -> None:
    control = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    tool = {"name": "f", "input_schema": {"type": "object"}, "cache_control": control}
    parts = [{"type": "text", "text": "hi", "cache_control": control}]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": parts}], "tools": [tool]}
    ask = CLAUDE.read_request(json.dumps(body).encode(), {})
    own = json.loads(CLAUDE.write_request(ask, SONNET).body)
    assert own["messages"][0]["content"][0]["cache_control"] == control
    assert own["tools"][0]["cache_control"] == control
    names = {loss.name for loss in CHAT.write_request(ask, GPT).losses}
    assert {"opaque.text.cache_control", "opaque.tool.cache_control"} <= names


_NOW = "Wed, 31 Dec 2025 23:59:30 GMT"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT", "date": _NOW}, 30),
        ({"retry-after": "Thursday, 01-Jan-26 00:00:00 GMT", "date": _NOW}, 30),
        ({"retry-after": "Thu Jan  1 00:00:00 2026", "date": _NOW}, 30),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:00 +0100", "date": _NOW}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": _NOW}, 251_635_075_229),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"}, None),
        ({"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT", "date": "today"}, None),
        ({"retry-after": "Thu, 99 Jan 99999999999 00:00:00 GMT", "date": _NOW}, None),
        ({"retry-after": "soon", "date": _NOW}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("dialect", ["openai_chat", "openai_responses", "anthropic_messages", "gemini"])
def test_a_providers_wait_in_every_form(dialect: str, said: dict[str, str], seconds: float | None) -> None:
    error = registry.get(dialect).read_error(429, said, b"{}")
    assert error.retry_after_s == seconds
