"""The Node SDKs, unmodified, with a provider of each dialect behind the gateway."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import live
from clients.world import World

STREAMED = "Simulated reply to “Tell me about refunds.”"
TICKET = {"category": "Billing", "reason": "simulated"}
SNIPPETS = re.findall(r"```js node\n(.*?)```", (live.ROOT / "docs/clients.md").read_text(), re.S)
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
            {key: ["AI_APICallError", 401] for key in ("responses", "chat", "messages", "gemini")},
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


def test_files_and_batches(worlds: Worlds) -> None:
    seen = worlds("anthropic_messages").node(HERE / "batches.mjs").out
    assert seen["chat"].keys() == seen["messages"].keys() == {"a", "b"}
    told = [*seen["chat"].values(), *seen["messages"].values()]
    assert all(text.startswith(STREAMED) for text in told)
    assert seen["counts"] == {"total": 2, "completed": 2, "failed": 0}
    assert (seen["listed"][0], seen["deleted"], seen["gone"]) == (True, True, "message_batch_deleted")


@pytest.mark.parametrize("code", SNIPPETS, ids=range(len(SNIPPETS)))
def test_a_snippet_of_the_docs_runs(worlds: Worlds, code: str) -> None:
    world = worlds("openai_chat")
    run = world.script("node", code.replace("127.0.0.1:4000", f"127.0.0.1:{world.port}"))
    assert run.status == 0
    assert run.out.strip()
    run.assert_billed()
