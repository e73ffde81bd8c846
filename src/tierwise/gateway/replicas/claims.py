"""Claims: where replicas are asked the same at once, one asks a provider and leaves word for the others.

A claim is a lease in Valkey that its holder renews: a replica that dies gives it up by itself. Whoever finds
it taken looks again until there is word, or the claim is free. While Valkey is away everybody may ask.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from itertools import count

from .valkey import Away, Valkey

LEASE_S = 10.0
_FIRST_LOOK_S, _LAST_LOOK_S = 0.02, 0.25
SCRIPTS = {
    # KEYS: word, claim. ARGV: holder, milliseconds. Answers the word, 1: the claim is ours, 0: it is not.
    "claim": """
local word = redis.call('GET', KEYS[1])
if word then return word end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[2]) == ARGV[1] then return 1 end
return 0
""",
    # KEYS: claim. ARGV: holder, milliseconds. A claim that a restart forgot is made anew.
    "hold": """
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
""",
    # KEYS: word, claim. ARGV: holder, word ('' for none), its milliseconds.
    "leave": """
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
""",
}


class Claims:
    """Claims on names, each held by one process at most, and the words left under them. The Valkey must know
    SCRIPTS."""

    def __init__(self, valkey: Valkey, words: str, claims: str) -> None:
        """`words` and `claims` are what their names begin with in the server."""
        self._valkey = valkey
        self._words = words
        self._claims = claims
        self._holder = secrets.token_hex(8)
        self._numbers = count()
        self._held: dict[str, str] = {}
        self._holding: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Future[object]] = set()

    async def take(self, name: str, wait_s: float | None = None) -> bytes | None:
        """The word under `name`. None: the caller is to find out and to `leave` it, as the claim is its own
        now or, without one, after `wait_s` seconds. Raises Away."""
        loop = asyncio.get_running_loop()
        until = None if wait_s is None else loop.time() + wait_s
        holder, look_s = f"{self._holder}-{next(self._numbers)}", _FIRST_LOOK_S
        places = (self._words + name, self._claims + name)
        while True:
            try:
                found = await self._valkey.ask("claim", places, holder, int(LEASE_S * 1000))
            except asyncio.CancelledError:
                # It may have been given before the caller went away.
                self._tell(name, holder)
                raise
            if isinstance(found, bytes):
                return found
            if found == 1:
                self._hold(name, holder)
                return None
            if until is not None and loop.time() >= until:
                return None
            await asyncio.sleep(look_s)
            look_s = min(2 * look_s, _LAST_LOOK_S)

    def leave(self, name: str, word: bytes = b"", keep_ms: int = 1) -> None:
        """Gives the claim up, and leaves `word` for `keep_ms`; nobody waits for it."""
        holder = self._held.pop(name, "")
        if holder or word:
            self._tell(name, holder, word, keep_ms)

    async def close(self) -> None:
        """Waits for what is on its way."""
        if self._holding is not None:
            self._holding.cancel()
        if self._telling:
            await asyncio.wait(self._telling)

    def _hold(self, name: str, holder: str) -> None:
        self._held[name] = holder
        if self._holding is None:
            self._holding = asyncio.get_running_loop().create_task(self._hold_all())

    async def _hold_all(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(LEASE_S / 3)
                for name, holder in list(self._held.items()):
                    with suppress(Away):
                        await self._valkey.ask("hold", (self._claims + name,), holder, int(LEASE_S * 1000))
        finally:
            self._holding = None

    def _tell(self, name: str, holder: str, word: bytes = b"", keep_ms: int = 1) -> None:
        places = (self._words + name, self._claims + name)
        telling = asyncio.ensure_future(self._valkey.ask("leave", places, holder, word, keep_ms))
        self._telling.add(telling)
        telling.add_done_callback(self._told)

    def _told(self, telling: asyncio.Future[object]) -> None:
        self._telling.discard(telling)
        if not telling.cancelled():
            # Away: the claim ends with its lease.
            telling.exception()
