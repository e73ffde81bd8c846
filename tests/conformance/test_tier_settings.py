"""A tier's settings as its provider gets them: numbers as numbers, and nothing of the caller's but what they
name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import live
import provider

TIERS = """
[[provider]]
name = "google"
dialect = "gemini"
base_url = "http://127.0.0.1:{port}"
models = ["gem"]
[[tier]]
name = "warm"
model = "agg/gpt"
settings = {{ temperature = 0.25, max_completion_tokens = 77, logit_bias = {{ "50256" = -1.5 }} }}
[[tier]]
name = "gem"
model = "google/gem"
settings = {{ generationConfig = {{ temperature = 0.25, maxOutputTokens = 77 }} }}
[[tier]]
name = "reasoner"
model = "agg/mine"
[[tier]]
name = "openai"
model = "agg/gpt-5.6"
[[model]]
name = "agg/mine"
sampling = false
[[price]]
model = "gem"
input = 1
output = 1
"""


GEMINI = {"candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}]}


def answer(sent: provider.Sent) -> list[bytes]:
    google = sent.path.endswith(":generateContent")
    return [provider.whole(200, GEMINI if google else provider.chat())]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[provider.Provider, live.Gateway, str]]:
    upstream = provider.Provider(answer)
    toml = live.config(
        "openai_chat", upstream.port, ["gpt", "mine", "gpt-5.6"], extra=TIERS.format(port=upstream.port)
    )
    gateway = live.Gateway(tmp_path_factory.mktemp("settings"), toml)
    yield upstream, gateway, gateway.key()
    assert gateway.stop() == 0
    upstream.close()


def sent(world: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
    upstream, gateway, key = world
    live.post(gateway.port, path, body, key)
    got: dict[str, Any] = json.loads(upstream.sent[-1].body)
    return got


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "tier/warm", "messages": [{"role": "user", "content": "hi"}], **more}


def test_a_number_with_a_point_is_sent_as_a_number(world: Any) -> None:
    got = sent(world, "/v1/chat/completions", chat())
    assert got["temperature"] == 0.25
    assert got["logit_bias"] == {"50256": -1.5}


@pytest.mark.parametrize("word", ["max_tokens", "max_completion_tokens"])
def test_the_tiers_limit_is_the_only_one(world: Any, word: str) -> None:
    got = sent(world, "/v1/chat/completions", chat(**{word: 500}, top_p=0.5))
    assert {name: value for name, value in got.items() if "tokens" in name} == {"max_completion_tokens": 77}
    assert got["top_p"] == 0.5


@pytest.mark.parametrize("name", ["generationConfig", "generation_config"])
def test_what_a_gemini_tier_does_not_set_stays_the_callers(world: Any, name: str) -> None:
    limit = "max_output_tokens" if "_" in name else "maxOutputTokens"
    config = {"stopSequences": ["END"], limit: 5, "topP": 0.5}
    body = {"contents": [{"parts": [{"text": "hi"}]}], name: config}
    got = sent(world, "/gemini/v1beta/models/tier%2Fgem:generateContent", body)
    wanted = {"stopSequences": ["END"], "topP": 0.5, "temperature": 0.25, "maxOutputTokens": 77}
    assert got[name] == wanted
    assert ("generationConfig" in got) == (name == "generationConfig")


def test_what_a_caller_of_another_dialect_said_reaches_a_gemini_tier(world: Any) -> None:
    body = chat(stop=["END"], max_tokens=5, top_p=0.5) | {"model": "tier/gem"}
    got = sent(world, "/v1/chat/completions", body)["generationConfig"]
    assert got == {"stopSequences": ["END"], "topP": 0.5, "temperature": 0.25, "maxOutputTokens": 77}


def test_what_a_model_lacks_is_all_that_changes(world: Any) -> None:
    """Within one dialect: the caller's own word for the limit, and no usage that nobody asked for."""
    asked = {"temperature": 0.5, "max_completion_tokens": 9, "stream": True}
    got = sent(world, "/v1/chat/completions", chat(**asked) | {"model": "tier/reasoner"})
    assert got == chat(max_completion_tokens=9, stream=True) | {"model": "mine"}
    got = sent(
        world, "/v1/chat/completions", chat(temperature=0.5, max_tokens=9) | {"model": "tier/reasoner"}
    )
    assert got == chat(max_tokens=9) | {"model": "mine"}


def test_a_limit_reaches_openais_models_that_reason_in_the_word_they_take(world: Any) -> None:
    """They answer 400 to `max_tokens`, which a caller who leaves the model to us cannot know."""
    limits = {"max_tokens": 9, "top_p": 1}
    got = sent(world, "/v1/chat/completions", chat(**limits) | {"model": "tier/openai"})
    assert got == chat(max_completion_tokens=9, top_p=1) | {"model": "gpt-5.6"}
    both = sent(
        world, "/v1/chat/completions", chat(max_completion_tokens=7, **limits) | {"model": "tier/openai"}
    )
    assert both == chat(max_completion_tokens=7, top_p=1) | {"model": "gpt-5.6"}
    told = [{"role": "user", "content": 'what is "max_tokens"?'}]
    assert sent(world, "/v1/chat/completions", {"model": "tier/openai", "messages": told})["messages"] == told
    named = sent(world, "/v1/chat/completions", chat(**limits) | {"model": "agg/gpt-5.6"})
    assert named == chat(**limits) | {"model": "gpt-5.6"}  # served as asked


def test_tools_work_on_a_tier_of_openais_that_takes_them_without_reasoning_only(world: Any) -> None:
    upstream, gateway, key = world
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    got = sent(world, "/v1/chat/completions", chat(tools=tools) | {"model": "tier/openai"})
    assert got == chat(tools=tools, reasoning_effort="none") | {"model": "gpt-5.6"}
    asked = {"model": "tier/openai", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    tool = {"name": "f", "input_schema": {"type": "object"}}
    effort = {"output_config": {"effort": "high"}, "tools": [tool]}
    reply = live.post(gateway.port, "/anthropic/v1/messages", {**asked, **effort}, key)
    assert json.loads(upstream.sent[-1].body)["reasoning_effort"] == "none"
    assert "thinking.effort" in reply.headers["x-tierwise-losses"]
