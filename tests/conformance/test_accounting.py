"""Money is exact: every vector through the dialects and prices alone, and end to end through a gateway."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.vectors import DIALECTS, HAIKU, VECTORS, M, Vector, frames, plain
from tierwise.clock import now_us
from tierwise.config import model_at
from tierwise.costing import PricedModel
from tierwise.dialects import registry
from tierwise.nouns import Provider, Started, Usage, UsageSeen

CHAT, ANTHROPIC = "/v1/chat/completions", "/anthropic/v1/messages"
SURFACES = ("openai_chat", "anthropic_messages", "openai_responses", "gemini")
vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


def priced(vector: Vector) -> PricedModel:
    dialect: Any = DIALECTS[vector.provider]
    return PricedModel(model_at(Provider(vector.provider, dialect, "http://127.0.0.1:1"), vector.model))


@vectors
def test_a_plain_reply(vector: Vector) -> None:
    dialect = registry.get(DIALECTS[vector.provider])
    body = json.dumps(plain(vector)).encode()
    assert dialect.usage(body) == vector.expected
    assert dialect.read_answer(body).usage == vector.expected
    found = priced(vector).cost(vector.expected, now_us())
    assert found.pico == vector.pico
    assert vector.unpriced in found.unpriced
    assert bool(found.unpriced) == (vector.pico is None)


@vectors
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_stream_watched_as_bytes(vector: Vector, size: int) -> None:
    raw, tap = b"".join(frames(vector)), registry.get(DIALECTS[vector.provider]).tap()
    for at in range(0, len(raw), size):
        tap.feed(raw[at : at + size])
    assert tap.ended
    assert tap.usage == vector.expected


@vectors
def test_a_stream_read_as_events(vector: Vector) -> None:
    reader = registry.get(DIALECTS[vector.provider]).reader()
    usage = None
    for event in reader.feed(b"".join(frames(vector))) + reader.finish():
        if isinstance(event, UsageSeen) or (isinstance(event, Started) and event.usage is not None):
            usage = event.usage
    assert usage == vector.expected


BUGS = {
    "litellm#11364": "cached tokens priced as fresh",
    "litellm#33772": "cache writes dropped",
    "litellm#42663": "streamed 5m/1h split taken from message_start only",
    "bifrost#3451": "cache creation double-charged",
    "envoyproxy/ai-gateway#2290": "message_delta usage ignored",
    "litellm#35363": "batch booked at $0",
    "litellm#13810": "flex doubled",
    "litellm#37046": "missing price key silently default",
    "Portkey rewrites cache_control": "1h TTL dropped",
}
"""Where other gateways got money wrong, and what the vector that shows it is called."""


def test_every_bug_on_record_has_its_vector() -> None:
    assert set(BUGS.values()) <= {vector.bug for vector in VECTORS}


def test_embeddings_have_input_alone() -> None:
    body = json.dumps(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": 0, "embedding": "AAAA"}],
            "model": "text-embedding-3-small",
            "usage": {"prompt_tokens": 8, "total_tokens": 8},
        }
    ).encode()
    usage = registry.get("openai_chat").usage(body)
    assert usage == Usage(8)
    model = model_at(Provider("openai", "openai_chat", "http://127.0.0.1:1"), "text-embedding-3-small")
    assert PricedModel(model).cost(usage, now_us()).pico == 8 * 20_000


def answer(sent: provider.Sent) -> Iterator[Any]:
    """The reply of the vector whose number stands in the prompt."""
    number = re.search(rb"vector (\d+)", sent.body)
    assert number is not None
    vector = VECTORS[int(number[1])]
    if json.loads(sent.body).get("stream") or ":streamGenerateContent" in sent.path:
        yield provider.stream_head()
        for frame in frames(vector):
            yield provider.piece(frame)
            if b"content_block_start" in frame and b"break early" in sent.body:
                yield provider.RESET
            if b"Billing" in frame and (b"hang here" in sent.body or b"break here" in sent.body):
                yield provider.HANG if b"hang here" in sent.body else provider.RESET
        yield provider.piece(b"")
    else:
        yield provider.whole(200, plain(vector))


class World:
    """A gateway before one loopback server that plays every provider."""

    def __init__(self, folder: Path) -> None:
        self.provider = provider.Provider(answer)
        toml = ""
        for name, dialect in DIALECTS.items():
            models = sorted({vector.model for vector in VECTORS if vector.provider == name})
            base = f"http://127.0.0.1:{self.provider.port}{live.BASES[dialect]}"
            toml += (
                f'[[provider]]\nname = "{name}"\ndialect = "{dialect}"\nbase_url = "{base}"\n'
                f'key = "env:UPSTREAM_KEY"\nmodels = {json.dumps(models)}\n'
            )
        self.gateway = live.Gateway(folder, toml)
        self.key = self.gateway.key()

    def row(self, exchange: str) -> dict[str, Any]:
        return next(row for row in self.gateway.closes() if row["exchange"] == exchange)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("money"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def request(vector: Vector, surface: str, words: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """Path and body that ask for the vector's model in a surface's words."""
    text, model = f"vector {VECTORS.index(vector)} {words}", f"{vector.provider}/{vector.model}"
    if surface == "gemini":
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/gemini/v1beta/models/{model}:{verb}", {"contents": [{"parts": [{"text": text}]}]}
    if surface == "openai_responses":
        return "/v1/responses", {"model": model, "input": text, "stream": stream}
    body = {"model": model, "max_tokens": 900, "stream": stream}
    messages = [{"role": "user", "content": text}]
    return CHAT if surface == "openai_chat" else ANTHROPIC, {**body, "messages": messages}


def usage_of(row: dict[str, Any]) -> Usage:
    return Usage(
        **row["usage"], extra=row["usage_extra"], source=row["usage_source"], service_tier=row["service_tier"]
    )


@vectors
@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_through_the_gateway(world: World, vector: Vector, surface: str, stream: bool) -> None:
    path, body = request(vector, surface, "", stream)
    got = live.post(world.gateway.port, path, body, world.key)
    assert got.status == 200, got.body
    row = world.row(got.headers["x-tierwise-exchange"])
    assert usage_of(row) == vector.expected
    assert (row["outcome"], row["cost_pico"]) == ("ok", vector.pico)
    assert vector.unpriced in row["unpriced"]


def partial(row: dict[str, Any], outcome: str) -> None:
    """What message_start told is charged exactly, the answer by its bytes, and the row says it is partial."""
    assert (row["outcome"], row["usage_source"]) == (outcome, "partial")
    buckets = row["usage"]
    told = [buckets[name] for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h")]
    assert told == [7, 100, 10, 20]
    assert buckets["output"] >= 2  # message_start said one, and seven bytes came
    prompt = 7 * M + 100 * 100_000 + 10 * 1_250_000 + 20 * 2 * M
    assert row["cost_pico"] == prompt + buckets["output"] * 5 * M
    assert row["model"] == f"anthropic/{HAIKU}"


@pytest.mark.parametrize("surface", ["anthropic_messages", "openai_chat"], ids=["same", "crossed"])
def test_usage_survives_a_client_that_leaves(world: World, surface: str) -> None:
    """litellm#14457."""
    vector = next(vector for vector in VECTORS if vector.name == "every bucket")
    path, body = request(vector, surface, "hang here", True)
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=60)
    sent = {"authorization": f"Bearer {world.key}", "content-type": "application/json"}
    connection.request("POST", path, json.dumps(body), sent)
    reply = connection.getresponse()
    exchange = reply.getheader("x-tierwise-exchange")
    came = b""
    while b"Billing" not in came:
        came += reply.read1(1000)
    connection.sock.close()
    reply.close()
    assert live.wait_for(lambda: any(row["exchange"] == exchange for row in world.gateway.closes()))
    partial(world.row(str(exchange)), "cancelled")


@pytest.mark.parametrize("surface", ["anthropic_messages", "openai_chat"], ids=["same", "crossed"])
def test_usage_survives_a_provider_that_breaks_off(world: World, surface: str) -> None:
    vector = next(vector for vector in VECTORS if vector.name == "every bucket")
    got = live.post(world.gateway.port, *request(vector, surface, "break here", True), world.key)
    partial(world.row(got.headers["x-tierwise-exchange"]), "truncated")


@pytest.mark.parametrize("surface", ["anthropic_messages", "openai_chat"], ids=["same", "crossed"])
def test_what_was_told_before_the_first_word_is_charged_of_every_try(world: World, surface: str) -> None:
    vector = next(vector for vector in VECTORS if vector.name == "every bucket")
    got = live.post(world.gateway.port, *request(vector, surface, "break early", True), world.key)
    assert got.status == 502
    exchange = got.headers["x-tierwise-exchange"]
    tries = [row for row in world.gateway.closes() if row["exchange"] == exchange]
    assert len(tries) > 1
    for row in tries:
        told = [row["usage"][name] for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h")]
        assert (told, row["usage"]["output"]) == ([7, 100, 10, 20], 1)
        assert (row["outcome"], row["usage_source"]) == ("error", "partial")
