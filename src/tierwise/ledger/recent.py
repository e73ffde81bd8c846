"""The newest calls of a ledger, read from its end."""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

from msgspec import Struct, convert

from .store import Reader

SCANNED = 50_000
"""Events looked at, newest first: a busy minute."""
SECONDS = 4.0

_NAMES = (
    "at_us", "exchange", "task", "tier", "model", "outcome", "cost_pico", "ttft_us", "total_us", "output",
)  # fmt: skip


class Ended(Struct, frozen=True):
    """A call that ended at `at_us`. `cost_pico` is None where it has no price; times in microseconds."""

    at_us: int
    exchange: str
    task: str
    tier: str
    model: str
    outcome: str
    cost_pico: int | None
    ttft_us: int | None
    total_us: int
    output: int

    @property
    def failed(self) -> bool:
        """Whether the provider did not give a whole answer."""
        return self.outcome in ("error", "truncated")


def recent(reader: Reader, since_us: int, limit: int) -> list[Ended]:
    """Calls that ended since then, newest first, `limit` at most. Raises StoreError."""
    flavour = reader.flavour
    query = (
        "SELECT c.at_us, o.exchange, o.task, o.tier, o.model, c.outcome, c.cost_pico, c.ttft_us, c.total_us,"
        " c.output FROM close_rows c"
        f" JOIN open_rows o ON o.seq = c.open_seq{flavour.same_day.format('o', 'c')}"
        " WHERE c.seq > :floor AND c.at_us >= :since ORDER BY c.seq DESC LIMIT :limit"
    )
    with reader.asking(SECONDS) as ask:
        floor = int(ask(flavour.top, {})[0][0] or 0) - SCANNED
        found = ask(flavour.text(query), {"floor": floor, "since": since_us, "limit": limit})
    return [convert(dict(zip(_NAMES, row, strict=True)), Ended) for row in found]
