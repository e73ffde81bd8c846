"""Flights: who waits is told how it ended, or goes alone after a while; nobody ends it for others."""

from __future__ import annotations

import asyncio

import pytest

from tierwise.gateway.cache.flights import Flights


async def test_all_who_wait_are_told() -> None:
    flights = Flights()
    flight = flights.begin(b"a")
    waiting = [asyncio.create_task(flight.wait(60)) for _ in range(3)]
    await asyncio.sleep(0)
    assert flights.get(b"a") is flight
    flights.end(b"a", "failed")
    assert await asyncio.gather(*waiting) == ["failed"] * 3
    assert flights.get(b"a") is None


async def test_one_who_leaves_takes_nobody_along() -> None:
    flights = Flights()
    flight = flights.begin(b"a")
    leaver, stays = (asyncio.create_task(flight.wait(60)) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaver
    flights.end(b"a", "unkept")
    assert await stays == "unkept"


async def test_nobody_waits_for_ever() -> None:
    assert await Flights().begin(b"a").wait(0) == "unkept"
