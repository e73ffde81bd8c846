"""What a call reserves is what it may cost, however its limit is written and whoever writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import live
import provider

MODEL, PROMPT, OUT = "agg/openai/gpt-5.4", 2 * 2_500_000, 15_000_000
LONGEST = 4096 * OUT
"""Where no limit is known: 4,096 tokens."""
EXTRA = """
[[tier]]
name = "set"
model = "agg/openai/gpt-5.4"
settings = { max_tokens = 4000 }
[[tier]]
name = "fast"
model = "agg/openai/gpt-5.4"
settings = { service_tier = "priority" }
[[tier]]
name = "plain"
model = "agg/openai/gpt-5.4"
[task.short]
ladder = ["plain"]
max_output_tokens = 100
"""
Told = tuple[str, dict[str, Any]]


def chat(model: str = MODEL, **more: Any) -> Told:
    return "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


def google(config: dict[str, Any], model: str = MODEL, **more: Any) -> Told:
    body = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": config, **more}
    return f"/gemini/v1beta/models/{model.replace('/', '%2F')}:generateContent", body


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[provider.Provider, live.Gateway, str]]:
    upstream = provider.Provider(lambda _sent: [provider.whole(200, provider.chat())])
    toml = live.config("openai_chat", upstream.port, ["openai/gpt-5.4"], extra=EXTRA)
    gateway = live.Gateway(tmp_path_factory.mktemp("reserved"), toml)
    yield upstream, gateway, gateway.key()
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    upstream.close()


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (chat(max_tokens=7), 7 * OUT),
        (chat(), LONGEST),
        (chat(max_tokens=-1), LONGEST),  # "without end" to some servers
        (chat(max_tokens=90, max_completion_tokens=7), 90 * OUT),
        (chat(max_tokens=7, max_completion_tokens=90, n=3), 3 * 90 * OUT),
        (chat(max_tokens=-1, max_completion_tokens=7), LONGEST),
        (google({"maxOutputTokens": 7, "max_output_tokens": 90}), 90 * OUT),
        (google({"maxOutputTokens": 7}, generation_config={"maxOutputTokens": 90}), 90 * OUT),
        (google({"maxOutputTokens": -1}), LONGEST),
        (chat("tier/set", max_tokens=7), 4000 * OUT),
        (chat("tier/fast", max_tokens=7), PROMPT + 2 * 7 * OUT),
    ],
    ids=str,
)
def test_what_a_call_may_cost_is_reserved(world: Any, told: Told, answer: int) -> None:
    _, gateway, key = world
    got = live.post(gateway.port, *told, key)
    assert got.status == 200, got.body
    exchange = got.headers["x-tierwise-exchange"]
    (row,) = [row for row in gateway.rows() if row["event"] == "open" and row["exchange"] == exchange]
    # Some writers of Gemini's words need more bytes for as short a prompt.
    assert answer + PROMPT / 2 <= row["reserved_pico"] <= answer + 10 * PROMPT
    if told[0] == chat()[0]:
        assert row["reserved_pico"] == answer + PROMPT
        quote = live.post(gateway.port, "/v1/quote", told[1], key).json()
        (chosen,) = [each for each in quote["tiers"] if each["chosen"]]
        assert chosen["high_pico"] == answer + PROMPT


@pytest.mark.parametrize(
    "limits", [{"max_tokens": -1}, {"max_tokens": None, "max_completion_tokens": -5}], ids=str
)
def test_a_tasks_bound_replaces_a_limit_that_is_none(world: Any, limits: dict[str, Any]) -> None:
    upstream, gateway, key = world
    assert live.post(gateway.port, *chat("task/short", **limits), key).status == 200
    sent = json.loads(upstream.sent[-1].body)
    assert {name: sent[name] for name in sent if name.startswith("max_")} == {"max_completion_tokens": 100}
    for told in (
        chat("task/short", max_tokens=101, max_completion_tokens=7),
        google({"maxOutputTokens": 101}, "task/short"),
    ):
        assert live.post(gateway.port, *told, key).status == 400


def test_no_limit_takes_tokens_off_what_a_key_has_used(world: Any) -> None:
    _, gateway, _ = world
    key = gateway.key("--tpm", "2000")
    statuses = [live.post(gateway.port, *chat(max_tokens=-(10**6)), key).status for _ in range(4)]
    assert (statuses[0], statuses[-1]) == (200, 429)
