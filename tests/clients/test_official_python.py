"""The official Python SDKs, old and new, unmodified, with a provider of each dialect behind the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import live
from clients.world import Run, World

TICKET = {"category": "Billing", "reason": "simulated"}
DIALECTS = ["openai_chat", "anthropic_messages", "openai_responses", "gemini"]
RUNS = [("clients-new", dialect) for dialect in DIALECTS] + [
    ("clients-old", dialect) for dialect in DIALECTS[:2]
]
Worlds = Callable[[str], World]


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def tried(request: pytest.FixtureRequest, worlds: Worlds) -> tuple[Run, World]:
    environment, dialect = request.param
    world = worlds(dialect)
    return world.run(environment, "official"), world


@pytest.fixture
def run(tried: tuple[Run, World]) -> Run:
    return tried[0]


def test_chat_completions(run: Run) -> None:
    out = run.out
    assert out["chat"] == "Billing"
    assert out["chat_stream"].startswith("Simulated reply to “Tell me about refunds.”")
    assert out["chat_stream_usage"] == 60
    assert out["chat_tool"] == ["get_weather", ["city"]]
    assert "Rain, 12 degrees" in out["chat_after_tool"]
    assert out["chat_parsed"] == TICKET


def test_messages(run: Run) -> None:
    out = run.out
    assert out["messages"] == "Billing"
    assert out["messages_stream"].startswith("Simulated reply to “Tell me about refunds.”")
    assert (out["messages_stream_stop"], out["messages_stream_usage"]) == ("max_tokens", 60)
    assert out["messages_tool"] == ["get_weather", ["city"], "tool_use"]
    assert "Rain, 12 degrees" in out["messages_after_tool"]
    assert out["messages_parsed"] == TICKET


def test_errors_are_the_clients_own(run: Run) -> None:
    assert run.out["messages_unknown"] == "not_found_error"
    assert run.out["chat_wrong_key"] == "invalid_api_key"
    assert run.out["messages_wrong_key"] == "authentication_error"


def test_models(run: Run) -> None:
    assert {f"agg/{name}" for name in live.MODELS} <= set(run.out["models"])
    assert run.out["claude_models"] == run.out["models"]


def test_second_call_is_read_from_the_prompt_cache(run: Run) -> None:
    assert run.out["cache_read"] > 4000
    assert any(row["usage"]["cache_read"] == run.out["cache_read"] for row in run.closes)


@pytest.mark.parametrize(("environment", "dialect"), [*RUNS[:4], ("clients-old", "openai_responses")])
def test_responses(worlds: Worlds, environment: str, dialect: str) -> None:
    run = worlds(dialect).run(environment, "openai_responses")
    out = run.out
    assert (out["plain"], out["status"]) == ("Billing", "completed")
    assert out["stream"].startswith("Simulated reply to “Tell me about refunds.”")
    assert out["stream_kinds"][0] == "response.created"
    assert out["stream_kinds"][-1] == "response.completed"
    assert out["tool"] == out["streamed_tool"] == ["get_weather", {"city": "Lyon"}]
    assert "Rain, 12 degrees" in out["after_tool"]
    assert out["structured"] == TICKET
    assert (out["wrong_key"], out["unknown"]) == ("invalid_api_key", "model_not_found")
    run.assert_billed()


@pytest.mark.parametrize("dialect", ["gemini", "openai_chat", "anthropic_messages"])
def test_google_genai(worlds: Worlds, dialect: str) -> None:
    run = worlds(dialect).run("clients-new", "google_genai")
    out: dict[str, Any] = run.out
    assert out["plain"] == "Billing"
    assert out["stream"].startswith("Simulated reply to “Tell me about refunds.”")
    assert out["stream_end"] == "STOP"
    assert out["tool"] == ["get_weather", {"city": "Lyon"}]
    assert out["streamed_tool"] == [{"city": "Lyon"}]
    assert "Rain, 12 degrees" in out["after_tool"]
    assert "Rain in Lyon, 12 degrees" in out["automatic_tool"]
    assert out["structured"] == TICKET
    assert (out["wrong_key"], out["unknown"]) == ([401, "UNAUTHENTICATED"], [404, "NOT_FOUND"])
    assert f"models/agg/{live.MODELS[0]}" in out["models"]
    run.assert_billed()


def test_ledger_equals_the_providers_own_bill(run: Run) -> None:
    run.assert_billed()


def test_what_the_clients_read_is_what_was_booked(run: Run) -> None:
    first = run.closes[0]["usage"]
    prompt = sum(first[bucket] for bucket in ("input", "cache_read", "cache_write_5m", "cache_write_1h"))
    assert run.out["chat_usage"] == [prompt, first["output"]]
