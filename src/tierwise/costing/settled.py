"""Settled: one finished Attempt as the ledger's export tells it, its correction included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, structs

from ..nouns import Usage

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


class Settled(Struct, frozen=True):
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


def settled(rows: Iterable[Mapping[str, Any]]) -> Iterator[Settled]:
    """The finished Attempts in `rows` (the shape of `ledger export --jsonl`); see `corrected`."""
    return corrected((row["event"] == "correction", _read(row)) for row in rows if row["event"] != "open")


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


def microseconds(at: str) -> int:
    """RFC 3339 → microseconds since 1970."""
    return (datetime.fromisoformat(at) - _EPOCH) // _MICROSECOND


def _read(row: Mapping[str, Any]) -> Settled:
    usage = Usage(
        **{name: row["usage"][name] for name in _BUCKETS},
        extra=row.get("usage_extra") or {},
        source=row["usage_source"],
        service_tier=row.get("service_tier") or "",
    )
    return Settled(
        attempt=row["attempt"],
        exchange=row["exchange"],
        at_us=microseconds(row["at"]),
        day=row["at"][:10],
        model=row["model"],
        provider=row["provider"],
        usage=usage,
        cost_pico=row["cost_pico"],
        outcome=row["outcome"],
        unpriced=row.get("unpriced") or "",
        key=row["key"],
        task=row["task"],
        tier=row["tier"],
        kind=row.get("kind") or "call",
        asked=row.get("asked") or "",
        session=row.get("session") or "",
        prefix=row.get("prefix") or "",
        tags=tuple(row.get("tags") or ()),
        stream=bool(row["stream"]),
        total_us=row.get("total_us") or 0,
        served_model=row.get("served_model") or "",
        asked_pico=row.get("asked_pico"),
        reference_pico=row.get("reference_pico"),
        known=row["outcome"] != "swept",
    )
