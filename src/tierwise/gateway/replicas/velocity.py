"""Admission shared by replicas: a key's requests and tokens per minute and its concurrency, kept in Valkey.

The same rules as Admission, in Lua, with the server's clock. Concurrency is counted in leases, so that a
replica that dies gives its places back. While Valkey is away each replica keeps to its share, the limit
divided by the replicas there were; money is not counted here but in the ledger, and stays exact.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Awaitable, Coroutine
from typing import Any

from msgspec.structs import replace

from tierwise.errors import LimitRefused
from tierwise.nouns import Key

from ..admission import Admission, used_up
from .valkey import Away, Valkey

LEASE_S = 60
"""How long a place outlives its replica."""
RENEW_S = 15.0
PRESENCE_S = 45
"""How long a replica counts after its last word."""
MOST_OWED = 10_000
"""Places remembered to be given back when Valkey answers again; others end with their leases."""
_NOBODY = Key(id="", name="", digest="", hint="")

# Times in microseconds: below 2^53 until the year 2255, so exact in Lua's doubles.
_NOW = "local t = redis.call('TIME') local now = t[1] * 1000000 + t[2]\n"
_GCRA = """
local function take(key, per_minute, amount)
    local cost = 60000000 * amount / per_minute
    local due = math.max(tonumber(redis.call('GET', key) or '0'), now)
    local wait = due + cost - now - 60000000
    if wait > 0 then return wait end
    local ends = string.format('%.0f', due + cost)
    redis.call('SET', key, ends, 'PX', math.ceil((due + cost - now) / 1000) + 1)
    return 0
end
"""
SCRIPTS = {
    # KEYS: requests, places. ARGV: requests a minute or 0, places or 0, lease's name, its seconds.
    # Answers {what was refused (0 nothing, 1 places, 2 requests), microseconds to wait}.
    "enter": _NOW
    + _GCRA
    + """
local places = tonumber(ARGV[2])
if places > 0 then
    if redis.call('ZSCORE', KEYS[2], ARGV[3]) then return {0, 0} end
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now))
    if redis.call('ZCARD', KEYS[2]) >= places then return {1, 0} end
end
if tonumber(ARGV[1]) > 0 then
    local wait = take(KEYS[1], tonumber(ARGV[1]), 1)
    if wait > 0 then return {2, math.ceil(wait)} end
end
if places > 0 then
    redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[4] * 1000000), ARGV[3])
    redis.call('EXPIRE', KEYS[2], ARGV[4])
end
return {0, 0}
""",
    # KEYS: tokens. ARGV: tokens a minute, tokens. Answers microseconds to wait.
    "tokens": _NOW + _GCRA + "return math.ceil(take(KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])))",
    # KEYS: tokens. ARGV: tokens a minute, tokens. Charges them whatever is left, two minutes' worth at most.
    "settle": _NOW
    + """
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + 60000000 * ARGV[2] / ARGV[1]
due = math.min(due, now + 120000000)
redis.call('SET', KEYS[1], string.format('%.0f', due), 'PX', math.ceil((due - now) / 1000) + 1)
return 0
""",
    # KEYS: places. ARGV: lease's names.
    "leave": "return redis.call('ZREM', KEYS[1], unpack(ARGV))",
    # KEYS: places. ARGV: seconds, lease's names. A place that was lost meanwhile is taken again.
    "renew": _NOW
    + """
