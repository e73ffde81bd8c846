"""Calls with one prefix at once: who writes, who waits, and who is let go."""

import asyncio
from collections import Counter

import pytest

from tierwise.gateway.prefixes.fanout import Fanout

MARKS = ((b"prefix", "5m"),)
LONG_S = 30.0


class World:
    def __init__(self) -> None:
        self.now = 0
        self.waits: Counter[str] = Counter()
        self.fanout = Fanout(lambda: self.now, self.waits)
        self.sent: list[str] = []
        self.go = asyncio.Event()

    async def call(self, name: str, marks=MARKS, wait_s: float = LONG_S, fails: bool = False) -> None:
        async with self.fanout.turn(marks, wait_s):
            self.sent.append(name)
            await self.go.wait()
            if fails:
                raise ConnectionError

    def start(self, *names: str, **terms) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self.call(name, **terms)) for name in names]


@pytest.fixture
async def world() -> World:
    return World()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_others_wait_until_the_first_one_is_answered(world) -> None:
    tasks = world.start("a", "b", "c")
    await settle()
    assert world.sent == ["a"]
    world.go.set()
    await asyncio.gather(*tasks)
    assert world.sent == ["a", "b", "c"]
    assert world.waits == {"over": 2}
    await world.call("d")
    assert world.waits == {"over": 2}  # it can be read: nobody waits


async def test_when_the_first_one_fails_one_of_the_others_writes(world) -> None:
    first = world.start("a", fails=True)
    await settle()
    others = world.start("b", "c")
    await settle()
    assert world.sent == ["a"]
    world.go.set()
    with pytest.raises(ConnectionError):
        await first[0]
    world.go.clear()
    await settle()
    assert world.sent == ["a", "b"]  # c waits for b now
    world.go.set()
    await asyncio.gather(*others)
    assert world.sent == ["a", "b", "c"]


async def test_a_first_one_that_is_cancelled_lets_the_others_go(world) -> None:
    first, other = world.start("a", "b")
    await settle()
    first.cancel()
    await settle()
    assert world.sent == ["a", "b"]
    world.go.set()
    await other


async def test_a_wait_is_bounded_and_then_the_call_goes_by_itself(world, monkeypatch) -> None:
    loop = asyncio.get_running_loop()
    first, other = world.start("a", "b", wait_s=LONG_S)
    await settle()
    assert world.sent == ["a"]
    later = loop.time() + LONG_S
    monkeypatch.setattr(loop, "time", lambda: later)
    await settle()
    assert world.sent == ["a", "b"]
    assert world.waits == {"timeout": 1}
    world.go.set()
    await asyncio.gather(first, other)


async def test_without_a_wait_nobody_waits(world) -> None:
    tasks = world.start("a", "b", wait_s=0.0)
    await settle()
    assert world.sent == ["a", "b"]
    world.go.set()
    await asyncio.gather(*tasks)


async def test_what_has_expired_is_written_anew_by_one(world) -> None:
    world.go.set()
    await world.call("a")
    world.go.clear()
    world.now = 300_000_001
    tasks = world.start("b", "c")
    await settle()
    assert world.sent == ["a", "b"]
    world.go.set()
    await asyncio.gather(*tasks)


async def test_another_prefix_waits_for_nobody(world) -> None:
    tasks = [*world.start("a"), *world.start("b", marks=((b"other", "1h"),))]
    await settle()
    assert world.sent == ["a", "b"]
    world.go.set()
    await asyncio.gather(*tasks)


async def test_a_second_place_that_is_cold_is_waited_for_too(world) -> None:
    world.go.set()
    await world.call("warm")
    world.go.clear()
    both = (*MARKS, (b"turns", "5m"))
    tasks = world.start("a", "b", marks=both)
    await settle()
    assert world.sent == ["warm", "a"]
    world.go.set()
    await asyncio.gather(*tasks)
