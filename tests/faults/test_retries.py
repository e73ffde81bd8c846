"""What is sent again, when, and how often, over many exchanges: from outside, against one provider that fails
and one that answers.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from provider import RESET

CHAT, RESPONSES, ANTHROPIC = "/v1/chat/completions", "/v1/responses", "/anthropic/v1/messages"
DIALECTS = {CHAT: "openai_chat", RESPONSES: "openai_responses", ANTHROPIC: "anthropic_messages"}
HELLO = [{"role": "user", "content": "hello"}]
HAIKU, OPUS = "agg/anthropic/claude-haiku-4", "other/anthropic/claude-opus-4.7"


def ok(sent: provider.Sent) -> Iterator[Any]:
    yield provider.whole(200, provider.message())


class World:
    """A gateway before two providers: `first` serves haiku and fails by a script, `second` opus."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = provider.Provider(ok), provider.Provider(ok)
        toml = live.config("anthropic_messages", self.first.port, live.MODELS[:1])
        toml += live.config("anthropic_messages", self.second.port, live.MODELS[2:]).replace(
            '"agg"', '"other"'
        )
        self.gateway = live.Gateway(folder, toml)
        self.key = self.gateway.key()

    def post(self, **body: Any) -> live.Got:
        fields = {"model": HAIKU, "max_tokens": 50, "messages": HELLO, **body}
        return live.post(self.gateway.port, ANTHROPIC, fields, self.key)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0


def refusal(status: int, *headers: str) -> Any:
    error = {"type": "error", "error": {"type": "some_error", "message": "no"}}
    return lambda sent: iter([provider.whole(status, error, *headers)])


def test_many_failing_at_once_stay_within_the_retry_budget(world: World) -> None:
    """Who decides to try again has paid before another decides: 20 % and 10 a second, and 10 at the start."""
    world.first.script = refusal(503, "retry-after: 0")
    with ThreadPoolExecutor(20) as pool:
        statuses = set(pool.map(lambda _: world.post().status, range(200)))
    assert statuses == {503}
    opened = [row for row in world.gateway.rows() if row["event"] == "open"]
    assert len(world.first.sent) == len(opened)
    first, last = seconds(opened[0]["at"]), seconds(opened[-1]["at"])
    assert len(opened) <= 1.2 * 200 + 10 * (last - first) + 11


def test_a_retry_whose_caller_left_before_it_is_not_counted(world: World) -> None:
    world.first.script = refusal(500)
    body = json.dumps({"model": HAIKU, "max_tokens": 50, "messages": HELLO})
    head = f"POST {ANTHROPIC} HTTP/1.1\r\nhost: x\r\nx-api-key: {world.key}\r\ncontent-length: {len(body)}"
    with socket.create_connection(("127.0.0.1", world.gateway.port)) as caller:
        caller.sendall(f"{head}\r\n\r\n{body}".encode())
        assert live.wait_for(world.gateway.closes)
    assert world.post().status == 500
    attempts = [row["attempt"] for row in world.gateway.closes()]
    retries = sum(not attempt.endswith("-1") for attempt in attempts)
    said = live.request(world.gateway.admin, "GET", "/metrics").body.decode()
    assert f"\ntierwise_retries_total {retries}\n" in said


