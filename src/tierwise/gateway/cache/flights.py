"""Flights: of identical requests at once, one is asked upstream and the others wait for its copy."""

from __future__ import annotations

import asyncio
from typing import Literal

from .kept import Kept

Landed = Kept | Literal["failed", "unkept"]
"""How a flight ended: an answer to copy; none, so that another may try; one that nobody may copy."""


class Flight:
    """One request under way for all that ask the same."""

    def __init__(self) -> None:
        self._landed: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()

    def land(self, landed: Landed) -> None:
        """Tells those who wait."""
        self._landed.set_result(landed)

    async def wait(self, seconds: float) -> Landed:
        """How it ended; `unkept` when it takes longer than `seconds`."""
        await asyncio.wait((self._landed,), timeout=seconds)
        return self._landed.result() if self._landed.done() else "unkept"


class Flights:
    """The flights under way, by key."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def get(self, key: bytes) -> Flight | None:
        """The flight that is under way."""
        return self._flights.get(key)

    def begin(self, key: bytes) -> Flight:
        """A new one; there must be none."""
        flight = self._flights[key] = Flight()
        return flight

    def end(self, key: bytes, landed: Landed) -> None:
        """Lands it."""
        self._flights.pop(key).land(landed)
