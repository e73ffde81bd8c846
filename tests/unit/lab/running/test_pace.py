"""Pace: how many calls are in flight, who goes next, and that nobody's place is lost."""

from __future__ import annotations

import asyncio

import pytest

from tierwise.lab.running.pace import Pace, Room


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_room_is_for_so_many_and_who_waits_longest_goes_first() -> None:
    room, inside, log = Room(2), asyncio.Event(), list[str]()

    async def call(name: str) -> None:
        async with room:
            log.append(name)
            await inside.wait()

    tasks = [asyncio.ensure_future(call(name)) for name in "abcd"]
    await settle()
    assert log == ["a", "b"]
    tasks[2].cancel()  # gives its place in the queue up
    inside.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert log == ["a", "b", "d"]
    inside.clear()
    again = [asyncio.ensure_future(call(name)) for name in "efg"]
    await settle()
    assert log[3:] == ["e", "f"]  # both places came back, and no third
    inside.set()
    await asyncio.gather(*again)


async def test_a_place_given_to_one_who_is_cancelled_goes_to_the_next() -> None:
    room, log = Room(1), list[str]()

    async def call(name: str) -> None:
        async with room:
            log.append(name)

    await room.__aenter__()
    late, next_ = (asyncio.ensure_future(call(name)) for name in ("late", "next"))
    await settle()
    await room.__aexit__()
    late.cancel()  # it has the place, and has not run yet
    await asyncio.gather(late, next_, return_exceptions=True)
    assert log == ["next"]


async def enter(pace: Pace, number: int) -> list[int]:
    return [await asyncio.wait_for(pace.enter(), 5) for _ in range(number)]


@pytest.mark.parametrize(
    ("most", "limits"), [(64, [16, 32, 64, 64]), (20, [16, 20, 20, 20]), (3, [3, 3, 3, 3])]
)
async def test_it_doubles_each_round_up_to_the_most(most: int, limits: list[int]) -> None:
    pace, found = Pace(most), []
    for _ in limits:
        found.append(int(pace.limit))
        for ticket in await enter(pace, int(pace.limit)):
            pace.leave(ticket, False)
    assert found == limits


async def test_congestion_halves_once_for_all_that_were_in_flight_and_then_it_grows_by_one_a_round() -> None:
    pace = Pace(64)
    tickets = await enter(pace, 16)
    for ticket in tickets:
        pace.leave(ticket, True)
    assert pace.limit == 8
    for ticket in await enter(pace, 8):
        pace.leave(ticket, None)
    assert pace.limit == 8  # nothing was said of congestion
    for ticket in await enter(pace, 8):
        pace.leave(ticket, False)
    assert 8.9 < pace.limit < 9.1
    for _ in range(9):
        for ticket in await enter(pace, 1):
            pace.leave(ticket, True)
    assert pace.limit == 1


async def test_who_waits_goes_on_when_there_is_room_also_past_one_who_left() -> None:
    pace, log = Pace(1), list[str]()

    async def call(name: str) -> None:
        ticket = await pace.enter()
        log.append(name)
        await asyncio.sleep(0)
        pace.leave(ticket, False)

    [first] = await enter(pace, 1)
    gone, after, last = (asyncio.ensure_future(call(name)) for name in ("gone", "after", "last"))
    await settle()
    assert log == []
    pace.leave(first, False)
    gone.cancel()  # it was woken, and has not run yet
    await asyncio.gather(gone, after, last, return_exceptions=True)
    assert log == ["after", "last"]
    assert pace.in_flight == 0
