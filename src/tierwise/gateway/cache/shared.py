"""Shared: answers in a Valkey or Redis that replicas share. While it is away, each has its own."""

from __future__ import annotations

import asyncio

from tierwise.clock import now_us

from ..metrics import Metrics
from ..valkey import Away, Valkey
from .kept import Kept, packed, unpacked

_PREFIX = "tierwise:answer:"
_SCRIPTS = {
    "get": "return redis.call('GET', KEYS[1])",
    # ARGV: the answer, its milliseconds.
    "put": "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])",
}


class Shared:
    """Answers by key in one server. Nobody waits for it longer than 50 ms; how much there is room for, and
    what goes first, is the server's `maxmemory` and `maxmemory-policy`."""

    def __init__(self, url: str, metrics: Metrics) -> None:
        """Raises ConfigError when the client library is missing or the URL cannot be read."""
        self._valkey = Valkey(
            url, _SCRIPTS, "each replica keeps its own answers", "answers are shared between replicas"
        )
        self._metrics = metrics
        self._putting: set[asyncio.Future[object]] = set()

    async def start(self) -> None:
        """Connects, within two seconds; goes on trying afterwards if that fails."""
        await self._valkey.start()

    async def get(self, key: bytes) -> Kept | None:
        """The answer under `key`; None when there is none, or the server is away or slow."""
        if self._valkey.away:
            self._metrics.cache["away"] += 1
            return None
        try:
            raw = await self._valkey.ask("get", (_PREFIX + key.hex(),))
        except Away:
            self._metrics.cache["away"] += 1
            return None
        kept = unpacked(raw) if isinstance(raw, bytes) else None
        return kept if kept is not None and now_us() < kept.until_us else None

    def put(self, key: bytes, kept: Kept) -> None:
        """Gives the answer to the other replicas; nobody waits for it."""
        left_ms = (kept.until_us - now_us()) // 1000
        if self._valkey.away or left_ms <= 0:
            return
        asking = asyncio.ensure_future(self._valkey.ask("put", (_PREFIX + key.hex(),), packed(kept), left_ms))
        self._putting.add(asking)
        asking.add_done_callback(self._put)

    async def close(self) -> None:
        """Waits for what is on its way, then lets go of the server."""
        if self._putting:
            await asyncio.wait(self._putting)
        await self._valkey.close()

    def _put(self, asked: asyncio.Future[object]) -> None:
        self._putting.discard(asked)
        if not asked.cancelled() and asked.exception() is not None:
            self._metrics.cache["away"] += 1
