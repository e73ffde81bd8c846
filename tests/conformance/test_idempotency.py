"""A request sent again under its Idempotency-Key is answered once and paid once."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from redis_server import RedisServer, redis_server  # noqa: F401  a fixture
from tierwise.gateway.replicas import valkey
from tierwise.gateway.replicas.claims import SCRIPTS
from tierwise.gateway.replicas.valkey import Valkey

CHAT = "/v1/chat/completions"


def body(words: str, stream: bool = False, model: str = "tier/haiku") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": words}], "stream": stream}


class World:
    """A gateway before a provider that fails its first `fail`, breaks off its first `break`, never answers
    its first `held`, and is slow at `slow`; every answer has another number."""

    def __init__(self, folder: Path, *options: str, of: World | None = None) -> None:
        """`of`: another replica of that one."""
        self.provider = of.provider if of else provider.Provider(self.answer)
        self.gateway = live.Gateway(folder, live.config("openai_chat", self.provider.port), None, *options)
        self.key, self.other = (of.key, of.other) if of else (self.gateway.key(), self.gateway.key())
        self.failed: set[str] = set()

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        asked = json.loads(sent.body)
        words = asked["messages"][0]["content"]
        text = f"answer {len(self.provider.sent)}"
        first, _ = words not in self.failed, self.failed.add(words)
        if "slow" in words:
            yield 0.5
        if "held" in words and first:
            yield provider.HANG
        if "fail" in words and first:
            yield provider.whole(400, {"error": {"message": "no", "type": "invalid_request_error"}})
        elif asked.get("stream"):
            yield provider.stream_head()
            for frame in provider.chat_frames(text, " and", " more"):
                yield provider.piece(frame)
                if "break" in words and b"more" in frame and first:
                    yield provider.RESET
            yield provider.piece(b"")
        else:
            yield provider.whole(200, provider.chat(text))

    def ask(self, token: str, sent: dict[str, Any], key: str = "", path: str = CHAT) -> live.Got:
        return live.post(self.gateway.port, path, sent, key or self.key, {"Idempotency-Key": token})

    def calls(self, words: str) -> int:
        return sum(words.encode() in sent.body for sent in self.provider.sent)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("again"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_the_same_request_gets_the_same_bytes_and_is_paid_once(world: World, stream: bool) -> None:
    words = f"same {stream}"
    first, again = (world.ask(f"same-{stream}", body(words, stream)) for _ in range(2))
    assert (first.status, again.status) == (200, 200)
    assert first.body == again.body
    assert "x-tierwise-replayed" not in first.headers
    assert again.headers["x-tierwise-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    exchange = first.headers["x-tierwise-exchange"]
    assert again.headers["x-tierwise-exchange"] == exchange
    assert world.calls(words) == 1
    assert [row["exchange"] for row in world.gateway.closes()].count(exchange) == 1


def test_another_body_path_or_caller_is_not_the_same_request(world: World) -> None:
    assert world.ask("k1", body("one")).status == 200
    refused = world.ask("k1", body("two"))
    assert refused.status == 422
    assert "Idempotency-Key" in refused.json()["error"]["message"]
    assert world.ask("k1", {**body("one"), "max_tokens": 5}, path="/v1/messages").status == 422
    other = world.ask("k1", body("one"), world.gateway.key())
    assert other.status == 200
    assert "x-tierwise-replayed" not in other.headers
    assert world.calls("one") == 2
    assert world.ask("x" * 256, body("one")).status == 400


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_those_that_come_meanwhile_wait_for_the_first(world: World, stream: bool) -> None:
    got: list[live.Got] = []
    sent = body(f"slow {stream}", stream)
    threads = [
        threading.Thread(target=lambda: got.append(world.ask(f"slow-{stream}", sent))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {g.status for g in got} == {200}
    assert len({g.body for g in got}) == 1
    assert world.calls(f"slow {stream}") == 1


@pytest.mark.parametrize(("words", "stream"), [("fail", False), ("fail", True), ("break", True)])
def test_what_failed_or_broke_off_is_asked_again(world: World, words: str, stream: bool) -> None:
    token = words = f"{words} {stream}"
    first, again, third = (world.ask(token, body(words, stream)) for _ in range(3))
    assert first.body != again.body
    assert again.status == 200
    assert third.body == again.body
    assert world.calls(words) == 2


def test_without_a_key_every_request_is_its_own(world: World) -> None:
    for _ in range(2):
        assert live.post(world.gateway.port, CHAT, body("plain"), world.key).status == 200
    assert world.calls("plain") == 2


def test_a_caller_that_leaves_lets_the_next_one_ask(world: World) -> None:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", world.gateway.port, timeout=60)
    headers = {
        "authorization": f"Bearer {world.key}",
        "content-type": "application/json",
        "idempotency-key": "left",
    }
    connection.request("POST", CHAT, json.dumps(body("held leaving")), headers)
    assert live.wait_for(lambda: world.calls("held leaving") == 1)
    connection.sock.close()
    got = world.ask("left", body("held leaving"))
    assert got.status == 200
    assert world.calls("held leaving") == 2


@pytest.fixture
def replicas(tmp_path: Path, redis_server: RedisServer) -> Iterator[list[World]]:  # noqa: F811
    """Two gateways with one Valkey and one secret; the second's ledger is a copy of the first's."""
    first = World(tmp_path / "one", "--redis", redis_server.url)
    assert first.gateway.stop() == 0
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first.gateway.start()
    second = World(tmp_path / "two", "--redis", redis_server.url, of=first)
    yield [first, second]
    for each in (first, second):
        if each.gateway.child.poll() is None:
            assert each.gateway.stop() == 0


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_another_replica_gives_the_same_bytes(replicas: list[World], stream: bool) -> None:
    first, second = replicas
    sent = body("same at two", stream)
    told = first.ask("two", sent)
    again = [second.ask("two", sent), second.ask("two", sent), first.ask("two", sent)]
    assert {each.body for each in again} == {told.body}
    assert {each.headers.get("x-tierwise-replayed") for each in again} == {"true"}
    assert first.calls("same at two") == 1
    assert [each.ask("two", body("other words")).status for each in replicas] == [422, 422]
    assert second.ask("two", sent, second.other).headers.get("x-tierwise-replayed") is None


def test_replicas_wait_for_one_another(replicas: list[World]) -> None:
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(replicas[n % 2].ask, "slow", body("slow at two")) for n in range(8)]
        got = [each.result() for each in asked]
    assert {each.status for each in got} == {200}
    assert len({each.body for each in got}) == 1
    assert replicas[0].calls("slow at two") == 1
    # What failed is asked anew, wherever.
    assert [each.ask("fails", body("fail at two")).status for each in replicas] == [400, 200]


def test_a_replica_that_dies_lets_another_ask(replicas: list[World]) -> None:
    first, second = replicas
    with ThreadPoolExecutor(2) as pool:
        lost = pool.submit(first.ask, "dies", body("held dies"))
        assert live.wait_for(lambda: first.calls("held dies") == 1)
        first.gateway.kill()
        with pytest.raises((OSError, HTTPException)):
            lost.result()
        assert second.ask("dies", body("held dies")).status == 200
    assert first.calls("held dies") == 2


def test_without_the_server_each_has_its_own(
    replicas: list[World],
    redis_server: RedisServer,  # noqa: F811
) -> None:
    redis_server.hang()
    try:
        got = [each.ask("hung", body("hung")) for each in (*replicas, *replicas)]
    finally:
        redis_server.wake()
    assert [each.headers.get("x-tierwise-replayed") for each in got] == [None, None, "true", "true"]


async def test_a_claim_whose_answer_was_lost_on_its_way_is_still_the_asker_s(
    redis_server: RedisServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(valkey, "ANSWER_S", 2.0)
    server = Valkey(redis_server.url, SCRIPTS, "", "")
    await server.start()
    given = [await server.ask("claim", ("word", "claim"), holder, 10_000) for holder in ("a", "a", "b")]
    assert given == [1, 1, 0]
    await server.close()
