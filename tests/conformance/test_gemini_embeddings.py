"""Embeddings asked by Google's SDKs: `:embedContent` and `:batchEmbedContents`, which names models twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

CONTENT = {"role": "user", "parts": [{"text": "hello " * 100}]}
VECTORS = {"embeddings": [{"values": [0.5, 0.25]}, {"values": [1, 0]}]}
TOML = """
[[provider]]
name = "google"
dialect = "gemini"
base_url = "http://127.0.0.1:{port}"
key = "env:UPSTREAM_KEY"
models = ["gemini-embedding-001"]
[[provider]]
name = "chat"
dialect = "openai_chat"
base_url = "http://127.0.0.1:{port}/v1"
models = ["m"]
[[tier]]
name = "vectors"
model = "google/gemini-embedding-001"
[[price]]
model = "gemini-embedding-001"
input = "0.15"
output = "0"
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[provider.Provider, live.Gateway, str]]:
    vendor = provider.Provider(lambda _sent: [provider.whole(200, VECTORS)])
    gateway = live.Gateway(tmp_path / "g", TOML.format(port=vendor.port))
    yield vendor, gateway, gateway.key()
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    vendor.close()


def batch(model: str) -> dict[str, Any]:
    each = {"model": f"models/{model}", "content": CONTENT, "outputDimensionality": 2}
    return {"requests": [each, each]}


@pytest.mark.parametrize("model", ["google/gemini-embedding-001", "tier/vectors", "gemini-embedding-001"])
@pytest.mark.parametrize("version", ["v1beta", "v1"])
def test_a_batch_is_passed_on_with_the_models_own_name(world: Any, model: str, version: str) -> None:
    vendor, gateway, key = world
    got = live.post(
        gateway.port, f"/gemini/{version}/models/{model}:batchEmbedContents", batch(model), "",
        {"x-goog-api-key": key},
    )  # fmt: skip
    assert (got.status, got.json()) == (200, VECTORS)
    assert vendor.sent[-1].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert json.loads(vendor.sent[-1].body) == batch("gemini-embedding-001")
    assert vendor.sent[-1].headers["x-goog-api-key"] == "sk-upstream-canary"
    row = gateway.closes()[-1]
    assert (row["outcome"], row["usage_source"], row["usage"]["output"]) == ("ok", "estimated", 0)
    assert row["cost_pico"] == row["usage"]["input"] * 150_000 > 0


def test_one_text_with_the_usage_that_newer_models_tell(world: Any) -> None:
    vendor, gateway, key = world
    told = {"embedding": {"values": [1]}, "usageMetadata": {"promptTokenCount": 100}}
    vendor.script = lambda _sent: [provider.whole(200, told)]
    body = {"content": CONTENT, "taskType": "RETRIEVAL_QUERY"}
    got = live.post(gateway.port, "/gemini/v1beta/models/tier/vectors:embedContent", body, key)
    assert (got.status, got.json()) == (200, told)
    assert json.loads(vendor.sent[-1].body) == body
    row = gateway.closes()[-1]
    assert (row["usage_source"], row["usage"]["input"], row["cost_pico"]) == ("reported", 100, 15_000_000)


def test_what_cannot_be_served_is_told_in_googles_shape(world: Any) -> None:
    vendor, gateway, key = world
    path = "/gemini/v1beta/models/{}:batchEmbedContents"
    for model, body, word in (
        ("chat/m", batch("chat/m"), "speaks openai_chat"),
        ("tier/vectors", {"requests": 7}, "`requests`"),
        ("tier/vectors", [], "not understood"),
    ):
        got = live.post(gateway.port, path.format(model), body, key)
        assert (got.status, got.json()["error"]["status"]) == (400, "INVALID_ARGUMENT"), got.body
        assert word in got.json()["error"]["message"]
    assert vendor.sent == []
