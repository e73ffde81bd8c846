"""Values of options that are checked where they stand: what is not understood is wrong usage, exit 2. So is
an empty one, as an unset variable of a script leaves it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from ..clock import now_us
from ..errors import BadRequest, TierwiseError
from ..ledger.local import pico_of
from ..ledger.periods import zone_named

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS_US = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}


class _Text(click.ParamType):  # type: ignore[type-arg]  # Older versions have no argument for it.
    """Text as it was given, once `check` has taken it."""

    def __init__(self, name: str, check: Callable[[str], object]) -> None:
        self.name = name
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip():
            self.fail("it is empty. Leave it out, or say what it is.", param, ctx)
        try:
            self._check(text)
        except TierwiseError as error:
            self.fail(error.sentence(), param, ctx)
        return text


def instant(text: str | None) -> int | None:
    """`7d`, `24h`, `30m`, `2w` ago, or a date or RFC 3339 time (UTC unless it says) → microseconds since
    1970. Raises BadRequest.
    """
    if text is None:
        return None
    ago = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if ago:
        return max(0, now_us() - int(ago[1]) * _UNITS_US[ago[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            f"{text!r} is no time.", "Use 7d, 24h, 2026-11-01 or 2026-11-01T12:00:00Z."
        ) from None
    return max(0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1))


def span_of(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """`--since` and `--until` in microseconds since 1970. Wrong usage when no call can lie between."""
    begin, end = instant(since), instant(until)
    if begin is not None and end is not None and begin >= end:
        raise click.UsageError(f"--until {until} is not after --since {since}. Give a later --until.")
    return begin, end


def _amount(text: str) -> None:
    if pico_of(text) < 0:
        raise BadRequest(f"{text} is less than nothing.", "Write dollars, 0 or more.")


TEXT = _Text("text", len)
"""Any text but an empty one."""
WHEN = _Text("when", instant)
"""A time that `instant` reads."""
USD = _Text("usd", _amount)
"""Dollars, 0 or more, that a budget can be told in."""
ZONE = _Text("zone", zone_named)
"""A time zone by its name."""
