"""Odd bodies from clients and providers: the right status in the caller's words, and every row closed."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any

import pytest

import live
from provider import (
    RESET,
    Provider,
    Sent,
    chat,
    chat_frames,
    message,
    message_frames,
    piece,
    stream_head,
    whole,
)

HI = [{"role": "user", "content": "hi"}]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": HI}),
    "messages": ("/v1/messages", {"messages": HI, "max_tokens": 9}),
    "responses": ("/v1/responses", {"input": "hi"}),
}
MOST = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}


class World:
    def __init__(self, folder: Path, dialect: str) -> None:
        self.reply: bytes | None = None
        self.provider = Provider(self.answer)
        self.gateway = live.Gateway(folder, live.config(dialect, self.provider.port))
        self.key = self.gateway.key()
        self.anthropic = dialect == "anthropic_messages"

    def answer(self, sent: Sent) -> list[bytes]:
        return [whole(200, self.reply or (message() if self.anthropic else chat()))]

    def post(self, path: str, body: Any) -> live.Got:
        return live.post(self.gateway.port, path, body, self.key)


@pytest.fixture(scope="module", params=["openai_chat", "anthropic_messages"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp(request.param), request.param)
    yield world
    rows = world.gateway.rows()
    assert len([row for row in rows if row["event"] == "open"]) == len(world.gateway.closes())
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0
    assert "Traceback" not in world.gateway.log.read_text()
    world.provider.close()


@pytest.mark.parametrize("path", [*(path for path, _ in CALLS.values()), "/v1/embeddings"])
@pytest.mark.parametrize("body", [b'{"model": "\xff"}', b"", b'{"model": ', b"[" * 5000])
def test_what_is_no_json_is_a_bad_request(world: World, path: str, body: bytes) -> None:
    got = world.post(path, body)
    assert got.status == 400, got.body
    assert got.headers["x-should-retry"] == "false"
    assert got.json()["error"]["type"] == "invalid_request_error"


def test_it_is_called_no_json_in_every_dialect(world: World) -> None:
    for path, _ in CALLS.values():
        assert "not valid JSON" in world.post(path, b'{"model": ').json()["error"]["message"]


def test_a_compressed_body_is_told_as_what_it_is(world: World) -> None:
    for path, body in CALLS.values():
        packed = gzip.compress(json.dumps({"model": "tier/haiku", **body}).encode())
        got = live.post(world.gateway.port, path, packed, world.key, {"content-encoding": "gzip"})
        assert got.status == 400
        assert "its content-encoding is 'gzip'" in got.json()["error"]["message"]


@pytest.mark.parametrize("kind", list(CALLS))
def test_a_reply_nested_too_deeply_is_the_providers_fault(world: World, kind: str) -> None:
    path, body = CALLS[kind]
    world.reply = b'{"x":' * 200_000 + b"1" + b"}" * 200_000
    got = world.post(path, {"model": "tier/haiku", **body})
    world.reply = None
    assert got.status == 502, got.body
    assert "inside the gateway" not in got.body.decode()


@pytest.mark.parametrize(("levels", "status"), [(62, 200), (63, 400), (200_000, 400)])
@pytest.mark.parametrize("kind", list(CALLS))
def test_a_request_has_64_levels_at_most(world: World, kind: str, levels: int, status: int) -> None:
    path, body = CALLS[kind]
    asked = json.dumps({"model": "tier/haiku", **body, "odd": {"one": "HERE"}}).encode()
    got = world.post(path, asked.replace(b'"HERE"', b"[" * levels + b"]" * levels))
    assert got.status == status, got.body
    assert status == 200 or b"nested too deeply" in got.body


@pytest.mark.parametrize("kind", list(CALLS))
def test_what_no_tier_can_serve_is_not_to_be_asked_again(world: World, kind: str) -> None:
    path, body = CALLS[kind]
    got = world.post(path, {"model": "task/coding", **body, MOST[kind]: 200_000})
    assert (got.status, got.headers["x-should-retry"]) == (400, "false")
    assert "opus: output limit 128000, asked 200000" in got.json()["error"]["message"]


@pytest.mark.parametrize("kind", list(CALLS))
def test_more_than_one_call_can_cost_is_a_bad_request(world: World, kind: str) -> None:
    path, body = CALLS[kind]
    got = world.post(path, {"model": "anthropic/claude-haiku-4", **body, MOST[kind]: 10**18})
    assert got.status == 400, got.body
    assert "output tokens" in got.json()["error"]["message"]


def test_the_task_in_the_metadata_is_not_shown_to_anthropic(world: World) -> None:
    """Its API refuses any member of `metadata` but user_id."""
    if not world.anthropic:
        pytest.skip("OpenAI's metadata are the caller's own")
    for metadata, left in (
        ({"task": "qa"}, b""),
        ({"task": "qa", "user_id": "u"}, b', "metadata": {"user_id": "u"}'),
        ({"user_id": "u", "task": "qa"}, b', "metadata": {"user_id": "u"}'),
        ({"user_id": "u"}, b', "metadata": {"user_id": "u"}'),
    ):
        body = {"model": "auto", "messages": HI, "metadata": metadata, "max_tokens": 9}
        got = world.post("/v1/messages", body)
        served = "haiku-4" if "task" in metadata else "sonnet-4.6"
        assert got.headers["x-tierwise-model"].endswith(served)
        opening = f'{{"model": "anthropic/claude-{served}", "messages": {json.dumps(HI)}'.encode()
        assert world.provider.sent[-1].body == opening + left + b', "max_tokens": 9}'


def test_the_estimate_of_a_broken_stream_is_within_what_was_asked_for(tmp_path: Path) -> None:
    frames = chat_frames("word " * 400)[:2]
    provider = Provider(lambda sent: [stream_head(), *map(piece, frames), RESET])
    gateway = live.Gateway(tmp_path, live.config("openai_chat", provider.port))
    body = {"model": "tier/haiku", "messages": HI, "stream": True, "max_tokens": 10}
    got = live.post(gateway.port, "/v1/chat/completions", body, gateway.key())
    assert b"word" in got.body
    assert b"[DONE]" not in got.body
    (row,) = gateway.closes()
    assert (row["outcome"], row["usage_source"], row["usage"]["output"]) == ("truncated", "estimated", 10)
    assert row["cost_pico"] <= row["reserved_pico"]
    assert gateway.stop() == 0
    provider.close()


SHAPES: dict[str, set[str]] = {
    "/v1/chat/completions": {"error"},
    "/v1/messages": {"type", "error", "request_id"},
    "/anthropic/v1/messages/count_tokens": {"type", "error", "request_id"},
    "/gemini/v1beta/models/auto:generateContent": {"error"},
}


@pytest.mark.parametrize("path", list(SHAPES))
@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("content-length: 99999999", 413),
        ("x-tierwise-task: a\x00b", 400),
        ("x-tierwise-task: a\nb: c", 400),
        ("content-length: 1\r\ncontent-length: 2", 400),
        ("x-long: " + "y" * 40_000, 431),
    ],
)
def test_what_http_itself_refuses_is_told_in_the_words_of_its_path(
    world: World, path: str, header: str, status: int
) -> None:
    with socket.create_connection(("127.0.0.1", world.gateway.port), timeout=60) as client:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nx-api-key: {world.key}\r\n{header}\r\n\r\n"
        client.sendall(head.encode("latin1"))
        reply = HTTPResponse(client)
        reply.begin()
        told = json.loads(reply.read())
    assert (reply.status, set(told)) == (status, SHAPES[path])
    assert ("code" in told["error"]) is not path.endswith(("messages", "tokens"))
    assert (told["error"].get("status") == "INVALID_ARGUMENT") is path.startswith("/gemini")


def test_a_models_name_may_be_quoted_in_a_path(world: World) -> None:
    for name in ("anthropic%2Fclaude-haiku-4", "anthropic/claude-haiku-4", "tier%2Fhaiku"):
        for prefix in ("/v1", "/anthropic/v1"):
            got = live.request(
                world.gateway.port, "GET", f"{prefix}/models/{name}", None, {"x-api-key": world.key}
            )
            assert (got.status, got.json()["id"]) == (200, name.replace("%2F", "/"))


def test_a_frame_nested_too_deeply_breaks_no_stream_of_the_same_dialect(tmp_path: Path) -> None:
    deep = b'event: odd\ndata: {"type":"odd","x":' + b"[" * 3000 + b"]" * 3000 + b"}\n\n"
    first, *rest = message_frames("Bil", "ling")
    frames = [first, deep, *rest]
    provider = Provider(lambda sent: [stream_head(), *map(piece, frames), piece(b"")])
    gateway = live.Gateway(tmp_path, live.config("anthropic_messages", provider.port))
    body = {"model": "anthropic/claude-haiku-4", "messages": HI, "stream": True, "max_tokens": 50}
    got = live.post(gateway.port, "/v1/messages", body, gateway.key())
    assert (got.status, got.body) == (200, b"".join(frames))
    assert [row["outcome"] for row in gateway.closes()] == ["ok"]
    assert gateway.stop() == 0
    provider.close()