def seconds(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_deployment_rests_until_its_retry_after_for_later_exchanges_too(world: World, status: int) -> None:
    body = {"provider": {"fallback": [OPUS]}}
    world.first.script = refusal(status, "retry-after: 600")
    got = world.post(**body)
    assert (got.status, len(world.first.sent)) == (200, 1)
    assert got.headers["x-tierwise-model"] == OPUS
    world.first.script = ok
    got = world.post(**body)
    assert (got.status, len(world.first.sent)) == (200, 1)
    assert f"{HAIKU}: status {status}, retry after 600 s" in got.headers["x-tierwise-route"]
    # Named alone it is asked all the same: nothing is hidden. Its answer ends the rest.
    assert (world.post().status, len(world.first.sent)) == (200, 2)
    assert (world.post(**body).status, len(world.first.sent)) == (200, 3)


def test_the_route_says_who_failed_and_who_serves_instead(world: World) -> None:
    world.first.script = refusal(500)
    got = world.post(provider={"fallback": [OPUS]})
    assert got.headers["x-tierwise-model"] == OPUS
    assert got.headers["x-tierwise-route"].endswith(f"; {HAIKU}: status 500, so {OPUS}")
    assert world.gateway.closes()[-1]["route"] == got.headers["x-tierwise-route"]


def test_a_failed_attempt_waited_for_its_provider_no_longer_than_it_took(world: World) -> None:
    def slow(sent: provider.Sent) -> Iterator[Any]:
        yield 0.05
        yield from refusal(500)(sent)

    world.first.script = slow
    assert world.post(provider={"fallback": [OPUS]}).status == 200
    closes = world.gateway.closes()
    assert [row["outcome"] for row in closes] == ["error", "ok"]
    waited = [row["upstream_us"] for row in closes]
    assert waited == sorted(waited)  # each row counts the attempts before it
    assert waited[0] >= 50_000
    assert all(row["upstream_us"] <= row["total_us"] for row in closes)


def test_the_cost_of_a_reply_is_that_of_all_its_attempts(world: World) -> None:
    """One that broke off is booked by estimate: it may have been billed."""
    world.first.script = lambda sent: iter([RESET])
    got = world.post(provider={"fallback": [OPUS]})
    costs = [row["cost_pico"] for row in world.gateway.closes()]
    assert len(costs) > 1
    assert min(costs) > 0
    assert got.headers["x-tierwise-cost-usd"] == f"{sum(costs) / 10**12:.12f}"
    told = world.post(provider={"fallback": [OPUS]}, usage={"include": True})
    assert f"{told.json()['usage']['cost']:.12f}" == told.headers["x-tierwise-cost-usd"]
    assert told.headers["x-tierwise-cost-usd"] == got.headers["x-tierwise-cost-usd"]


def test_a_fallback_that_may_not_be_asked_is_passed_over(world: World) -> None:
    """The budget has room for the first choice, and none for what stands behind it."""
    assert world.gateway.command("budgets", "set", "task:unknown", "0.0005").returncode == 0
    world.first.script = refusal(500)
    got = world.post(provider={"fallback": [OPUS]})
    assert (got.status, len(world.second.sent)) == (500, 0), got.body
    before = len(world.first.sent)

    def once(sent: provider.Sent) -> Iterator[Any]:
        script = refusal(500) if len(world.first.sent) == before + 1 else ok
        return iter(script(sent))

    world.first.script = once
    got = world.post(provider={"fallback": [OPUS]})
    assert (got.status, len(world.first.sent) - before, len(world.second.sent)) == (200, 2, 0), got.body


@pytest.mark.parametrize("status", [408, 409])
def test_408_and_409_are_the_requests_own(world: World, status: int) -> None:
    world.first.script = refusal(status)
    assert world.post(provider={"fallback": [OPUS]}).status == status
    assert (len(world.first.sent), len(world.second.sent)) == (1, 0)


ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "hosted tool": (ANTHROPIC, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    "mcp": (ANTHROPIC, {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "x"}]}),
    "file": (
        ANTHROPIC,
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}],
                }
            ]
        },
    ),
    "chat store": (CHAT, {"store": True}),
    "chat search": (CHAT, {"web_search_options": {}}),
    "stored unless told": (RESPONSES, {"messages": None, "max_tokens": None, "input": "hello"}),
    "responses tool": (RESPONSES, {"input": "hello", "store": False, "tools": [{"type": "web_search"}]}),
}


@pytest.mark.parametrize("name", ACTS)
def test_what_acts_at_the_vendor_is_not_sent_twice(tmp_path: Path, name: str) -> None:
    path, body = ACTS[name]
    upstream = provider.Provider(lambda sent: iter([RESET]))
    gateway = live.Gateway(tmp_path, live.config(DIALECTS[path], upstream.port))
    fields = {"model": HAIKU, "max_tokens": 50, "messages": HELLO, **body}
    if path == RESPONSES:
        fields = {key: fields[key] for key in ("model", "input", "store", "tools") if key in fields}
    assert live.post(gateway.port, path, fields, gateway.key()).status == 502
    assert len(upstream.sent) == 1
    assert gateway.stop() == 0


