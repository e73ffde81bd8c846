"""Workloads: so many calls a day of such a size, or a log of real calls, priced by day and month."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import BadRequest
from ..nouns import Price, Usage
from ..nouns.answer import OTHERS
from .cost import Cost, cost
from .promptcache import Lifetime

# Bucket → the columns that may hold it, in order: ours, then the vendors' own names.
_COLUMNS = {
    "input": ("input_tokens", "input", "fresh_tokens"),
    "output": ("output_tokens", "output", "completion_tokens", "candidatesTokenCount"),
    "cache_read": ("cache_read", "cache_read_tokens", "cache_read_input_tokens"),
    "cache_write_5m": ("cache_write_5m", "cache_write_5m_tokens", "ephemeral_5m_input_tokens",
                       "cache_write_tokens"),
    "cache_write_1h": ("cache_write_1h", "cache_write_1h_tokens", "ephemeral_1h_input_tokens"),
}  # fmt: skip
_WITHIN = ("prompt_tokens_details", "input_tokens_details", "cache_creation")
"""Objects within a vendor's usage that tell of cached tokens."""
_NO_CALLS = ("cached", "embedding")
"""Kinds of rows in the ledger's export that are none: a hit of the response cache called nobody, the vector
that was asked for to find one has tokens of another model."""
_TIMES = ("at", "timestamp", "time", "created")
_END_S = 253_402_300_800  # the year 10000: what is larger is no seconds, but milliseconds or finer
_LONGEST_FIELD = 16 << 20


class Workload(Struct, frozen=True):
    """`calls_per_day` calls, each of `input` fresh and `output` tokens plus a shared `prefix`.

    `hits_per_day` None: the prefix is sent uncached; otherwise that many calls read it and the others write
    it for `ttl`.
    """

    calls_per_day: int
    input: int
    output: int
    prefix: int = 0
    hits_per_day: int | None = None
    ttl: Lifetime = "5m"
    batch: bool = False
    days: int = 30


class Estimate(Struct, frozen=True):
    """Pico-dollars a day and over the workload's days, None: unpriced, and `unpriced` says why."""

    day_pico: int | None
    total_pico: int | None
    unpriced: str = ""


class Calls(Struct, frozen=True):
    """Real calls from a log: their Usage, and their times in seconds since 1970 where every row has one."""

    usages: tuple[Usage, ...]
    times_s: tuple[float, ...] = ()


def estimate(work: Workload, price: Price | None) -> Estimate:
    """What `work` costs at `price`, exactly: each kind of call is priced by itself, then multiplied by its
    number.
    """
    kinds = [(work.calls_per_day, Usage(input=work.prefix + work.input, output=work.output))]
    if work.hits_per_day is not None and work.prefix:
        short, long = (work.prefix, 0) if work.ttl == "5m" else (0, work.prefix)
        kinds = [
            (work.hits_per_day, Usage(input=work.input, cache_read=work.prefix, output=work.output)),
            (work.calls_per_day - work.hits_per_day, Usage(work.input, 0, short, long, work.output)),
        ]
    day = 0
    for number, usage in kinds:
        if number:
            each = cost(usage, price, work.batch)
            if each.pico is None:
                return Estimate(None, None, each.unpriced)
            day += number * each.pico
    return Estimate(day, day * work.days)


def total_usage(usages: Sequence[Usage], price: Price | None, batch: bool = False) -> Cost:
    """What these calls cost together at `price`, each priced by itself (long-context steps are per call)."""
    total = 0
    for number, usage in enumerate(usages, 1):
        each = cost(usage, price, batch)
        if each.pico is None:
            return Cost(None, f"call {number}: {each.unpriced}")
        total += each.pico
    return Cost(total)


def latency_saved_s(calls: int, slow_ms: int, fast_ms: int) -> Fraction:
    """Seconds of waiting saved over `calls` at most, when each takes `fast_ms` instead of `slow_ms` (say,
    both P99).
    """
    return Fraction(calls * (slow_ms - fast_ms), 1000)


def read_calls(text: str, name: str) -> Calls:
    """Calls from CSV with a header line, or JSON Lines (also `ledger export --jsonl`, whose `close` rows
    of calls count).

    Columns: input_tokens, output_tokens, and optionally cache_read, cache_write_5m, cache_write_1h and `at`
    (RFC 3339 or seconds); vendors' names and usage objects are understood: cached_tokens are taken off
    prompt_tokens or input_tokens, and the ledger's other units (`usage_extra`) count. Other columns are not
    read. Raises BadRequest with `name` and the line number.
    """
    begins = text.lstrip()[:1]
    if begins == "[":
        raise BadRequest(f"{name} is a JSON list.", "Write one JSON object per line, or CSV.")
    rows = _json_rows(text, name) if begins == "{" else _csv_rows(text, name)
    usages, times = [], []
    for line, row in rows:
        usages.append(_usage(row, f"{name}:{line}"))
        times.append(_time(row, f"{name}:{line}"))
    if not usages:
        raise BadRequest(f"{name} holds no calls.", "Give it a header line and one line per call.")
    known = [time for time in times if time is not None]
    return Calls(tuple(usages), tuple(known) if len(known) == len(times) else ())