for i = 2, #ARGV do
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1] * 1000000), ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return #ARGV - 1
""",
    # KEYS: replicas. ARGV: seconds, this one's name. Answers how many there are.
    "present": _NOW
    + """
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[1] * 1000000), ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('ZCARD', KEYS[1])
""",
}


class SharedAdmission(Admission):
    """Admission over Valkey. `enter` and `charge_tokens` give something to await, or None when it is done.

    `local` counts decisions made without Valkey; `replicas` is how many there were when it last answered.
    """

    def __init__(self, most: int, url: str) -> None:
        """Raises ConfigError when the client library is missing or the URL cannot be read."""
        super().__init__(most)
        self.valkey = Valkey(
            url,
            SCRIPTS,
            "each replica keeps to its share of every limit",
            "limits are shared between replicas",
        )
        self._name = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._count = 0
        self._leases: dict[str, list[str]] = {}
        """Places held in Valkey, by the key of their set."""
        self._renewing: asyncio.Task[None] | None = None
        self._unawaited: set[asyncio.Task[None]] = set()
        self._owed: list[tuple[str, str]] = []
        """Places that may still be held in Valkey though nobody is in them."""

    @property
    def away(self) -> bool:
        """Whether limits are kept by each replica for itself now."""
        return self.valkey.away

    async def start(self) -> None:
        """Connects to Valkey; where it is away, limits are local until it comes."""
        await self.valkey.start()
        with contextlib.suppress(Away):
            await self._renew()
        self._renewing = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Lets go of Valkey. Places still held end with their leases."""
        if self._renewing is not None:
            self._renewing.cancel()
        await self.valkey.close()

    def enter(self, key: Key) -> Awaitable[None] | None:
        """See Admission."""
        if key.rpm is None and key.max_concurrent is None:
            super().enter(_NOBODY)
            return None
        if self.valkey.away:
            self._enter_here(key)
            return None
        super().enter(_NOBODY)
        return self._enter_there(key)

    def leave(self, key: Key) -> None:
        """See Admission."""
        places = _place(key, "places")
        held = self._leases.get(places) if key.max_concurrent is not None else None
        if held:
            super().leave(_NOBODY)
            self._give_back(places, held.pop())
            if not held:
                del self._leases[places]
        elif key.max_concurrent is not None and key.id in self._by_key:
            super().leave(key)
        else:
            super().leave(_NOBODY)

    def charge_tokens(self, key: Key, tokens: int) -> Awaitable[None] | None:
        """See Admission."""
        if key.tpm is None:
            return None
        if self.valkey.away:
            self._charge_here(key, tokens)
            return None
        return self._charge_there(key, tokens)

    def settle_tokens(self, key: Key, tokens: int) -> None:
        """See Admission."""
        if key.tpm is None:
            return
        if self.valkey.away:
            super().settle_tokens(self._share(key), tokens)
        else:
            self._behind(self._settle_there(key, tokens))

    async def _settle_there(self, key: Key, tokens: int) -> None:
        try:
            await self.valkey.ask("settle", (_place(key, "tokens"),), key.tpm or 0, tokens)
        except Away:
            super().settle_tokens(self._share(key), tokens)

    async def _enter_there(self, key: Key) -> None:
        self._count += 1
        lease, places = f"{self._name}-{self._count}", _place(key, "places")
        try:
            refused, wait_us = await self.valkey.ask(
                "enter", (_place(key, "requests"), places), key.rpm or 0, key.max_concurrent or 0, lease,
                LEASE_S,
            )  # fmt: skip
            if refused == 1:
                raise LimitRefused(
                    f"Key {key.name!r} already has {key.max_concurrent} requests running.",
                    "Wait for one to end, or use a key that may have more.",
                )
            if refused:
                raise used_up(key, key.rpm or 0, "requests", 1, wait_us)
        except Away:
            super().leave(_NOBODY)
            # It may have been taken: the answer was late, not the question.
            self._owe(places, lease)
            self._enter_here(key)
        except asyncio.CancelledError:
            super().leave(_NOBODY)
            # Its place may have been taken before the caller went away.
            self._give_back(places, lease)
            raise
        except LimitRefused:
            super().leave(_NOBODY)
            raise
        else:
            if key.max_concurrent is not None:
                self._leases.setdefault(places, []).append(lease)

    async def _charge_there(self, key: Key, tokens: int) -> None:
        try:
            wait_us = await self.valkey.ask("tokens", (_place(key, "tokens"),), key.tpm or 0, tokens)
        except Away:
            self._charge_here(key, tokens)
        else:
            if wait_us > 0:
                raise used_up(key, key.tpm or 0, "tokens", tokens, wait_us)

    def _enter_here(self, key: Key) -> None:
        self.local += 1
        super().enter(self._share(key))

    def _charge_here(self, key: Key, tokens: int) -> None:
        self.local += 1
        super().charge_tokens(self._share(key), tokens)

    def _share(self, key: Key) -> Key:
        """The key with this replica's share of its limits, at least one of each."""

        def part(limit: int | None) -> int | None:
            return None if limit is None else max(1, limit // self.replicas)

        return replace(key, rpm=part(key.rpm), tpm=part(key.tpm), max_concurrent=part(key.max_concurrent))

    def _give_back(self, places: str, lease: str) -> None:
        self._behind(self._leave_there(places, lease))

    def _behind(self, work: Coroutine[Any, Any, None]) -> None:
        # Nobody waits for it.
        task = asyncio.get_running_loop().create_task(work)
        self._unawaited.add(task)
        task.add_done_callback(self._unawaited.discard)

    async def _leave_there(self, places: str, lease: str) -> None:
        try:
            await self.valkey.ask("leave", (places,), lease)
        except Away:
            self._owe(places, lease)

    def _owe(self, places: str, lease: str) -> None:
        if len(self._owed) < MOST_OWED:
            self._owed.append((places, lease))

    async def _keep(self) -> None:
        while True:
            # Soon again when Valkey was away: what it forgot is told it anew.
            await asyncio.sleep(1.0 if self.valkey.away else RENEW_S)
            with contextlib.suppress(Away):
                await self._renew()

    async def _renew(self) -> None:
        self.replicas = max(
            1, int(await self.valkey.ask("present", ("tw1:replicas",), PRESENCE_S, self._name))
        )
        owed, self._owed = self._owed, []
        for places, lease in owed:
            self._give_back(places, lease)
        for places, held in list(self._leases.items()):
            for first in range(0, len(held), 500):
                await self.valkey.ask("renew", (places,), LEASE_S, *held[first : first + 500])


def _place(key: Key, what: str) -> str:
    """Where a limit is kept: tenant and full digest, so that no two callers ever share one. The braces put
    all of a key's limits on one node of a cluster.
    """
    return f"tw1:{{{key.digest}}}:{what}:{key.project}"
