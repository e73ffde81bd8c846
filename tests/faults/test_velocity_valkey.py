"""Limits shared by replicas over a real Valkey or Redis: exact together; when it dies, hangs, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis as RedisClient

from redis_server import RedisServer, redis_server  # noqa: F401  a fixture
from tierwise.errors import ConfigError, LimitRefused, Overloaded
from tierwise.gateway.replicas import valkey
from tierwise.gateway.replicas.velocity import SharedAdmission
from tierwise.nouns import Key


def key(**limits: int | str) -> Key:
    terms = {"id": "key_1", "name": "team", "digest": "d" * 64, "hint": "abcd", **limits}
    return Key(**terms)  # type: ignore[arg-type]


@pytest.fixture
async def replicas(
    redis_server: RedisServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[list[SharedAdmission]]:
    # On a busy machine an answer may take longer than 50 ms, and no test is of that.
    monkeypatch.setattr(valkey, "ANSWER_S", 2.0)
    made = [SharedAdmission(1000, redis_server.url) for _ in range(2)]
    for replica in made:
        await replica.start()
    for replica in made:
        await replica._renew()
    yield made
    for replica in made:
        await replica.close()


async def enter(replica: SharedAdmission, who: Key) -> bool:
    try:
        waiting = replica.enter(who)
        if waiting is not None:
            await waiting
    except LimitRefused:
        return False
    return True


async def charge(replica: SharedAdmission, who: Key, tokens: int) -> bool:
    try:
        waiting = replica.charge_tokens(who, tokens)
        if waiting is not None:
            await waiting
    except LimitRefused:
        return False
    return True


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 60
    while not await true():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)


async def back(replica: SharedAdmission) -> None:
    async def is_back() -> bool:
        return not replica.away

    await until(is_back)


async def test_requests_a_minute_are_one_limit_for_all_replicas(replicas: list[SharedAdmission]) -> None:
    who = key(rpm=10)
    taken = await asyncio.gather(*[enter(replicas[n % 2], who) for n in range(40)])
    assert sum(taken) == 10
    assert replicas[0].running + replicas[1].running == 10
    with pytest.raises(LimitRefused) as refused:
        await replicas[1].enter(who)  # type: ignore[misc]
    assert 1 <= refused.value.retry_after_s <= 6
    assert "10 requests a minute" in refused.value.message


async def test_tokens_a_minute_are_one_limit_for_all_replicas(replicas: list[SharedAdmission]) -> None:
    who = key(tpm=1000)
    assert await charge(replicas[0], who, 700)
    assert not await charge(replicas[1], who, 400)
    assert await charge(replicas[1], who, 300)
    assert not await charge(replicas[0], who, 400)
    assert not await charge(replicas[0], key(tpm=1000, digest="e" * 64), 1001), "more than a minute's tokens"


async def test_tokens_used_beyond_the_estimate_are_charged_to_all_replicas(
    replicas: list[SharedAdmission],
) -> None:
    who = key(tpm=1000)
    assert await charge(replicas[0], who, 10)
    replicas[0].settle_tokens(who, 900)
    for _ in range(6000):
        if not await charge(replicas[1], who, 95):
            break
        await asyncio.sleep(0.01)
    assert not await charge(replicas[1], who, 500)
    replicas[0].settle_tokens(who, 10**9)
    for _ in range(6000):
        with pytest.raises(LimitRefused) as refused:
            await replicas[1].charge_tokens(who, 990)
        if refused.value.retry_after_s == 60:
            break
        await asyncio.sleep(0.01)
    assert refused.value.retry_after_s == 60


async def test_a_limit_recovers_with_time_at_its_rate(replicas: list[SharedAdmission]) -> None:
    who = key(rpm=100)
    assert sum(await asyncio.gather(*[enter(replicas[0], who) for _ in range(100)])) >= 100
    for _ in range(100):
        if not await enter(replicas[1], who):
            break
    else:
        pytest.fail("a request was let in more often than every 0.6 s")
    await until(lambda: enter(replicas[1], who))


async def test_concurrency_is_one_limit_and_places_are_given_back(replicas: list[SharedAdmission]) -> None:
    who = key(max_concurrent=3)
    assert [await enter(replicas[n % 2], who) for n in range(4)] == [True, True, True, False]
    replicas[0].leave(who)
    await until(lambda: enter(replicas[1], who))
    assert not await enter(replicas[0], who)
    for replica, times in ((replicas[0], 1), (replicas[1], 2)):
        for _ in range(times):
            replica.leave(who)
    assert [replica.running for replica in replicas] == [0, 0]


async def test_a_place_of_a_replica_that_died_ends_with_its_lease(
    replicas: list[SharedAdmission], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tierwise.gateway.replicas.velocity.LEASE_S", 1)
    who = key(max_concurrent=1)
    began = time.monotonic()
    assert await enter(replicas[0], who)
    await replicas[0].close()
    if not await enter(replicas[1], who):
        await until(lambda: enter(replicas[1], who))
    assert time.monotonic() > began + 0.9


async def test_other_keys_and_other_tenants_have_limits_of_their_own(replicas: list[SharedAdmission]) -> None:
    assert await enter(replicas[0], key(rpm=1))
    assert not await enter(replicas[1], key(rpm=1))
    assert await enter(replicas[1], key(rpm=1, digest="e" * 64))
    assert await enter(replicas[1], key(rpm=1, project="{other}:requests:"))


async def test_a_caller_that_leaves_while_it_waits_holds_no_place(replicas: list[SharedAdmission]) -> None:
    who = key(max_concurrent=1)
    waiting = asyncio.ensure_future(replicas[0].enter(who))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert replicas[0].running == 0
    await until(lambda: enter(replicas[1], who))


async def test_without_valkey_each_replica_keeps_to_its_share_and_says_so_once(
    replicas: list[SharedAdmission],
    redis_server: RedisServer,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "tierwise")
    who = key(rpm=10, tpm=100, max_concurrent=4)
    redis_server.kill()
    assert [sum([await enter(replica, who) for _ in range(10)]) for replica in replicas] == [2, 2]
    assert [await charge(replica, who, 60) for replica in replicas] == [False, False]
    assert [await charge(replica, who, 50) for replica in replicas] == [True, True]
    assert all(replica.away and replica.local > 10 for replica in replicas)
    said = [record for record in caplog.records if "valkey is away" in record.message]
    assert len(said) == 2, "one line for each replica"
    redis_server.start()
    for replica in replicas:
        await back(replica)
    for replica in replicas:
        for _ in range(2):
            replica.leave(who)
        assert replica.running == 0
    assert sum(await asyncio.gather(*[enter(replicas[n % 2], who) for n in range(40)])) == 4


async def test_places_taken_before_valkey_was_restarted_still_count(
    replicas: list[SharedAdmission],
    redis_server: RedisServer,  # noqa: F811
) -> None:
    who = key(max_concurrent=2)
    assert await enter(replicas[0], who)
    assert await enter(replicas[0], who)
    redis_server.kill()
    redis_server.start()
    await enter(replicas[0], key(rpm=100))
    await enter(replicas[1], key(rpm=100))
    for replica in replicas:
        await back(replica)
    await replicas[0]._renew()
    assert not await enter(replicas[1], who)
    replicas[0].leave(who)
    replicas[0].leave(who)


async def test_a_connection_that_the_server_closed_costs_no_decision(
    replicas: list[SharedAdmission],
    redis_server: RedisServer,  # noqa: F811
) -> None:
    who = key(rpm=4, max_concurrent=8)
    async with RedisClient.from_url(redis_server.url) as server:
        for n in range(6):
            await server.client_kill_filter(_type="normal", skipme=True)
            assert await enter(replicas[n % 2], who) == (n < 4)
        assert [(each.local, each.away, each.valkey.lost_count) for each in replicas] == [(0, False, 0)] * 2
        # The same question, whose answer was lost on its way.
        places = ("requests", "places")
        asked = [await replicas[0].valkey.ask("enter", places, 0, 1, "lease", 60) for _ in range(2)]
        assert asked == [[0, 0], [0, 0]]


async def test_a_valkey_that_hangs_holds_nobody_up(
    replicas: list[SharedAdmission],
    redis_server: RedisServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(valkey, "PROBE_S", 0.1)
    who = key(rpm=10, max_concurrent=10)
    assert await enter(replicas[0], who)
    redis_server.hang()
    try:
        async with asyncio.timeout(30):
            taken = await asyncio.gather(*[enter(replicas[0], who) for _ in range(20)])
        assert sum(taken) == 5
        assert replicas[0].away
        assert replicas[0].enter(key(id="key_2", rpm=100)) is None, "nobody waits for it again"
    finally:
        redis_server.wake()
    await back(replicas[0])
    for _ in range(sum(taken) + 2):  # with the first, and that of key_2
        replicas[0].leave(who)
    assert replicas[0].running == 0


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
    ],
)
async def test_a_valkey_that_takes_no_writes_is_away_until_it_does(
    replicas: list[SharedAdmission],
    redis_server: RedisServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    worse: tuple[str, ...],
    better: tuple[str, ...],
) -> None:
    """A failover's old primary, and a full server under `noeviction`: they answer, and refuse."""
    monkeypatch.setattr(valkey, "PROBE_S", 0.05)
    caplog.set_level(logging.WARNING, "tierwise")
    who, asked = key(rpm=1000), replicas[0].valkey._client
    await asked.execute_command(*worse)
    await until(lambda: _lost(replicas[0], who))
    for _ in range(20):
        await asyncio.sleep(0.05)
        assert await enter(replicas[0], who)
        assert replicas[0].away
    assert len([record for record in caplog.records if "valkey" in record.message]) == 1
    other = RedisClient.from_url(redis_server.url)
    await other.execute_command(*better)
    await other.aclose()
    await back(replicas[0])


