"""The simulated prompt cache:

explicit breakpoints as Anthropic has them, automatic prefixes as OpenAI has them.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from msgspec import Struct

from .prompt import Block, Buckets

LOOK_BACK = 20
STEP_TOKENS = 128
TTL_US = {"5m": 300_000_000, "30m": 1_800_000_000, "1h": 3_600_000_000}
_MOST_ENTRIES = 200_000
_MOST_STEPS = 16_384


class Looked(Struct):
    """What the cache said of one prompt:

    the input buckets, and the entries to keep (digest, time to live in µs) once the reply begins.
    """

    used: Buckets
    entries: list[tuple[bytes, int]] = []


class Cache:
    """Prefixes seen, by digest of scope and content, until they expire.

    Every use starts the time to live anew.

    `now` gives microseconds. A scope (model and credential) never sees another's entries.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._live: dict[bytes, tuple[int, int]] = {}

    def clear(self) -> None:
        self._live.clear()

    def keep(self, looked: Looked) -> None:
        """Makes the prompt's prefixes readable.

        Called when the reply begins: requests before that do not hit.
        """
        if not looked.entries:
            return
        now = self._now()
        for digest, ttl in looked.entries:
            self._live.pop(digest, None)
            self._live[digest] = (now + ttl, ttl)
        while len(self._live) > _MOST_ENTRIES:
            del self._live[next(iter(self._live))]

    def explicit(self, scope: bytes, blocks: list[Block], minimum: int) -> Looked:
        """Reads and writes at breakpoints.

        The longest live prefix that ends at a breakpoint or up to 20 blocks before one is read; what lies
        between it and each later breakpoint is written for that breakpoint's time to live; the rest is
        fresh. Prefixes below `minimum` tokens are not cached.
        """
        chain, sums = _chain(scope, blocks)
        marks = [i for i, block in enumerate(blocks) if block.ttl and sums[i] >= minimum]
        hit = self._longest(marks, chain)
        used = Buckets(cache_read=sums[hit] if hit >= 0 else 0)
        entries = []
        done = used.cache_read
        for mark in marks:
            if mark <= hit:
                kept = self._live.get(chain[mark])
                if kept is not None:
                    entries.append((chain[mark], kept[1]))
                continue
            ttl = blocks[mark].ttl
            if ttl == "1h":
                used.cache_write_1h += sums[mark] - done
            else:
                used.cache_write_5m += sums[mark] - done
            done = sums[mark]
            entries.append((chain[mark], TTL_US[ttl]))
        if hit >= 0 and hit not in marks:
            entries.append((chain[hit], self._live[chain[hit]][1]))
        used.input = (sums[-1] if sums else 0) - done
        return Looked(used, entries)

    def automatic(self, scope: bytes, blocks: list[Block], minimum: int, writes: bool) -> Looked:
        """The longest seen prefix from `minimum` tokens up in steps of 128.

        `writes`: new steps are billed as cache writes.
        """
        total = sum(block.tokens for block in blocks)
        if total < minimum:
            return Looked(Buckets(input=total))
        content = b"\x00".join([block.key for block in blocks])
        chain, read, entries = blake2b(scope, digest_size=16), 0, []
        now, ttl, step = self._now(), TTL_US["30m" if writes else "5m"], STEP_TOKENS * 4
        steps = min(len(content) // step, total // STEP_TOKENS, _MOST_STEPS)
        for number in range(1, steps + 1):
            chain.update(content[(number - 1) * step : number * step])
            if number * STEP_TOKENS < minimum:
                continue
            digest = chain.digest()
            if self._live.get(digest, (0, 0))[0] > now:
                read = number * STEP_TOKENS
            entries.append((digest, ttl))
        written = max(0, steps * STEP_TOKENS - read) if writes and entries else 0
        return Looked(Buckets(input=total - read - written, cache_read=read, cache_write_5m=written), entries)

    def _longest(self, marks: list[int], chain: list[bytes]) -> int:
        now = self._now()
        for mark in reversed(marks):
            for i in range(mark, max(-1, mark - LOOK_BACK), -1):
                found = self._live.get(chain[i])
                if found is not None and found[0] > now:
                    return i
        return -1


def prefix_digest(blocks: list[Block]) -> bytes:
    """The digest of all that `blocks` say, breakpoints and earlier thinking left out."""
    digest = blake2b(digest_size=16)
    for block in blocks:
        if block.key.startswith(b"thinking\x1e"):
            continue
        digest.update(len(block.key).to_bytes(4, "big") + block.key)
    return digest.digest()


def _chain(scope: bytes, blocks: list[Block]) -> tuple[list[bytes], list[int]]:
    digest, sums, total = blake2b(scope, digest_size=16), [], 0
    chain = []
    for block in blocks:
        digest.update(len(block.key).to_bytes(4, "big") + block.key)
        total += block.tokens
        chain.append(digest.digest())
        sums.append(total)
    return chain, sums
