"""A class of service that a caller asks for is in its budget: reserved at its price, refused without one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import live
import provider

PROMPT, OUT = 2 * 1_000_000, 10_000_000
"""What `hi` and a token of the answer cost."""
TOML = """
[[provider]]
name = "claude"
dialect = "anthropic_messages"
base_url = "http://127.0.0.1:{port}"
models = ["opus"]
[[provider]]
name = "gpt"
dialect = "openai_chat"
base_url = "http://127.0.0.1:{port}/v1"
models = ["large"]
[[tier]]
name = "home"
model = "claude/opus"
settings = {{ inference_geo = "us" }}
[[tier]]
name = "first"
model = "gpt/large"
settings = {{ service_tier = "priority" }}
[[price]]
model = "claude/opus"
input = 1
output = 10
service_tiers = {{ fast = 6 }}
[[price]]
model = "gpt/large"
input = 1
output = 10
service_tiers = {{ priority = 2 }}
"""
ANTHROPIC, CHAT = "/v1/messages", "/v1/chat/completions"


def answer(sent: provider.Sent) -> list[bytes]:
    """What a provider says that bills in the class it was asked for."""
    asked = json.loads(sent.body)
    if sent.path == ANTHROPIC:
        billed = {name: asked[name] for name in ("speed", "inference_geo") if name in asked}
        return [provider.whole(200, provider.message(**billed))]
    return [provider.whole(200, {**provider.chat(), "service_tier": asked.get("service_tier", "default")})]


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[provider.Provider, live.Gateway, str, str]]:
    upstream = provider.Provider(answer)
    gateway = live.Gateway(tmp_path_factory.mktemp("classes"), TOML.format(port=upstream.port))
    yield upstream, gateway, gateway.key(), gateway.key("--budget-usd", "1")
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    upstream.close()


def body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 7, "messages": [{"role": "user", "content": "hi"}], **more}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (ANTHROPIC, body("claude/opus", inference_geo="us")),
        (ANTHROPIC, body("claude/opus", speed="fast", inference_geo="us")),
        (ANTHROPIC, body("tier/home")),
        (CHAT, body("tier/home", service_tier="priority")),
        (CHAT, body("gpt/large", service_tier="flex")),
        (CHAT, body("gpt/large", service_tier="scale")),
    ],
    ids=str,
)
def test_no_class_without_a_price_passes_by_a_budget(world: Any, path: str, asked: dict[str, Any]) -> None:
    upstream, gateway, free, capped = world
    sent = len(upstream.sent)
    refused = live.post(gateway.port, path, asked, capped)
    assert refused.status == 402, refused.body
    assert "no price for service tier" in refused.json()["error"]["message"]
    again = live.post(gateway.port, path, asked, free, {"x-tierwise-max-cost-usd": "1"})
    assert (again.status, len(upstream.sent)) == (402, sent)
    assert live.post(gateway.port, path, asked, free).status == 200
    quote = live.post(gateway.port, "/v1/quote", {"request": asked, "dialect": _dialect(path)}, capped).json()
    (chosen,) = [each for each in quote["tiers"] if each["chosen"]]
    assert "no price for service tier" in chosen["unpriced"]


@pytest.mark.parametrize(
    ("path", "asked", "times"),
    [
        (ANTHROPIC, body("claude/opus", speed="fast"), 6),
        (ANTHROPIC, body("claude/opus", speed="standard", inference_geo="global"), 1),
        (ANTHROPIC, body("claude/opus", speed=None, inference_geo=7), 1),
        (CHAT, body("gpt/large", service_tier="priority"), 2),
        # What does not cross is not billed.
        (CHAT, body("claude/opus", service_tier="flex"), 1),
        (ANTHROPIC, body("gpt/large", inference_geo="us"), 1),
        (ANTHROPIC, body("tier/first", inference_geo="us"), 2),
    ],
    ids=str,
)
def test_a_class_is_reserved_at_its_price(world: Any, path: str, asked: dict[str, Any], times: int) -> None:
    _, gateway, _, capped = world
    got = live.post(gateway.port, path, asked, capped)
    assert got.status == 200, got.body
    exchange = got.headers["x-tierwise-exchange"]
    (row,) = [row for row in gateway.rows() if row["event"] == "open" and row["exchange"] == exchange]
    assert times * 7 * OUT < row["reserved_pico"] <= times * (7 * OUT + 8 * PROMPT)


def _dialect(path: str) -> str:
    return "anthropic_messages" if path == ANTHROPIC else "openai_chat"