async def _lost(replica: SharedAdmission, who: Key) -> bool:
    await enter(replica, who)
    with contextlib.suppress(valkey.Away):
        # A full server still counts in the room of what it counted before: this takes new room.
        await replica.valkey.ask("present", ("tw1:replicas",), 1, str(time.monotonic()))
    return replica.away


async def test_a_gateway_that_is_full_or_draining_refuses_before_it_asks(
    redis_server: RedisServer,  # noqa: F811
) -> None:
    full = SharedAdmission(1, redis_server.url)
    await full.start()
    assert full.enter(key()) is None
    with pytest.raises(Overloaded):
        full.enter(key(rpm=5))
    full.leave(key())
    full.draining = True
    with pytest.raises(Overloaded):
        full.enter(key(rpm=5))
    await full.close()


async def test_a_valkey_that_is_away_at_the_start_is_found_later(
    redis_server: RedisServer,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(valkey, "PROBE_S", 0.1)
    redis_server.kill()
    early = SharedAdmission(10, redis_server.url)
    await early.start()
    assert early.away
    assert await enter(early, key(rpm=1))
    redis_server.start()
    await back(early)
    assert await enter(early, key(rpm=1))
    await early.close()


def test_a_url_that_is_none_is_told() -> None:
    with pytest.raises(ConfigError, match="redis URL"):
        SharedAdmission(1, "localhost")
