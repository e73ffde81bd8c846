"""The rows of the ledger: how an Open and a Close are written, in the order of their columns."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from ..errors import BadRequest, StoreError
from ..money import usd_text
from ..nouns import Close, Open, Usage
from .periods import LATEST_US

MOST = 2**63 - 1
"""The largest amount of one row: 9.2 million dollars in pico-dollars, the store's 64 bits."""
LONGEST_ERROR = 4000
"""Characters of a provider's words that are kept."""

Row = tuple[Any, ...]

OPEN_NAMES = (
    "seq", "attempt", "exchange", "at_us", "key", "task", "tier", "model", "provider", "dialect_in",
    "dialect_out", "stream", "price_id", "reserved_pico", "scopes", "windows", "asked", "route", "session",
    "tags", "kind", "prefix",
)  # fmt: skip
"""The columns of `open_values`."""

_encoder = msgspec.json.Encoder()
_encode = _encoder.encode


def names(values: tuple[str, ...]) -> str:
    """A tuple of words as JSON text."""
    return _encode(values).decode() if values else "[]"


def open_values(seq: int, row: Open, windows: str) -> Row:
    """An OPEN's columns without its link. `windows` are the ids of the budget windows charged,
    comma-separated.
    """
    return (
        seq, row.attempt, row.exchange, row.at_us, row.key, row.task, row.tier, row.model, row.provider,
        row.dialect_in, row.dialect_out, 1 if row.stream else 0, row.price_id, row.reserved_pico,
        names(row.scopes), windows, row.asked, row.route, row.session, names(row.tags), row.kind, row.prefix,
    )  # fmt: skip


def close_values(seq: int, open_seq: int, row: Close) -> Row:
    """A CLOSE's (or correction's) columns without its link."""
    usage, error = row.usage, row.error
    return (
        seq, open_seq, row.at_us, row.outcome, row.status, usage.input, usage.cache_read,
        usage.cache_write_5m, usage.cache_write_1h, usage.output, usage.reasoning,
        _encode(usage.extra).decode() if usage.extra else "{}", usage.source, row.cost_pico, row.unpriced,
        error if len(error) <= LONGEST_ERROR else error[:LONGEST_ERROR], row.ttft_us, row.total_us,
        row.upstream_us, row.served_model, row.asked_pico, row.reference_pico, names(row.losses),
        usage.service_tier,
    )  # fmt: skip


def as_written(values: Row) -> Row:
    """A stored row's values without the columns that came later than the row: they are NULL there, which no
    writer puts into a last column.
    """
    while values[-1] is None:
        values = values[:-1]
    return values


def check_open(row: Open) -> None:
    """Raises BadRequest for an amount, StoreError for an instant that the store cannot hold."""
    if not 0 <= row.reserved_pico <= MOST:
        raise BadRequest(
            f"This call may cost {row.reserved_pico} pico-dollars, more than one call can reserve.",
            f"Ask for fewer output tokens: the most is {usd_text(MOST, 2)} a call.",
        )
    if not 0 <= row.at_us < LATEST_US:
        raise StoreError(
            f"{row.at_us} is no instant in microseconds since 1970.", "Check the machine's clock."
        )


def storable(row: Close) -> bool:
    """Whether every figure of a CLOSE is in the store's range. (An `or` of whole numbers is negative or
    large if one is.)
    """
    usage = row.usage
    figures = usage.input | usage.cache_read | usage.cache_write_5m | usage.cache_write_1h | usage.output
    figures |= usage.reasoning | row.total_us | row.upstream_us | (row.cost_pico or 0) | (row.ttft_us or 0)
    return 0 <= figures | (row.asked_pico or 0) | (row.reference_pico or 0) <= MOST


def tamed(row: Open | Close) -> Open | Close:
    """The same row as any store can hold it; itself where that cannot be told of its values."""
    try:
        return tamed_open(row) if isinstance(row, Open) else tamed_close(row)
    except (TypeError, ValueError, AttributeError):
        return row


def tamed_open(row: Open) -> Open:
    """The same OPEN with text that is no Unicode (half a surrogate pair) written as an escape."""
    return replace(
        row,
        **{
            name: _text(getattr(row, name))
            for name in row.__struct_fields__
            if isinstance(getattr(row, name), str)
        },
        scopes=tuple(map(_text, row.scopes)),
        tags=tuple(map(_text, row.tags)),
    )


def tamed_close(row: Close) -> Close:
    """A CLOSE that any store can hold. Figures out of range are not kept and the cost becomes unpriced,
    which says so.
    """
    usage, wrong = row.usage, ""
    for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning"):
        if not 0 <= getattr(usage, name) <= MOST:
            wrong = wrong or f"usage.{name} is out of range"
            usage = replace(usage, **{name: 0})
    if any(not 0 <= amount <= MOST for amount in usage.extra.values()):
        wrong = wrong or "a count in usage.extra is out of range"
        usage = replace(usage, extra={})
    if row.cost_pico is not None and not 0 <= row.cost_pico <= MOST:
        wrong = wrong or "the cost is out of range"
    row = replace(
        row,
        **{
            name: _text(getattr(row, name))
            for name in row.__struct_fields__
            if isinstance(getattr(row, name), str)
        },
        losses=tuple(map(_text, row.losses)),
        usage=replace(
            usage,
            extra={_text(name): amount for name, amount in usage.extra.items()},
            service_tier=_text(usage.service_tier),
        ),
        asked_pico=_ranged(row.asked_pico),
        reference_pico=_ranged(row.reference_pico),
        ttft_us=_ranged(row.ttft_us),
        total_us=_ranged(row.total_us) or 0,
        upstream_us=_ranged(row.upstream_us) or 0,
        at_us=min(max(row.at_us, 0), LATEST_US - 1),
    )
    return replace(row, cost_pico=None, unpriced=wrong) if wrong else row


def swept(row: Open, at_us: int, booked: int | None) -> Close:
    """The CLOSE of an attempt whose owner is gone: its cost is `booked`, an upper bound, flagged as
    estimated.
    """
    return Close(
        exchange=row.exchange,
        attempt=row.attempt,
        at_us=at_us,
        outcome="swept",
        status=0,
        usage=Usage(source="estimated"),
        cost_pico=booked,
        unpriced="" if booked is not None else "no price known when the call was opened",
        error="the gateway stopped before it could close this call",
        total_us=max(0, at_us - row.at_us),
    )


def _ranged(amount: int | None) -> int | None:
    return amount if amount is not None and 0 <= amount <= MOST else None


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
