"""RecordedTier: answers from a file, replayed as if a tier gave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...errors import SuiteError, UpstreamBroke
from ...judging.scorers_text import text_of
from ...money import NotMoney, usd_to_pico
from ...nouns import Case, Price, Usage
from ..cases.rows import Row, read_sheet
from .records import TierCard
from .replies import Reply

_COLUMNS = ("answer", "output", "response")
_TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


class RecordedTier:
    """Rows of a JSON Lines, CSV or Parquet file: `id` (or `input`) and `answer`; if known `repeat`,
    `outcome`, `cost_usd`, `usage`, `ttft_ms`, `total_ms`. A Case without a row has no
    answer, which is no wrong one.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.card = TierCard(name, "file", str(path), "", f"file:{path}")
        self.price: Price | None = None
        self.longest: int | None = None
        self.free = True
        self._answers: dict[tuple[str, int], Reply | None] = {}
        for row in read_sheet(path).rows:
            key = row.fields.get("id", row.fields.get("input"))
            if key is None or not any(column in row.fields for column in _COLUMNS):
                raise SuiteError(f"{row.place} has no id or no answer.", 'Write {"id": "…", "answer": "…"}.')
            place = str(key), _whole(row, "repeat")
            if place in self._answers:
                raise SuiteError(
                    f"{row.place} answers {str(key)!r} a second time.",
                    "Keep one, or number them in a column `repeat`, from 0.",
                )
            self._answers[place] = _reply(row)

    async def answer(self, case: Case, repeat: int) -> Reply:
        """The row of the Case's id, else of its input."""
        reply = self._answers.get((case.id, repeat)) or self._answers.get((case.input, repeat))
        if reply is None:
            raise UpstreamBroke(f"{self.card.model} holds no answer {repeat} to {case.id}.")
        return reply


def _reply(row: Row) -> Reply | None:
    """What the row says was answered; None where it holds a null and no outcome, so no answer at all."""
    fields = row.fields
    said = next(fields[column] for column in _COLUMNS if column in fields)
    total = _micros(row, "total_ms")
    if said is None and not fields.get("outcome"):
        return None
    return Reply(
        text="" if said is None else text_of(said),
        outcome=str(fields.get("outcome") or "ok"),
        usage=_usage(row),
        cost_pico=_cost(row),
        total_us=total or 0,
        ttft_us=_micros(row, "ttft_ms"),
        # Without a time of its own it is not timed, like an answer from a cache.
        cached=total is None,
        served=str(fields.get("model", "")),
    )


def _usage(row: Row) -> Usage:
    found = row.fields.get("usage")
    found = found if isinstance(found, dict) else row.fields
    known: dict[str, Any] = {name: found[name] for name in _TOKENS if isinstance(found.get(name), int)}
    return Usage(**known)


def _whole(row: Row, name: str) -> int:
    value = row.fields.get(name)
    if value in (None, ""):
        return 0
    try:
        return int(str(value))
    except ValueError:
        raise SuiteError(f"{row.place}: {name} is {value!r}.", "Write a whole number.") from None


def _cost(row: Row) -> int | None:
    told = row.fields.get("cost_usd")
    try:
        return None if told in (None, "") else usd_to_pico(str(told))
    except NotMoney as error:
        raise SuiteError(f"{row.place}: {error}") from None


def _micros(row: Row, name: str) -> int | None:
    value = row.fields.get(name)
    if value in (None, ""):
        return None
    try:
        return round(float(str(value)) * 1000)
    except (ValueError, OverflowError):
        raise SuiteError(f"{row.place}: {name} is {value!r}.", "Write milliseconds.") from None
