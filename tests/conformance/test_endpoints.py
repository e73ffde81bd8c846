"""Every endpoint of the data plane before a simulator of each dialect: answers, rows, the provider's bill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live

HELLO = [{"role": "user", "content": "Tell me about refunds."}]
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 60}),
    "messages": ("/anthropic/v1/messages", {"messages": HELLO, "max_tokens": 60}),
    "responses": ("/v1/responses", {"input": "Tell me about refunds.", "max_output_tokens": 60}),
    "gemini": (
        "/gemini/v1beta/models/tier/haiku:generateContent",
        {"contents": [{"role": "user", "parts": [{"text": "Tell me about refunds."}]}]},
    ),
}
EMBEDDER = '[[price]]\nmodel = "embedder"\ninput = "0.02"\noutput = "0"\n'


class World:
    def __init__(self, folder: Path, dialect: str) -> None:
        self.dialect = dialect
        self.log = folder / "bill.jsonl"
        self.simulator = live.Process(
            folder, "simulator", "--port", "0", "--speed", "0", "--log", str(self.log)
        )
        models = [*live.MODELS, "embedder"]
        self.gateway = live.Gateway(folder / "g", live.config(dialect, self.simulator.port, models, EMBEDDER))
        self.key = self.gateway.key()

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> live.Got:
        version = {"anthropic-version": "2023-06-01"} if path.startswith("/anthropic") else {}
        return live.post(self.gateway.port, path, body, self.key, version | (headers or {}))


@pytest.fixture(scope="module", params=list(live.BASES))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp(request.param), request.param)
    yield world
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0
    world.simulator.stop()


def body_of(kind: str, **more: Any) -> tuple[str, dict[str, Any]]:
    path, body = REQUESTS[kind]
    return path, {**({} if kind == "gemini" else {"model": "tier/haiku"}), **body, **more}


def told_id(kind: str, got: live.Got) -> str:
    """The request's id as the vendor's SDK shows it."""
    return got.headers["request-id" if kind == "messages" else "x-request-id"]


@pytest.mark.parametrize("kind", list(REQUESTS))
def test_all_sixteen_directions_plain(world: World, kind: str) -> None:
    path, body = body_of(kind)
    got = world.post(path, body)
    assert got.status == 200, got.body
    row = world.gateway.closes()[-1]
    assert row["exchange"] == got.headers["x-tierwise-exchange"]
    if row["dialect_in"] != world.dialect:
        assert told_id(kind, got) == row["exchange"]
    assert (row["outcome"], row["usage_source"], row["dialect_out"]) == ("ok", "reported", world.dialect)
    billed = json.loads(world.log.read_text().splitlines()[-1])["usage"]
    assert {name: row["usage"][name] for name in billed} == billed


@pytest.mark.parametrize("kind", list(REQUESTS))
def test_all_sixteen_directions_streamed(world: World, kind: str) -> None:
    path, body = body_of(kind, **({} if kind == "gemini" else {"stream": True}))
    if kind == "chat":
        body["stream_options"] = {"include_usage": True}
    if kind == "gemini":
        path = path.replace(":generateContent", ":streamGenerateContent?alt=sse")
    got = world.post(path, body)
    assert got.status == 200, got.body
    assert "text/event-stream" in got.headers["content-type"]
    assert got.headers["x-accel-buffering"] == "no"
    ends = {
        "chat": "[DONE]",
        "messages": "message_stop",
        "responses": "response.completed",
        "gemini": "finishReason",
    }
    last = [line for line in got.body.decode().splitlines() if line.startswith("data:")][-1]
    assert ends[kind] in last or '"response.incomplete"' in last
    row = world.gateway.closes()[-1]
    if row["dialect_in"] != world.dialect:
        assert told_id(kind, got) == row["exchange"]
    assert (row["outcome"], row["usage_source"], row["stream"]) == ("ok", "reported", True)
    billed = json.loads(world.log.read_text().splitlines()[-1])["usage"]
    assert {name: row["usage"][name] for name in billed} == billed


def test_gemini_stream_as_an_array(world: World) -> None:
    path, body = body_of("gemini")
    got = world.post(path.replace(":generateContent", ":streamGenerateContent"), body)
    assert "application/json" in got.headers["content-type"]
    elements = got.json()
    assert elements[-1]["candidates"][0]["finishReason"]
    assert world.gateway.closes()[-1]["outcome"] == "ok"


def test_gemini_lists_models_under_each_of_its_prefixes(world: World) -> None:
    key = {"x-goog-api-key": world.key}
    paths = ["/gemini/v1beta/models", "/gemini/v1/models", "/gemini/models"]
    lists = [live.request(world.gateway.port, "GET", path, headers=key) for path in paths]
    assert [got.status for got in lists] == [200, 200, 200]
    assert lists[0].json()["models"]
    assert lists[0].body == lists[1].body == lists[2].body


@pytest.mark.parametrize(
    ("method", "path", "said"),
    [
        ("POST", "/v1/assistants", "anything else"),
        ("POST", "/v1/audio/speech", "anything else"),
        ("GET", "/v1/realtime", "anything else"),
        ("GET", "/gemini/v1beta/files", "anything else"),
        ("POST", "/assistants", "Base URLs"),
        ("POST", "/v1/v1/messages", "Base URLs"),
    ],
)
def test_what_is_not_offered_is_told_from_a_wrong_base_url(
    world: World, method: str, path: str, said: str
) -> None:
    got = live.request(world.gateway.port, method, path, b"{}", {"x-goog-api-key": world.key})
    assert got.status == 404
    assert f"Nothing answers {method} {path}. " in got.json()["error"]["message"]
    assert said in got.json()["error"]["message"]


def test_embeddings(world: World) -> None:
    got = world.post("/v1/embeddings", {"model": "embedder", "input": ["hello world", "good bye"]})
    if not world.dialect.startswith("openai"):
        assert got.status == 400
        assert "embeddings" in got.json()["error"]["message"]
        return
    assert got.status == 200, got.body
    assert len(got.json()["data"]) == 2
    row = world.gateway.closes()[-1]
    assert row["usage"]["input"] == got.json()["usage"]["prompt_tokens"]
    assert row["cost_pico"] == row["usage"]["input"] * 20_000
    coded = world.post("/v1/embeddings", {"model": "embedder", "input": "hello", "encoding_format": "base64"})
    assert isinstance(coded.json()["data"][0]["embedding"], str)


def test_counting_is_asked_or_estimated_and_marked(world: World) -> None:
    rows = len(world.gateway.rows())
    text = [{"role": "user", "content": "count these words, please " * 40}]
    got = world.post("/anthropic/v1/messages/count_tokens", {"model": "tier/haiku", "messages": text})
    assert got.status == 200, got.body
    tokens = got.json()["input_tokens"]
    assert 150 < tokens < 700
    assert ("x-tierwise-estimate" in got.headers) == (world.dialect != "anthropic_messages")
    other = world.post("/v1/responses/input_tokens", {"model": "tier/haiku", "input": text[0]["content"]})
    assert 150 < other.json()["input_tokens"] < 700
    path = "/gemini/v1beta/models/tier/haiku:countTokens"
    third = world.post(path, {"contents": [{"role": "user", "parts": [{"text": text[0]["content"]}]}]})
    assert 150 < third.json()["totalTokens"] < 700
    assert len(world.gateway.rows()) == rows


def test_a_session_with_a_warm_cache_stays_on_its_tier(world: World) -> None:
    if world.dialect != "anthropic_messages":
        pytest.skip("breakpoints warm a cache only at Anthropic's")
    system = [{"type": "text", "text": "rule " * 6000, "cache_control": {"type": "ephemeral"}}]
    body = {"max_tokens": 20, "system": system, "messages": HELLO}
    session = {"x-tierwise-session": "s-1"}
    first = world.post("/anthropic/v1/messages", {"model": "task/classification", **body}, session)
    assert first.headers["x-tierwise-tier"] == "haiku"
    second = world.post("/anthropic/v1/messages", {"model": "task/coding", **body}, session)
    assert second.headers["x-tierwise-tier"] == "haiku"
    assert "session" in second.headers["x-tierwise-route"]
    asked = world.post("/anthropic/v1/messages", {"model": "tier/opus", **body}, session)
    assert asked.headers["x-tierwise-tier"] == "opus"
    free = world.post(
        "/anthropic/v1/messages", {"model": "task/coding", **body}, {"x-tierwise-session": "s-2"}
    )
    assert free.headers["x-tierwise-tier"] == "sonnet"


def test_a_session_of_responses_without_a_name_stays_on_its_tier(world: World) -> None:
    asked: dict[str, Any] = {"store": False, "reasoning": {"effort": "low"}, "max_output_tokens": 60}
    begun = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": world.dialect}]
    more = [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes."}]},
        {"role": "user", "content": "And then?"},
    ]
    tiers = [
        world.post("/v1/responses", {"model": model, "input": items, **asked}).headers["x-tierwise-tier"]
        for model, items in (("task/summarization", begun), ("task/coding", [*begun, *more]))
    ]
    assert tiers == ["haiku", "haiku"]
