"""Shared: answers in a Valkey or Redis that replicas share, and which of them asks for one that is not there.
While it is away, each has its own.
"""

from __future__ import annotations

from typing import Literal

from tierwise.clock import now_us

from ..metrics import Metrics
from ..replicas.claims import SCRIPTS, Claims
from ..replicas.valkey import Away, Valkey
from .flights import Landed
from .kept import Kept, packed, unpacked

_PREFIX = "tierwise:answer:"
_UNKEPT = b"-"
"""Said for a second where nobody may copy the answer: those who wait ask for themselves."""


class Shared:
    """Answers by key in one server. Nobody waits for it longer than 50 ms; how much there is room for, and
    what goes first, is the server's `maxmemory` and `maxmemory-policy`."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        """Raises ConfigError when the client library is missing or the URL cannot be read."""
        self._valkey = Valkey(
            url, SCRIPTS, "each replica keeps its own answers", "answers are shared between replicas"
        )
        self._metrics = metrics
        self._claims = Claims(self._valkey, _PREFIX, "tierwise:flight:")

    async def start(self) -> None:
        """Connects, within two seconds; goes on trying afterwards if that fails."""
        await self._valkey.start()

    async def take(self, key: bytes, wait_s: float) -> Kept | Literal["unkept"] | None:
        """The answer under `key`, after a wait of `wait_s` seconds at most while another replica asks. None:
        this one is to ask, and to `land` what it got."""
        if self._valkey.away:
            self._metrics.cache["away"] += 1
            return None
        try:
            word = await self._claims.take(key.hex(), wait_s)
        except Away:
            self._metrics.cache["away"] += 1
            return None
        if word == _UNKEPT:
            return "unkept"
        kept = unpacked(word) if word is not None else None
        return kept if kept is not None and kept.holds(now_us()) else None

    def put(self, key: bytes, kept: Kept) -> None:
        """Gives the answer to the other replicas; nobody waits for it."""
        left_ms = (kept.until_us - now_us()) // 1000
        if self._valkey.away:
            self._metrics.cache["away"] += 1
        elif left_ms > 0:
            self._claims.leave(key.hex(), packed(kept), left_ms)

    def land(self, key: bytes, landed: Landed) -> None:
        """Lets the other replicas go on. An answer was put before."""
        self._claims.leave(key.hex(), _UNKEPT if landed == "unkept" else b"", 1000)

    async def close(self) -> None:
        """Waits for what is on its way, then lets go of the server."""
        await self._claims.close()
        await self._valkey.close()