def _json_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise BadRequest(
                f"{name}:{number} is not JSON: {error}.", "Write one JSON object per line."
            ) from None
        if not isinstance(row, dict):
            raise BadRequest(f"{name}:{number} is not a JSON object.", "Write one JSON object per line.")
        if row.get("event", "close") != "close" or row.get("kind") in _NO_CALLS:
            continue
        usage = row.get("usage", row.get("usageMetadata"))
        flat = {**row, **usage} if isinstance(usage, dict) else row
        for name_within in _WITHIN:
            if isinstance(more := flat.get(name_within), dict):
                flat = {**flat, **more}
        yield number, flat


def _csv_rows(text: str, name: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [column.strip().lower() for column in reader.fieldnames or ()]
        doubled = {column for column in columns if columns.count(column) > 1}
        if doubled:
            raise BadRequest(f"{name}:1 names the column {min(doubled)!r} twice.", "Rename one of them.")
        for row in reader:
            if None in row or None in row.values():
                raise BadRequest(
                    f"{name}:{reader.line_num} has not as many fields as the header.",
                    "Quote fields that hold commas.",
                )
            yield reader.line_num, {key.strip().lower(): value for key, value in row.items()}
    except csv.Error as error:
        raise BadRequest(
            f"{name}:{reader.reader.line_num} is not CSV: {error}.", "Write a header line first."
        ) from None


def _usage(row: Mapping[str, Any], where: str) -> Usage:
    tokens = {bucket: _first(row, columns, where) for bucket, columns in _COLUMNS.items()}
    hour = tokens["cache_write_1h"] or 0
    written = _first(row, ("cache_creation_input_tokens",), where)
    if written is not None:  # of both lifetimes; what no split explains is a 5-minute write
        tokens["cache_write_5m"] = max(tokens["cache_write_5m"] or 0, written - hour)
    thoughts = _first(row, ("thoughtsTokenCount",), where)
    if thoughts is not None:  # Gemini's candidates are without them
        tokens["output"] = (tokens["output"] or 0) + thoughts
    cached = _first(row, ("cached_tokens", "input_cached_tokens", "cachedContentTokenCount"), where)
    prompt = _first(row, ("prompt_tokens", "promptTokenCount"), where) if tokens["input"] is None else None
    if prompt is None and cached is not None and tokens["cache_read"] is None:
        prompt = tokens["input"]  # OpenAI's responses and usage exports: cached ones are within it
    if prompt is not None:
        cached = cached or tokens["cache_read"] or 0
        rest = prompt - cached - (tokens["cache_write_5m"] or 0) - hour
        if rest < 0:
            raise BadRequest(
                f"{where}: more cached tokens than prompt tokens.", "prompt_tokens includes cached ones."
            )
        tokens["input"], tokens["cache_read"] = rest, cached
    for needed in ("input", "output"):
        if tokens[needed] is None:
            empty = [column for column in _COLUMNS[needed] if column in row]
            if empty:
                raise BadRequest(
                    f"{where}: {empty[0]} is empty.", "Write a whole number of tokens, 0 or more."
                )
            found = ", ".join(sorted(str(key) for key in row)[:8]) or "nothing"
            raise BadRequest(
                f"{where} has no column {needed}_tokens (it has {found}).",
                "Name the columns input_tokens, output_tokens.",
            )
    fresh, read, output = tokens["input"] or 0, tokens["cache_read"] or 0, tokens["output"] or 0
    short, long = tokens["cache_write_5m"] or 0, tokens["cache_write_1h"] or 0
    return Usage(fresh, read, short, long, output, extra=_units(row.get("usage_extra"), where))


def _units(told: Any, where: str) -> dict[str, int]:
    """Other billed units of a row of the ledger. What its provider asked of other models is left out: it
    would not be asked elsewhere."""
    units = told if isinstance(told, dict) else {}
    return {unit: _first(units, (unit,), where) or 0 for unit in units if unit not in OTHERS}


def _first(row: Mapping[str, Any], columns: Sequence[str], where: str) -> int | None:
    for column in columns:
        value = row.get(column)
        if value is None or value == "":
            continue
        try:
            count = int(value) if not isinstance(value, float) else -1
        except (TypeError, ValueError):
            count = -1
        if count < 0 or isinstance(value, bool):
            raise BadRequest(f"{where}: {column} is {value!r}.", "Write a whole number of tokens, 0 or more.")
        return count
    return None


def _time(row: Mapping[str, Any], where: str) -> float | None:
    for column in _TIMES:
        value = row.get(column)
        if value is None or value == "":
            continue
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            seconds = _instant(str(value))
        if not 0 <= seconds < _END_S:
            raise BadRequest(f"{where}: {column} is {value!r}.", "Write RFC 3339 or seconds since 1970.")
        return seconds
    return None


def _instant(text: str) -> float:
    """Seconds since 1970 of a moment in RFC 3339, UTC where it names no zone; NaN where it is none."""
    try:
        at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return math.nan
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
