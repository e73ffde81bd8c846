"""The Node SDKs, unmodified, with a provider of each dialect behind the gateway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from clients.world import World

STREAMED = "Simulated reply to “Tell me about refunds.”"
TICKET = {"category": "Billing", "reason": "simulated"}
HERE = Path(__file__).parent
Worlds = Callable[[str], World]


@pytest.fixture(scope="module", params=["openai_chat", "anthropic_messages", "openai_responses", "gemini"])
def world(request: pytest.FixtureRequest, worlds: Worlds) -> World:
    return worlds(request.param)


@pytest.mark.parametrize(
    ("script", "errors"),
    [
        (
            "official.mjs",
            {
                "chat": ["AuthenticationError", "invalid_api_key"],
                "messages": ["AuthenticationError", "authentication_error"],
                "responses": ["AuthenticationError", "invalid_api_key"],
            },
        ),
        (
            "vercel.mjs",
            dict.fromkeys(("responses", "chat", "messages", "gemini"), ["AI_APICallError", 401]),
        ),
    ],
)
def test_client(world: World, script: str, errors: dict[str, list[object]]) -> None:
    run = world.node(HERE / script)
    for surface, error in errors.items():
        seen = run.out[surface]
        assert seen["plain"] == "Billing", surface
        assert seen["usage"][1] == 2
        assert seen["stream"].startswith(STREAMED)
        assert seen["stream_usage"] > 20
        assert seen["tool"] == {"city": "Lyon"}
        assert "Rain in Lyon, 12 degrees" in seen["after_tool"]
        assert seen["structured"] == TICKET
        assert seen["wrong_key"] == error
    run.assert_billed()


def test_every_row_balances(world: World) -> None:
    assert world.gateway.verify() == ""
