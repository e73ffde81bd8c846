"""`POST /v1/quote` and `usage: {"include": true}`: what a call may cost, and what it did cost."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.test_capped import DIALECTS, FRAMES
from tierwise.dialects import registry
from tierwise.nouns import UsageSeen

M = 10**6
CHAT, QUOTE = "/v1/chat/completions", "/v1/quote"
TEXT = "word " * 700
MODELS = [*live.MODELS, "nobody/knows"]


class World:
    """A gateway before one provider of each dialect, with tiers at the one that speaks OpenAI chat."""

    def __init__(self, folder: Path) -> None:
        self.provider = provider.Provider(self.answer)
        toml = live.each_dialect(self.provider.port, MODELS)
        toml += "".join(
            f'[[tier]]\nname = "{tier}"\nmodel = "openai_chat/{model}"\n'
            for tier, model in zip(("haiku", "sonnet", "opus", "dark"), MODELS, strict=True)
        )
        toml += (
            '[default]\nladder = ["haiku", "sonnet", "opus"]\n[task.coding]\ndefault_output_tokens = 300\n'
        )
        self.gateway = live.Gateway(folder, toml)
        self.key = self.gateway.key("--budget-usd", "2", "--project", "web")
        self.free = self.gateway.key()

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        dialect = sent.path.split("/")[1]
        if "stream" in sent.path or json.loads(sent.body).get("stream"):
            yield provider.stream_head()
            for frame in FRAMES[dialect](3):
                if dialect == "openai_chat" and b"[DONE]" in frame:
                    finish, _, done = frame.partition(b"data: [DONE]")
                    usage = {"prompt_tokens": 800, "completion_tokens": 50, "total_tokens": 850}
                    told = {"id": "chatcmpl-7", "choices": [], "usage": usage}
                    frame = finish + b"data: " + json.dumps(told).encode() + b"\n\ndata: [DONE]" + done
                yield provider.piece(frame[:30])
                yield provider.piece(frame[30:])
            yield provider.piece(b"")
        elif dialect == "anthropic_messages":
            yield provider.whole(200, provider.message())
        elif dialect == "openai_chat":
            yield provider.whole(200, provider.chat())
        else:
            reader = registry.get(dialect).reader()  # type: ignore[arg-type]
            assert reader is not None
            yield provider.whole(200, PLAIN[dialect])

    def quote(self, body: Any, **headers: str) -> Any:
        got = live.post(self.gateway.port, QUOTE, body, self.key, headers)
        assert got.status == 200, got.body
        return got.json()


PLAIN: dict[str, Any] = {
    "openai_responses": {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "output": [{
            "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": "Billing", "annotations": []}],
        }],
        "usage": {"input_tokens": 800, "output_tokens": 50, "total_tokens": 850},
    },
    "gemini": {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "Billing"}]}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 800, "candidatesTokenCount": 50, "totalTokenCount": 850},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("quote"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def test_a_quote_books_nothing_and_its_high_is_what_a_call_reserves(world: World) -> None:
    body = {"model": "tier/sonnet", "max_tokens": 100, "messages": [{"role": "user", "content": TEXT}]}
    sent, rows = len(world.provider.sent), len(world.gateway.rows())
    quote = world.quote(body)
    assert len(world.provider.sent) == sent
    assert len(world.gateway.rows()) == rows
    assert (quote["object"], quote["tier"], quote["dialect"]) == ("quote", "sonnet", "openai_chat")
    by_tier = {line["tier"]: line for line in quote["tiers"]}
    assert [tier for tier, line in by_tier.items() if line["chosen"]] == ["sonnet"]
    tokens = quote["prompt_tokens"]
    assert 800 < tokens < 1200
    for tier, fresh, out in (("haiku", 1, 5), ("sonnet", 3, 15), ("opus", 5, 25)):
        line = by_tier[tier]
        assert (line["low_pico"], line["high_pico"]) == (
            tokens * fresh * M,
            (tokens * fresh + 100 * out) * M,
        )
        assert Decimal(line["high_usd"]) * 10**12 == line["high_pico"]
        assert (line["output_tokens"], line["unpriced"]) == (100, "")
    dark = by_tier["dark"]
    assert (dark["low_pico"], dark["high_pico"], dark["low_usd"], dark["high_usd"]) == (None,) * 4
    assert "no price" in dark["unpriced"]
    (budget,) = quote["budgets"]
    assert budget["scope"].startswith("key:")
    assert budget["left_usd"] == "2.000000000000"
    got = live.post(world.gateway.port, CHAT, body, world.key)
    opened = next(r for r in world.gateway.rows() if r["exchange"] == got.headers["x-tierwise-exchange"])
    assert opened["reserved_pico"] == by_tier["sonnet"]["high_pico"]
    assert got.headers["x-tierwise-tier"] == "sonnet"


def test_a_pinned_model_stands_beside_the_tiers(world: World) -> None:
    body = {"model": "gemini/nobody/knows", "messages": [{"role": "user", "content": "hello"}]}
    quote = world.quote(body)
    (line,) = [line for line in quote["tiers"] if line["chosen"]]
    assert (line["tier"], line["model"]) == ("", "gemini/nobody/knows")
    assert line["unpriced"]


def test_every_dialect_is_quoted_by_its_body_or_its_name(world: World) -> None:
    words = {"role": "user", "content": TEXT}
    anthropic = {"model": "tier/haiku", "max_tokens": 100, "messages": [words]}
    bodies: dict[str, dict[str, Any]] = {
        "openai_chat": {"model": "tier/haiku", "max_tokens": 100, "messages": [words]},
        "anthropic_messages": anthropic,
        "openai_responses": {"model": "tier/haiku", "max_output_tokens": 100, "input": TEXT},
        "gemini": {
            "model": "tier/haiku", "generationConfig": {"maxOutputTokens": 100},
            "contents": [{"role": "user", "parts": [{"text": TEXT}]}],
        },
    }  # fmt: skip
    for dialect, body in bodies.items():
        quotes = [world.quote({"request": body, "dialect": dialect})]
        if dialect != "anthropic_messages":
            quotes += [world.quote(body), world.quote({"request": body})]
        for quote in quotes:
            assert (quote["dialect"], quote["tier"]) == (dialect, "haiku")
            assert 800 < quote["prompt_tokens"] < 1200
            assert quote["tiers"][0]["output_tokens"] == 100
    assert world.quote(anthropic, **{"anthropic-version": "2023-06-01"})["dialect"] == "anthropic_messages"


def test_a_tasks_expected_answer_bounds_a_quote(world: World) -> None:
    body = {"model": "task/coding", "messages": [{"role": "user", "content": "hello"}]}
    assert world.quote(body)["tiers"][0]["output_tokens"] == 300


def test_what_cannot_be_quoted_is_refused_in_the_callers_dialect(world: World) -> None:
    def refused(body: Any, key: str = world.key, **headers: str) -> live.Got:
        return live.post(world.gateway.port, QUOTE, body, key, headers)

    assert refused({"model": "x"}, key="wrong").status == 401
    assert refused(b"[1]").status == 400
    assert refused({"request": 3}).status == 400
    assert refused({"request": {"model": "a"}, "dialect": "morse"}).status == 400
    unknown = refused({"model": "tier/hiaku", "messages": [{"role": "user", "content": "x"}]})
    assert unknown.status == 404
    assert "haiku" in unknown.json()["error"]["message"]
    claude = refused({"model": "tier/haiku"}, **{"anthropic-version": "2023-06-01"})
    assert claude.json()["type"] == "error"


def ask(surface: str, served: str, stream: bool, **more: Any) -> tuple[str, dict[str, Any]]:
    model = f"{served}/{MODELS[0]}"
    if surface == "openai_responses":
        return "/v1/responses", {"model": model, "input": "hello", "stream": stream, **more}
    if surface == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/gemini/v1beta/models/{model}:{verb}", {"contents": [{"parts": [{"text": "hi"}]}], **more}
    path = CHAT if surface == "openai_chat" else "/anthropic/v1/messages"
    messages = [{"role": "user", "content": "hello"}]
    return path, {"model": model, "messages": messages, "max_tokens": 90, "stream": stream, **more}


def cost_of(body: bytes, stream: bool) -> list[str]:
    """The figures as they were written, every one."""
    return [found.decode() for found in re.findall(rb'"cost": ?([^,}\s]+)', body)]


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("served", DIALECTS)
@pytest.mark.parametrize("surface", DIALECTS)
def test_usage_says_its_cost_when_asked_and_only_then(
    world: World, surface: str, served: str, stream: bool
) -> None:
    path, body = ask(surface, served, stream, usage={"include": True})
    got = live.post(world.gateway.port, path, body, world.key)
    assert got.status == 200, got.body
    exchange = got.headers["x-tierwise-exchange"]
    row = next(row for row in world.gateway.closes() if row["exchange"] == exchange)
    (cost,) = cost_of(got.body, stream)
    assert Decimal(cost) * 10**12 == row["cost_pico"] > 0
    assert "e" not in cost.lower()
    assert "usage" not in json.loads(world.provider.sent[-1].body)
    if stream:
        reader = registry.get(surface).reader()  # type: ignore[arg-type]
        events = reader.feed(got.body) + reader.finish()
        assert any(isinstance(event, UsageSeen) for event in events)
    path, body = ask(surface, served, stream)
    unasked = live.post(world.gateway.port, path, body, world.key)
    assert cost_of(unasked.body, stream) == []
    if surface == served and not (stream and surface == "openai_chat"):
        # Nothing but the figure was added.
        assert re.sub(rb',? ?"cost": ?[^,}\s]+', b"", got.body) == unasked.body


def test_an_array_of_geminis_says_its_cost_once(world: World) -> None:
    path, body = ask("gemini", "gemini", True, usage={"include": True})
    got = live.post(world.gateway.port, path.removesuffix("?alt=sse"), body, world.key)
    told = [piece["usageMetadata"].get("cost") for piece in got.json() if "usageMetadata" in piece]
    row = next(r for r in world.gateway.closes() if r["exchange"] == got.headers["x-tierwise-exchange"])
    assert (told[:-1], Decimal(str(told[-1])) * 10**12) == ([None] * (len(told) - 1), row["cost_pico"])


def test_a_cost_that_is_not_known_is_null(world: World) -> None:
    path, body = ask("openai_chat", "openai_chat", False, usage={"include": True})
    got = live.post(world.gateway.port, path, {**body, "model": "openai_chat/nobody/knows"}, world.free)
    assert got.json()["usage"]["cost"] is None


def test_a_capped_stream_says_its_cost_too(world: World) -> None:
    path, body = ask("openai_chat", "openai_chat", True, usage={"include": True})
    got = live.post(world.gateway.port, path, body, world.key, {"x-tierwise-max-cost-usd": "1"})
    (cost,) = cost_of(got.body, True)
    row = next(r for r in world.gateway.closes() if r["exchange"] == got.headers["x-tierwise-exchange"])
    assert Decimal(cost) * 10**12 == row["cost_pico"] == (800 + 50 * 5) * M
