"""The Door's second half: is there room, for this gateway and for this Caller?

Requests and tokens per minute by GCRA (the generic cell rate algorithm): one number per key, the time at
which its bucket would be empty again. Tokens are charged as estimated before the call, so that a burst
cannot slip through, and what a call used beyond that when it is over.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable

from tierwise.clock import now_us, rfc3339, tick_us
from tierwise.errors import LimitRefused, Overloaded
from tierwise.http1 import Line, Spread
from tierwise.nouns import DialectName, Key
from tierwise.upstream import Header

_MINUTE_US = 60_000_000
_MOST_DUE = 100_000
"""Limits of keys remembered before those that owe nothing are forgotten."""


class Admission:
    """Counts what is running. `most` is how many requests may be in flight at once."""

    def __init__(self, most: int = 2000) -> None:
        self.most = most
        self.running = 0
        self.draining = False
        self.line = Line(0)
        """Where requests wait to be begun; the server's, once it is there."""
        self.local = 0
        """Decisions made without the store that replicas share."""
        self.replicas = 1
        self._spread = Spread()
        self._by_key: dict[str, int] = {}
        self._due: dict[tuple[str, str], float] = {}

    @property
    def away(self) -> bool:
        """Whether a store that replicas share cannot be reached. Here there is none."""
        return False

    @property
    def waiting(self) -> int:
        """Requests that wait to be begun, beside those that are running."""
        return len(self.line.waiting)

    async def start(self) -> None:
        """Nothing to connect to: limits are kept here."""

    async def close(self) -> None:
        """Nothing to let go of."""

    def enter(self, key: Key) -> Awaitable[None] | None:
        """Takes a place for one request of `key`; `leave` gives it back. Gives what must be awaited for it,
        if anything. Raises Overloaded or LimitRefused."""
        if self.draining:
            raise Overloaded("This gateway is shutting down.", "Retry: another replica will answer.")
        if self.running >= self.most:
            full = f"This gateway already serves {self.running} requests."
            raise Overloaded(full, "Retry in a moment.", self._spread.next_s())
        if key.max_concurrent is not None and self._by_key.get(key.id, 0) >= key.max_concurrent:
            raise LimitRefused(
                f"Key {key.name!r} already has {key.max_concurrent} requests running.",
                "Wait for one to end, or use a key that may have more.",
            )
        if key.rpm is not None:
            self._take(key, "requests", key.rpm, 1)
        self.running += 1
        if key.max_concurrent is not None:
            self._by_key[key.id] = self._by_key.get(key.id, 0) + 1
        return None

    def leave(self, key: Key) -> None:
        """Gives back the place `enter` took."""
        self.running -= 1
        if key.max_concurrent is not None:
            self._by_key[key.id] -= 1
            if not self._by_key[key.id]:
                del self._by_key[key.id]

    def charge_tokens(self, key: Key, tokens: int) -> Awaitable[None] | None:
        """Charges `tokens` (estimated prompt and output) on the key's tokens per minute. Gives what must be
        awaited for it, if anything. Raises LimitRefused."""
        if key.tpm is not None:
            self._take(key, "tokens", key.tpm, tokens)
        return None

    def settle_tokens(self, key: Key, tokens: int) -> None:
        """Charges what a call used beyond its charge beforehand. Refuses nothing: the key waits for it, two
        minutes at most."""
        if key.tpm is not None:
            now = tick_us()
            due = max(self._due.get((key.id, "tokens"), 0.0), now) + _MINUTE_US * tokens / max(key.tpm, 1)
            self._due[(key.id, "tokens")] = min(due, now + 2.0 * _MINUTE_US)

    def _take(self, key: Key, what: str, per_minute: int, amount: int) -> None:
        now = tick_us()
        cost_us = _MINUTE_US * amount / max(per_minute, 1)
        due = max(self._due.get((key.id, what), 0.0), now)
        wait_us = due + cost_us - now - _MINUTE_US
        if per_minute <= 0 or wait_us > 0:
            raise used_up(key, per_minute, what, amount, wait_us)
        self._due[(key.id, what)] = due + cost_us
        if len(self._due) > _MOST_DUE:
            self._due = {name: at for name, at in self._due.items() if at > now}


def used_up(key: Key, per_minute: int, what: str, amount: int, wait_us: float) -> LimitRefused:
    """The refusal of `amount` of `what`, for which there is room in `wait_us`; never, where it is more than a
    whole minute's."""
    seconds = math.ceil(max(1.0, min(60.0, wait_us / 1e6)))
    if amount > per_minute:
        error = LimitRefused(
            f"This request needs {amount} {what}, and key {key.name!r} may use {per_minute} a minute.",
            "Send a smaller one, ask for fewer output tokens, or use a key with a higher limit.",
            retry_after_s=None,
        )
        error.retry = "never"
    else:
        error = LimitRefused(
            f"Key {key.name!r} may use {per_minute} {what} a minute, and that is used up.",
            f"Retry in {seconds} s, or use a key with a higher limit.",
            retry_after_s=seconds,
        )
    error.what, error.limit = what, per_minute
    error.left = max(0, int(amount - wait_us * per_minute / _MINUTE_US))
    return error


def limit_headers(error: LimitRefused, dialect: DialectName) -> list[Header]:
    """What is left and when there is room again, as the vendor of `dialect` tells it."""
    if not error.what:
        return []
    pattern = "x-ratelimit-{}-" + error.what
    if dialect == "anthropic_messages":
        pattern = f"anthropic-ratelimit-{error.what}-" + "{}"
    told = [("limit", str(error.limit)), ("remaining", str(error.left))]
    if error.retry_after_s is not None:
        told.append(("reset", _reset(error.retry_after_s, dialect)))
    return [(pattern.format(word).encode(), value.encode()) for word, value in told]


def _reset(wait_s: float, dialect: DialectName) -> str:
    if dialect != "anthropic_messages":
        return f"{math.ceil(wait_s)}s"
    return f"{rfc3339(now_us() + int(wait_s * 1e6) + 999_999)[:19]}Z"
