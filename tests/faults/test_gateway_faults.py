"""Providers that fail in every way we know: what the caller sees, what is tried again, what is recorded."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from provider import HANG, RESET

CHAT = "/v1/chat/completions"
ANTHROPIC = "/anthropic/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]
PATHS = {"openai_chat": CHAT, "anthropic_messages": ANTHROPIC}
HASTY = "hasty/a/model"
"""At the first provider too, which has a second to begin there; elsewhere it has time."""
LONGER = ("600ms", "4s", "30s")
"""Deadlines, tried until one leaves this machine the time to begin with the call."""
SECRET = "sk-upstream-canary"


def overloaded(sent: provider.Sent) -> Iterator[Any]:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    yield provider.whole(529 if sent.path == "/v1/messages" else 503, error, "retry-after: 0")


def ok(sent: provider.Sent) -> Iterator[Any]:
    anthropic = sent.path.startswith("/v1/messages")
    if json.loads(sent.body).get("stream"):
        yield provider.stream_head()
        for frame in (provider.message_frames if anthropic else provider.chat_frames)("a", "b"):
            yield provider.piece(frame)
        yield provider.piece(b"")
        return
    yield provider.whole(200, provider.message() if anthropic else provider.chat())


class World:
    """A gateway before two providers of one dialect: `first` serves haiku and sonnet, `second` opus."""

    def __init__(self, folder: Path, dialect: str) -> None:
        self.dialect = dialect
        self.first, self.second = provider.Provider(ok), provider.Provider(ok)
        toml = live.config(dialect, self.first.port, live.MODELS[:2])
        toml += live.config(dialect, self.second.port, live.MODELS[2:]).replace('"agg"', '"other"')
        hasty = live.config(dialect, self.first.port, ["a/model"], "first_byte_timeout_s = 1\n")
        toml += hasty.replace('"agg"', '"hasty"')
        self.gateway = live.Gateway(folder, toml)
        self.key = self.gateway.key()

    def script(self, script: provider.Script) -> None:
        """Lets the first provider recover, so that earlier tests do not count, then gives it `script`."""
        self.first.script = ok
        for _ in range(20):
            assert self.post(PATHS[self.dialect]).status == 200
        self.first.script = script
        self.first.sent.clear()
        self.second.sent.clear()

    def post(self, path: str, **body: Any) -> live.Got:
        fields = {"model": "agg/anthropic/claude-haiku-4", "max_tokens": 50, "messages": HELLO, **body}
        return live.post(self.gateway.port, path, fields, self.key)

    def last(self) -> dict[str, Any]:
        return self.gateway.closes()[-1]


@pytest.fixture(scope="module", params=list(PATHS))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp(request.param), request.param)
    yield world
    assert world.gateway.verify() == ""
    assert SECRET not in world.gateway.log.read_text()
    assert world.gateway.stop() == 0


@pytest.fixture(params=[CHAT, ANTHROPIC])
def path(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def told(path: str, got: live.Got) -> dict[str, Any]:
    """The error of a reply in the dialect of `path`; it never tells secrets, addresses or tracebacks."""
    text = got.body.decode()
    assert SECRET not in text
    assert "127.0.0.1" not in text
    assert "Traceback" not in text
    body = json.loads(text)
    if path == ANTHROPIC:
        assert body["type"] == "error"
    error: dict[str, Any] = body["error"]
    assert error["message"]
    return error


def assert_estimate(row: dict[str, Any]) -> None:
    """An interrupted call is flagged; what is only estimated stays within its reservation."""
    assert row["usage_source"] in ("estimated", "partial")
    assert row["cost_pico"] > 0
    assert row["usage_source"] == "partial" or row["cost_pico"] <= row["reserved_pico"]


GARBAGE: dict[str, Callable[[provider.Sent], Iterator[Any]]] = {
    "reset": lambda sent: iter([RESET]),
    "hang": lambda sent: iter([HANG]),
    "not http": lambda sent: iter([b"SSH-2.0-OpenSSH_9\r\n\r\n", RESET]),
    "short body": lambda sent: iter([provider.whole(200, provider.chat())[:-20], RESET]),
    "not json": lambda sent: iter([provider.whole(200, b"<html>hello</html>")]),
    "redirect": lambda sent: iter([provider.whole(302, b"", "location: http://127.0.0.1:1/elsewhere")]),
    "500": lambda sent: iter([provider.whole(500, {"error": {"message": "boom", "type": "server_error"}})]),
    "error with status 200": lambda sent: iter(
        [provider.whole(200, {"error": {"message": "boom", "code": 502}})]
    ),
}


@pytest.mark.parametrize("fault", GARBAGE)
def test_failure_before_the_first_byte_is_told_and_recorded(world: World, path: str, fault: str) -> None:
    world.script(GARBAGE[fault])
    rows = len(world.gateway.closes())
    got = world.post(path, **({"model": HASTY} if fault == "hang" else {}))
    assert got.status in (500, 502, 503, 504), got.body
    assert got.headers["x-should-retry"] == "false"
    told(path, got)
    closes = world.gateway.closes()[rows:]
    assert closes
    assert live.wait_for(lambda: len(closes) == len(world.first.sent))
    assert all(row["outcome"] == "error" for row in closes)


@pytest.mark.parametrize("stream", [False, True])
def test_fallback_is_tried_when_the_first_is_overloaded(world: World, path: str, stream: bool) -> None:
    world.script(overloaded)
    got = world.post(path, stream=stream, provider={"fallback": ["other/anthropic/claude-opus-4.7"]})
    assert got.status == 200
    assert got.headers["x-tierwise-model"] == "other/anthropic/claude-opus-4.7"
    assert len(world.first.sent) == len(world.second.sent) == 1
    assert b"fallback" not in world.second.sent[0].body
    rows = [row for row in world.gateway.closes() if row["exchange"] == got.headers["x-tierwise-exchange"]]
    assert [row["outcome"] for row in rows] == ["error", "ok"]


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_clients_own_error_is_never_tried_elsewhere(world: World, path: str, status: int) -> None:
    error = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "max_tokens: too large", "code": None},
    }
    world.script(lambda sent: iter([provider.whole(status, error)]))
    got = world.post(path, provider={"fallback": ["other/anthropic/claude-opus-4.7"]})
    assert got.status == status
    assert "max_tokens: too large" in told(path, got)["message"]
    assert len(world.first.sent) == 1
    assert not world.second.sent


def test_overload_keeps_its_meaning(world: World, path: str) -> None:
    world.script(overloaded)
    got = world.post(path)
    error = told(path, got)
    if path == ANTHROPIC:
        assert (got.status, error["type"]) == (529, "overloaded_error") or world.dialect == "openai_chat"
    else:
        assert got.status in (503, 529)


def begun(world: World) -> Iterator[Any]:
    """A stream up to the middle of its words."""
    yield provider.stream_head()
    frames = provider.message_frames if world.dialect == "anthropic_messages" else provider.chat_frames
    for frame in frames("hel", "lo")[:4]:
        yield provider.piece(frame)


def test_a_stream_that_breaks_ends_with_the_error_event_and_no_terminator(world: World, path: str) -> None:
    def broken(sent: provider.Sent) -> Iterator[Any]:
        yield from begun(world)
        yield 0.1
        yield RESET

    world.script(broken)
    got = world.post(path, stream=True)
    assert got.status == 200
    text = got.body.decode()
    assert "[DONE]" not in text
    assert "message_stop" not in text
    last = [line for line in text.splitlines() if line.startswith("data: ")][-1]
    event = json.loads(last.removeprefix("data: "))
    assert event["error"]["message"]
    row = world.last()
    assert row["outcome"] == "truncated"
    assert_estimate(row)


def test_a_stream_that_breaks_before_its_first_word_is_asked_anew(world: World, path: str) -> None:
    calls: list[provider.Sent] = []

    def once(sent: provider.Sent) -> Iterator[Any]:
        calls.append(sent)
        if len(calls) > 1:
            yield from ok(sent)
            return
        yield provider.stream_head()
        frames = provider.message_frames if world.dialect == "anthropic_messages" else provider.chat_frames
        for frame in frames("hel")[: 2 if world.dialect == "anthropic_messages" else 1]:
            yield provider.piece(frame)
        yield RESET

    world.script(once)
    got = world.post(path, stream=True)
    assert got.status == 200
    assert (b"[DONE]" if path == CHAT else b"message_stop") in got.body
    assert len(calls) == 2


def test_a_stream_that_ends_cleanly_but_early_is_no_success(world: World, path: str) -> None:
    def early(sent: provider.Sent) -> Iterator[Any]:
        yield from begun(world)
        yield provider.piece(b"")

    world.script(early)
    text = world.post(path, stream=True).body.decode()
    assert "error" in text
    assert "[DONE]" not in text
    assert world.last()["outcome"] == "truncated"


def test_an_error_event_first_is_left_for_the_fallback(world: World, path: str) -> None:
    def failing(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        if world.dialect == "anthropic_messages":
            yield provider.piece(
                b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"x"}}\n\n'
            )
        else:
            yield provider.piece(
                b'data: {"error":{"message":"x","type":"server_error","code":"server_is_overloaded"}}\n\n'
            )
        yield provider.piece(b"")

    world.script(failing)
    got = world.post(path, stream=True, provider={"fallback": ["other/anthropic/claude-opus-4.7"]})
    assert got.status == 200
    assert got.headers["x-tierwise-model"].endswith("opus-4.7")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_frames_split_anywhere_give_the_same_stream(world: World, path: str, size: int) -> None:
    frames = b"".join(
        (provider.message_frames if world.dialect == "anthropic_messages" else provider.chat_frames)("a", "é")
    )

    def split(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for i in range(0, len(frames), size):
            yield provider.piece(frames[i : i + size])
        yield provider.piece(b"")

    world.script(split)
    text = world.post(path, stream=True).body.decode()
    assert ("[DONE]" if path == CHAT else "message_stop") in text
    assert json.dumps("é") in text or '"é"' in text
    assert world.last()["outcome"] == "ok"


def test_the_upstream_is_cancelled_when_the_client_leaves(world: World, path: str) -> None:
    def slow(sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        frames = (provider.message_frames if world.dialect == "anthropic_messages" else provider.chat_frames)(
            *["word "] * 3
        )
        for frame in frames[:4]:
            yield provider.piece(frame)
        yield HANG

    world.script(slow)
    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=60)
    body = {"model": "tier/haiku", "max_tokens": 500, "messages": HELLO, "stream": True}
    connection.request(
        "POST",
        path,
        json.dumps(body),
        {"authorization": f"Bearer {world.key}", "content-type": "application/json"},
    )
    reply = connection.getresponse()
    assert reply.read(10)
    assert reply.fp is not None
    reply.close()
    connection.close()
    assert live.wait_for(lambda: world.first.sent[0].aborted)
    assert live.wait_for(lambda: world.last()["outcome"] == "cancelled")
    row = world.last()
    assert_estimate(row)


def test_a_slow_reader_holds_the_provider_back(world: World) -> None:
    sent_bytes = 0

    def flood(sent: provider.Sent) -> Iterator[Any]:
        nonlocal sent_bytes
        yield provider.stream_head()
        yield provider.piece(provider.chat_frames("a")[0])
        for frame in provider.chat_frames(*["x" * 60_000] * 700)[1:]:
            yield provider.piece(frame)
            sent_bytes += len(frame)
        yield provider.piece(b"")

    if world.dialect != "openai_chat":
        pytest.skip("one dialect is enough: the relay is the same")
    world.script(flood)
    with socket.create_connection(("127.0.0.1", world.gateway.port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        body = json.dumps(
            {"model": "tier/haiku", "max_tokens": 50, "messages": HELLO, "stream": True}
        ).encode()
        credential = f"authorization: Bearer {world.key}"
        head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\n{credential}\r\ncontent-length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
        time.sleep(1.0)
        # 42 MB were on offer; what was taken sits in the kernel's buffers, which grow, and in 256 KB of ours.
        assert sent_bytes < 28_000_000


def test_deadline(world: World, path: str) -> None:
    world.script(lambda sent: iter([HANG]))
    body = {"model": "tier/haiku", "max_tokens": 5, "messages": HELLO}
    for deadline in LONGER:
        got = live.post(world.gateway.port, path, body, world.key, {"x-tierwise-deadline": deadline})
        assert got.status == 504
        told(path, got)
        if world.first.sent:
            break
    assert world.first.sent
    assert live.wait_for(lambda: world.last()["outcome"] in ("cancelled", "error"))


def test_a_deadline_that_passes_amid_a_stream_is_told_as_the_error_event(world: World, path: str) -> None:
    def slow(sent: provider.Sent) -> Iterator[Any]:
        yield from begun(world)
        yield HANG

    body = {"model": "tier/haiku", "max_tokens": 5, "stream": True, "messages": HELLO}
    for deadline in LONGER:
        world.script(slow)
        got = live.post(world.gateway.port, path, body, world.key, {"x-tierwise-deadline": deadline})
        if got.status == 200:
            break
    assert got.status == 200
    text = got.body.decode()
    assert "hel" in text
    assert "[DONE]" not in text
    assert "message_stop" not in text
    last = [line for line in text.splitlines() if line.startswith("data: ")][-1]
    assert "deadline" in json.loads(last.removeprefix("data: "))["error"]["message"]
    assert live.wait_for(lambda: world.last()["outcome"] == "cancelled")


def test_the_circuit_opens_and_the_route_says_so(world: World) -> None:
    world.script(lambda sent: iter([RESET]))
    for _ in range(6):
        world.post(CHAT)
    world.first.script = ok
    got = world.post(CHAT, model="task/classification")
    assert got.status == 200
    assert got.headers["x-tierwise-tier"] != "haiku"
    assert "circuit open" in got.headers["x-tierwise-route"]


def test_many_at_once_are_all_recorded(world: World) -> None:
    world.second.script = ok
    before = len(world.gateway.closes())
    statuses: list[int] = []

    def one() -> None:
        statuses.append(world.post(CHAT, model="tier/opus").status)

    threads = [threading.Thread(target=one) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 60
    assert len(world.gateway.closes()) - before == 60


@pytest.mark.parametrize("status", [400, 404, 422, 429, 500])
def test_a_provider_that_echoes_our_credential_does_not_tell_it(world: World, path: str, status: int) -> None:
    def echo(sent: provider.Sent) -> Iterator[Any]:
        error = {"type": "invalid_request_error", "message": f"Not understood: {sent.headers}"}
        yield provider.whole(
            status, {"type": "error", "error": error, "sent": sent.headers}, "retry-after: 0"
        )

    world.script(echo)
    got = world.post(path)
    assert got.status >= 400
    assert SECRET in str(world.first.sent[0].headers)
    assert SECRET not in got.body.decode()
    json.loads(got.body)