def twice(folder: Path, extra: str = "", second: provider.Script = ok) -> World:
    """A gateway before two providers that serve the same models; the first answers 503."""
    world = World.__new__(World)
    world.first, world.second = provider.Provider(refusal(503)), provider.Provider(second)
    toml = live.config("anthropic_messages", world.first.port)
    toml += live.config("anthropic_messages", world.second.port).replace('"agg"', '"other"')
    world.gateway = live.Gateway(folder, toml + extra)
    world.key = world.gateway.key()
    return world


@pytest.mark.parametrize(
    "name", ["anthropic/claude-haiku-4", "claude-haiku-4", "tier/haiku", "task/qa", "tier/own"]
)
def test_the_same_model_at_another_provider_takes_over(tmp_path: Path, name: str) -> None:
    """A tier's, a task's or a bare name leaves the provider open; the next one serves the same model."""
    tier = '[[tier]]\nname = "own"\nmodel = "anthropic/claude-haiku-4"\nsettings = {temperature = 0}\n'
    world = twice(tmp_path, tier if name == "tier/own" else "")
    got = world.post(model=name)
    assert got.status == 200
    assert got.headers["x-tierwise-model"] == "other/anthropic/claude-haiku-4"
    assert got.headers.get("x-tierwise-tier") in (None, "", "haiku", "own")
    assert got.headers["x-tierwise-route"].endswith(f"{HAIKU}: status 503, so other/anthropic/claude-haiku-4")
    assert (len(world.first.sent), len(world.second.sent)) == (1, 1)
    rows = world.gateway.closes()
    assert [(row["provider"], row["outcome"]) for row in rows] == [("agg", "error"), ("other", "ok")]
    assert rows[0]["tier"] == rows[1]["tier"]
    assert world.gateway.verify() == ""
    assert world.gateway.stop() == 0


def test_a_model_named_with_its_provider_is_served_there_or_not_at_all(tmp_path: Path) -> None:
    world = twice(tmp_path, f'[[tier]]\nname = "own"\nmodel = "{HAIKU}"\n[alias]\nquick = "{HAIKU}"\n')
    for name in (HAIKU, "tier/own", "quick"):
        assert world.post(model=name).status == 503
    assert not world.second.sent
    assert world.gateway.stop() == 0


def test_what_broke_on_a_kept_connection_is_sent_over_a_new_one(tmp_path: Path) -> None:
    """A provider that answers once on each connection and hangs up at the second request, seen too late."""
    listener = socket.create_server(("127.0.0.1", 0))
    answered = threading.Event()

    def serve() -> None:
        body = b'{"id":"x","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":'
        body += b'"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,'
        body += b'"completion_tokens":1}}'
        reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
        while True:
            caller, _ = listener.accept()
            threading.Thread(target=once, args=(caller, reply % (len(body), body)), daemon=True).start()

    def once(caller: socket.socket, reply: bytes) -> None:
        with caller:
            caller.recv(65536)
            answered.wait(30)
            caller.sendall(reply)
            caller.recv(65536)

    threading.Thread(target=serve, daemon=True).start()
    gateway = live.Gateway(tmp_path, live.config("openai_chat", listener.getsockname()[1]))
    key = gateway.key()

    def post(_: int) -> int:
        body = {"model": HAIKU, "max_tokens": 5, "messages": HELLO}
        return live.post(gateway.port, CHAT, body, key).status

    with ThreadPoolExecutor(4) as callers:
        # Four connections are kept, and all of them are as good as gone.
        first = [callers.submit(post, number) for number in range(4)]
        answered.set()
        assert [each.result() for each in first] == [200] * 4
        assert [post(number) for number in range(6)] == [200] * 6
    assert gateway.verify() == ""
    assert gateway.stop() == 0
