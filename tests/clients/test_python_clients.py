"""What people build on: each client unmodified, with either vendor's dialect behind the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clients.world import World

TICKET = {"category": "Billing", "reason": "simulated"}
STREAMED = "Simulated reply to “Tell me about refunds.”"
LYON = ["get_weather", {"city": "Lyon"}]
Worlds = Callable[[str], World]


@pytest.fixture(scope="module", params=["openai_chat", "anthropic_messages"])
def world(request: pytest.FixtureRequest, worlds: Worlds) -> World:
    return worlds(request.param)


def unasked(world: World, streams: int) -> int:
    """How many usages were never told: the client streams chat completions and does not ask for usage."""
    return streams if world.dialect == "openai_chat" else 0


def both(out: Any) -> list[dict[str, Any]]:
    """What the client saw through its OpenAI and its Anthropic side."""
    return [out["openai"], out["anthropic"]]


def test_langchain(world: World) -> None:
    run = world.run("clients-old", "langchain_both")
    for seen in both(run.out):
        assert seen["plain"] == "Billing"
        assert seen["stream"].startswith(STREAMED)
        assert seen["tool"] == LYON
        assert seen["streamed_tool"] == LYON[1]
        assert "Rain in Lyon, 12 degrees" in seen["after_tool"]
        assert seen["structured"] == TICKET
        assert seen["usage"]["output_tokens"] == 2
    assert run.out["openai"]["wrong_key"] == "OpenAIAuthenticationError"
    assert run.out["anthropic"]["wrong_key"] == "AnthropicAuthenticationError"
    assert run.out["anthropic"]["stream_usage"]["output_tokens"] > 20
    run.assert_billed(estimated=unasked(world, 2))


def test_instructor(world: World) -> None:
    run = world.run("clients-old", "instructor_both")
    for mode in ("tool_call", "json_schema_mode", "partial"):
        assert run.out["openai"][mode] == TICKET, mode
    for mode in ("anthropic_tools", "partial"):
        assert run.out["anthropic"][mode] == TICKET, mode
    assert "invalid_api_key" in run.out["openai"]["wrong_key"]
    assert "authentication_error" in run.out["anthropic"]["wrong_key"]
    run.assert_billed(estimated=unasked(world, 1))


def test_litellm(world: World) -> None:
    run = world.run("clients-litellm", "litellm_both")
    for seen in both(run.out):
        assert seen["plain"] == "Billing"
        assert seen["stream"].startswith(STREAMED)
        assert seen["stream_usage"] > 20
        assert seen["tool"] == LYON
        assert "Rain, 12 degrees" in seen["after_tool"]
        assert seen["structured"] == {"city": "Paris", "population": 0}
        assert seen["wrong_key"] == "AuthenticationError"
    run.assert_billed()


def test_llm(world: World) -> None:
    run = world.run("clients-llm", "llm_both")
    for seen in both(run.out):
        assert seen["plain"].startswith(STREAMED)
        assert seen["stream"].startswith(STREAMED)
        assert seen["stream_usage"][1] > 20
        assert "Rain in Lyon, 12 degrees" in seen["after_tool"]
        assert seen["wrong_key"][0] == 1
        assert "401" in seen["wrong_key"][1]
    # Its Anthropic plug-in shows no structured output of this model: it asks for a tool and hides its input.
    assert run.out["openai"]["structured"] == '{"city":"Paris","population":0}'
    run.assert_billed()


def test_pydantic_ai(world: World) -> None:
    run = world.run("clients-new", "pydantic_ai_all")
    for surface in ("openai", "responses", "anthropic", "gemini"):
        seen = run.out[surface]
        assert seen["plain"] == "Billing"
        assert seen["usage"][1] == 2
        assert seen["stream"].startswith(STREAMED)
        assert seen["tool"] == ["Lyon"]
        assert "Rain in Lyon, 12 degrees" in seen["after_tool"]
        assert seen["structured"] == TICKET
        assert seen["wrong_key"] == ["ModelAuthenticationError", 401]
    run.assert_billed()
