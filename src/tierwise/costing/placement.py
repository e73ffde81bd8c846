"""Whether a prompt-cache breakpoint pays at one place of prompts, from the uses of that place so far.

A breakpoint reads what stood there at most its lifetime before, and writes the rest. It pays where the tokens
read for each token written are more than the break-even of `promptcache`, (write − input) / (input − read).
"""

from __future__ import annotations

from ..nouns import Price
from .promptcache import LIFETIME_S, Lifetime, rates_at

LIFETIMES: tuple[Lifetime, ...] = ("5m", "1h")
_FORGOTTEN = 64
"""Uses after which what was seen counts half: habits of callers change."""


class Reuse:
    """Tokens that a breakpoint at one place would have read and written under each lifetime, had it always
    been there.
    """

    __slots__ = ("last_us", "read", "uses", "written")

    def __init__(self) -> None:
        self.uses = 0
        self.last_us: int | None = None
        self.read = dict.fromkeys(LIFETIMES, 0)
        self.written = dict.fromkeys(LIFETIMES, 0)

    def use(self, tokens: int, kept: int, gap_us: int | None) -> None:
        """One prompt with `tokens` up to the place, the first `kept` of which another had `gap_us` before
        (None: no other had)."""
        if self.uses >= _FORGOTTEN:
            self.uses //= 2
            for sums in (self.read, self.written):
                for lifetime in LIFETIMES:
                    sums[lifetime] //= 2
        self.uses += 1
        for lifetime in LIFETIMES:
            alive = gap_us is not None and gap_us <= LIFETIME_S[lifetime] * 1_000_000
            read = min(kept, tokens) if alive else 0
            self.read[lifetime] += read
            self.written[lifetime] += tokens - read

    def saved_pico(self, price: Price, prompt_tokens: int, lifetime: Lifetime) -> int | None:
        """What a breakpoint of this lifetime would have saved so far, in pico-dollars; None: a price is not
        known. Above 0 exactly where reads per write are above break-even."""
        rates = rates_at(price, prompt_tokens, lifetime)
        if rates is None:
            return None
        fresh, read, write = rates
        return self.read[lifetime] * (fresh - read) - self.written[lifetime] * (write - fresh)

    def lifetime(self, price: Price, prompt_tokens: int, longest: Lifetime = "1h") -> Lifetime | None:
        """The lifetime, no longer than `longest`, that would have saved the most; None where none pays."""
        best, most = None, 0
        for lifetime in LIFETIMES if longest == "1h" else LIFETIMES[:1]:
            saved = self.saved_pico(price, prompt_tokens, lifetime)
            if saved is not None and saved > most:
                best, most = lifetime, saved
        return best
