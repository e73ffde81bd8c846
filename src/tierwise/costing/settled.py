"""Settled: one finished Attempt as the figures take it, its correction included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from ..nouns import Usage


class Settled(Struct, frozen=True, array_like=True):
    """An Attempt that ended at `at_us` (microseconds since 1970) on `day` (UTC), `total_us` after it began.

    `cost_pico` None: unpriced, and `unpriced` says why. `known` is False where no tokens are known at all: a
    swept call is booked at its reservation.
    """

    attempt: str
    exchange: str
    at_us: int
    day: str
    model: str
    provider: str
    usage: Usage
    cost_pico: int | None
    outcome: str
    unpriced: str = ""
    key: str = ""
    task: str = ""
    tier: str = ""
    kind: str = "call"
    asked: str = ""
    session: str = ""
    prefix: str = ""
    """Digest of the cached prefix, "" where the ledger keeps none."""
    tags: tuple[str, ...] = ()
    stream: bool = False
    total_us: int = 0
    served_model: str = ""
    asked_pico: int | None = None
    reference_pico: int | None = None
    known: bool = True
    error: str = ""

    @property
    def batch(self) -> bool:
        """Whether it was sent as part of a batch."""
        return self.kind == "batch"

    @property
    def exact(self) -> bool:
        """Whether the provider reported every token."""
        return self.known and self.usage.source == "reported"


class Only(Struct, frozen=True):
    """Which finished Attempts are asked for: those left out can change no figure. None: all of them.

    Whoever gives them may give others too. A swept call is given whatever its outcome: a correction may
    follow, which has another.
    """

    kinds: tuple[str, ...] | None = None
    outcomes: tuple[str, ...] | None = None
    tasks: tuple[str, ...] | None = None


EVERY = Only()


def corrected(ended: Iterable[tuple[bool, Settled]]) -> Iterator[Settled]:
    """Finished Attempts in order of their end, from CLOSE rows and, where True comes first, corrections.

    A swept call waits for its correction and comes last. A correction whose CLOSE is not among them is left
    out: its amounts are differences to a row that is not there. So is a hit of the response cache: no call
    was made.
    """
    swept: dict[str, Settled] = {}
    for late, one in ended:
        if late:
            before = swept.pop(one.attempt, None)
            if before is not None and one.outcome != "cached":
                cost = None if one.unpriced else (before.cost_pico or 0) + (one.cost_pico or 0)
                yield structs.replace(one, cost_pico=cost, at_us=before.at_us, day=before.day)
        elif one.outcome == "swept":
            swept[one.attempt] = one
        elif one.outcome != "cached":
            yield one
    yield from swept.values()
