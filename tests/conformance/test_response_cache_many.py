"""The response cache under concurrency: one call for many, who takes over, replicas, a server away."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.cache_world import CHAT, ON, Held, World, answer, cached, cut, in_flight, metric, text, told
from redis_server import RedisServer, redis_server  # noqa: F401  a fixture


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("cache"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0


def test_one_call_for_many(world: World) -> None:
    world.provider.script = held = Held()
    before = world.calls()
    try:
        with ThreadPoolExecutor(12) as pool:
            asked = [pool.submit(world.chat, "many", stream=n % 2 == 1) for n in range(12)]
            assert live.wait_for(lambda: world.calls() > before and in_flight(world) == 12)
            held.release.set()
            got = [each.result() for each in asked]
    finally:
        world.provider.script = answer
    assert world.calls() == before + 1
    assert sorted(map(cached, got)) == ["hit"] * 11 + ["miss"]
    assert {text("C", told("C", n % 2 == 1, each.body)) for n, each in enumerate(got)} == {"hi"}


def test_another_takes_over_when_the_first_leaves(world: World) -> None:
    world.provider.script = held = Held()
    before = world.calls()
    body = {"model": "C/served", "temperature": 0, "messages": [{"role": "user", "content": "leaves"}]}
    raw = json.dumps(body).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {world.key}\r\n"
    leaver = socket.create_connection(("127.0.0.1", world.gateway.port))
    try:
        leaver.sendall(f"{head}content-length: {len(raw)}\r\n\r\n".encode() + raw)
        assert live.wait_for(lambda: world.calls() == before + 1)
        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(world.chat, "leaves") for _ in range(3)]
            assert live.wait_for(lambda: in_flight(world) == 4)
            leaver.close()
            assert live.wait_for(lambda: world.calls() == before + 2)
            held.release.set()
            assert sorted(cached(each.result()) for each in asked) == ["hit", "hit", "miss"]
    finally:
        leaver.close()
        world.provider.script = answer
    assert world.calls() == before + 2


def test_another_takes_over_when_the_first_fails(world: World) -> None:
    held = Held()
    before = world.calls()

    def refuses_first(sent: provider.Sent) -> Iterator[Any]:
        while not held.release.is_set():
            yield 0.01
        yield from cut(sent) if world.calls() == before + 1 else answer(sent)

    world.provider.script = refuses_first
    try:
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(world.chat, "an error, then none") for _ in range(4)]
            assert live.wait_for(lambda: world.calls() > before and in_flight(world) == 4)
            held.release.set()
            got = [each.result() for each in asked]
    finally:
        world.provider.script = answer
    assert sorted(each.status for each in got) == [200, 200, 200, 400]
    assert world.calls() == before + 2


def test_nobody_waits_beyond_their_deadline(world: World) -> None:
    world.provider.script = held = Held()
    before = world.calls()
    try:
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(world.chat, "deadline")
            assert live.wait_for(lambda: world.calls() == before + 1)
            late = world.chat("deadline", headers={"x-tierwise-deadline": "50ms"})
            held.release.set()
            assert cached(first.result()) == "miss"
    finally:
        world.provider.script = answer
    assert late.status == 504
    assert world.calls() == before + 1


def test_those_who_wait_for_one_failure_after_the_other_ask_for_themselves_in_the_end(tmp_path: Path) -> None:
    """Each waits `wait_s` in all, not for every one before it."""
    world = World(tmp_path, ON + "wait_s = 2\n")
    under_way: set[int] = set()
    most = 0

    def fails_slowly(sent: provider.Sent) -> Iterator[Any]:
        nonlocal most
        under_way.add(id(sent))
        most = max(most, len(under_way))
        yield 1.6
        under_way.discard(id(sent))
        yield provider.whole(400, {"error": {"message": "no", "type": "invalid_request_error"}})

    world.provider.script = fails_slowly
    with ThreadPoolExecutor(8) as pool:
        got = [each.result() for each in [pool.submit(world.chat, "fails") for _ in range(8)]]
    assert [each.status for each in got] == [400] * 8
    assert most > 2
    assert world.gateway.stop() == 0


def test_an_answer_that_may_not_be_kept_is_not_waited_for_twice(world: World) -> None:
    held = Held()
    before = world.calls()

    def too_long(sent: provider.Sent) -> Iterator[Any]:
        while not held.release.is_set():
            yield 0.01
        yield from cut(sent)

    world.provider.script = too_long
    try:
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(world.chat, "length of all") for _ in range(4)]
            assert live.wait_for(lambda: world.calls() > before and in_flight(world) == 4)
            held.release.set()
            got = [each.result() for each in asked]
    finally:
        world.provider.script = answer
    assert list(map(cached, got)) == ["miss"] * 4
    assert world.calls() == before + 4


@pytest.fixture
def replicas(tmp_path: Path, redis_server: RedisServer) -> Iterator[list[World]]:  # noqa: F811
    """Two gateways of one configuration and one Valkey. The second's ledger is a copy of the first's, so that
    both know the same keys and have the same secret."""
    first = World(tmp_path / "one", ON, "--redis", redis_server.url)
    assert first.gateway.stop() == 0
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first.gateway.start()
    second = World(tmp_path / "two", ON, "--redis", redis_server.url, of=first)
    yield [first, second]
    assert [each.gateway.stop() for each in (first, second)] == [0, 0]


def shared(server: RedisServer) -> int:
    """How many answers the server holds."""
    redis = pytest.importorskip("redis")
    return len(list(redis.Redis.from_url(server.url).scan_iter("tierwise:answer:*")))


def test_replicas_share_answers(replicas: list[World], redis_server: RedisServer) -> None:  # noqa: F811
    first, second = replicas
    asked = first.chat("shared")
    assert cached(asked) == "miss"
    assert live.wait_for(lambda: shared(redis_server) == 1)
    hit = second.chat("shared", stream=True)
    assert cached(hit) == "hit"
    assert text("C", told("C", True, hit.body)) == "hi"
    assert second.chat("shared").body == asked.body
    assert first.calls() == 1


def lost(replicas: list[World]) -> int:
    """How often a replica took the server for away: on a busy machine also one that answered late."""
    return sum(each.gateway.log.read_text().count("valkey is away or slow") for each in replicas)


def asked_at_once(replicas: list[World], words: str, whole: bool) -> tuple[int, list[str]]:
    """Calls that reach the provider when twelve ask both replicas the same, and what each was told of the
    cache."""
    held, world = Held(), replicas[0]
    before = world.calls()

    def script(sent: provider.Sent) -> Iterator[Any]:
        while not held.release.is_set():
            yield 0.01
        yield from answer(sent) if whole else cut(sent)

    world.provider.script = script
    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(replicas[n % 2].chat, words) for n in range(12)]
        assert live.wait_for(lambda: world.calls() > before and sum(map(in_flight, replicas)) == 12)
        held.release.set()
        got = sorted(cached(each.result()) for each in asked)
    return world.calls() - before, got


@pytest.mark.parametrize("whole", [True, False], ids=["kept", "may not be kept"])
def test_one_call_for_many_of_all_replicas(replicas: list[World], whole: bool) -> None:
    for turn in range(5):
        before = lost(replicas)
        found = asked_at_once(replicas, f"{'many' if whole else 'length'} {turn}", whole)
        if lost(replicas) == before:
            break
    assert found == ((1, ["hit"] * 11 + ["miss"]) if whole else (12, ["miss"] * 12))


def test_a_server_that_hangs_or_dies_delays_nobody(
    replicas: list[World],
    redis_server: RedisServer,  # noqa: F811
) -> None:
    first, second = replicas
    redis_server.hang()
    try:
        # Memory goes on; what is not there is asked, whatever the server may hold.
        assert [cached(first.chat(words)) for words in ("hung", "hung", "else")] == ["miss", "hit", "miss"]
        assert cached(second.chat("hung")) == "miss"
        assert metric(first, 'tierwise_cache_total{result="away"}') >= 1
    finally:
        redis_server.wake()
    redis_server.kill()
    assert [cached(first.chat("gone")) for _ in range(2)] == ["miss", "hit"]
    redis_server.start()
    words = (f"back {n}" for n in range(1_000_000))

    def given() -> bool:
        """Whether one more answer of the first reached the server."""
        assert cached(first.chat(next(words))) == "miss"
        return live.wait_for(lambda: shared(redis_server) > 0, 0.5)

    assert live.wait_for(given)
