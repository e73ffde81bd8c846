"""Bills: vendors' usage and cost exports → Billed lines, with the file and line each one stands in.

Shapes: OpenAI's organization usage and costs API (JSON pages, one or many in a file) and the dashboard's CSV
exports; Anthropic's Admin API `usage_report/messages` and `cost_report` (JSON pages) and the Console's CSV
exports; any CSV with `date` and some of `model`, `input`, `cache_read`, `cache_write_5m`, `cache_write_1h`,
`output`, `cost_usd`. A vendor's amount is rounded to a pico-dollar: some are written as binary fractions.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ..errors import BadRequest
from ..money import PICO_PER_USD
from ..nouns import Usage

Vendor = Literal["openai", "anthropic", "csv"]
TOKENS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
WHOLE_DAY = ""
"""The model of an amount that is not divided by model."""
_PICO_PER_CENT = PICO_PER_USD // 100
_DAY_S = 86_400
_GROUPED = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
"""A number with commas between its thousands. Any other comma may be a decimal one."""
_ROW = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
"""A line of CSV with its end, as any system writes it."""

# Bucket → columns that may hold it: ours, then the vendors'.
_COLUMNS = MappingProxyType(
    {
        "day": ("date", "day", "usage_date_utc", "start_time_iso"),
        "model": ("model", "model_version"),
        "input": ("input", "input_tokens_uncached", "input_uncached_tokens", "usage_input_tokens_no_cache"),
        "input_total": ("input_tokens",),
        "cache_read": ("cache_read", "input_cached_tokens", "usage_input_tokens_cache_read"),
        "cache_write_5m": (
            "cache_write_5m",
            "input_cache_write_tokens",
            "usage_input_tokens_cache_write_5m",
        ),
        "cache_write_1h": ("cache_write_1h", "usage_input_tokens_cache_write_1h"),
        "output": ("output", "output_tokens", "usage_output_tokens"),
        "cost": ("cost_usd", "amount_value"),
        "currency": ("currency", "amount_currency"),
        "item": ("line_item",),
    }
)


class Billed(Struct, frozen=True):
    """One line of a bill. `model` is the vendor's id, WHOLE_DAY where it is not divided by model, and `item`
    names what was billed apart from tokens. `usage` None: the line tells only money; `cost_pico` None: only
    tokens.
    """

    day: str
    model: str
    where: str
    usage: Usage | None = None
    cost_pico: int | None = None
    item: str = ""


class Span(Struct, frozen=True):
    """The time one bucket of an API's reply covers, seconds since 1970, what kind its results are ("": not
    told), and whether its page ends here and says that another follows.
    """

    where: str
    start: int
    end: int
    kind: str
    more: bool


class Bill(Struct, frozen=True):
    """Lines and the days (YYYY-MM-DD, UTC, both inclusive) they cover, days without a line included. Of the
    first and the last day the bill may tell only a part: from `starts`, before `ends`, seconds since 1970.
    Lines of one file for one day, model and item are one, `where` the first of them stands.
    """

    lines: tuple[Billed, ...]
    first_day: str
    last_day: str
    starts: int
    ends: int
    spans: tuple[Span, ...] = ()


class _Sums:
    """The lines of one file as they add up: an export may have a line for every call."""

    def __init__(self) -> None:
        self.days: set[str] = set()
        self._parts: dict[tuple[str, str, str], tuple[str, list[int] | None, int | None]] = {}

    def add(self, line: Billed) -> None:
        """One more line."""
        key = (line.day, line.model, line.item)
        where, counts, pico = self._parts.get(key, (line.where, None, None))
        if line.usage is not None:
            told = [getattr(line.usage, name) for name in TOKENS]
            counts = told if counts is None else [a + b for a, b in zip(counts, told, strict=True)]
        if line.cost_pico is not None:
            pico = line.cost_pico + (pico or 0)
        self._parts[key] = where, counts, pico

    def lines(self) -> tuple[Billed, ...]:
        """One of each day, model and item."""
        return tuple(
            Billed(day, model, where, None if counts is None else _usage(counts), pico, item)
            for (day, model, item), (where, counts, pico) in self._parts.items()
        )


def read_bill(pieces: Iterable[str], name: str, vendor: Vendor) -> Bill:
    """A vendor's export, its text in pieces none of which ends within a line. Raises BadRequest with `name`,
    the line and what to do.
    """
    rest, begun = iter(pieces), ""
    while not begun.strip() and (piece := next(rest, None)) is not None:
        begun += piece if begun else piece.removeprefix("\ufeff")
    if vendor != "csv" and begun.lstrip()[:1] in ("{", "["):
        sums, spans = _json_bill("".join((begun, *rest)), name, vendor)
    else:
        sums, spans = _csv_bill(chain((begun,), rest), name), []
    if not sums.days:
        raise BadRequest(f"{name} covers no day.", "Export at least one day, and all its pages.")
    first, last = min(sums.days), max(sums.days)
    starts = min([span.start for span in spans], default=_midnight(first))
    ends = max([span.end for span in spans], default=_midnight(last) + _DAY_S)
    return Bill(sums.lines(), first, last, starts, ends, tuple(spans))


def _midnight(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())


def joined(bills: Sequence[Bill]) -> Bill:
    """Several exports as one: usage and costs are often told apart.

    Raises BadRequest when a page that says another follows it has none here: days would be missing.
    """
    spans = tuple(span for bill in bills for span in bill.spans)
    for span in spans:
        if span.more and not any(_follows(span, other) for other in spans):
            raise BadRequest(
                f"{span.where}: the export is cut after this bucket: has_more is true, and no file given has "
                "the page that follows.",
                "Fetch it (page= this page's next_page) and give it too, or export again with the end you "
                "want.",
            )
    return Bill(
        tuple(line for bill in bills for line in bill.lines),
        min(bill.first_day for bill in bills),
        max(bill.last_day for bill in bills),
        min(bill.starts for bill in bills),
        max(bill.ends for bill in bills),
        spans,
    )


def _follows(span: Span, other: Span) -> bool:
    """Whether `other` begins where `span` ends. What is of no told kind may be of any."""
    return other.start == span.end and (not span.kind or not other.kind or span.kind == other.kind)


class _Page(Struct):
    data: list[msgspec.Raw]
    has_more: Any = False


class _Bucket(Struct):
    results: list[msgspec.Raw]
    start_time: int | None = None
    starting_at: str | None = None
    end_time: int | None = None
    ending_at: str | None = None


def _json_bill(text: str, name: str, vendor: Vendor) -> tuple[_Sums, list[Span]]:
    sums = _Sums()
    spans: list[Span] = []
    kind, numbers = "", _Lines(text)
    for at, raw, more in _buckets(text, name):
        where = f"{name}:{numbers.line(at)}"
        bucket = _decode(raw, _Bucket, where)
        start, end, first, last = _span(bucket, where)
        sums.days |= {first, last}
        kind = _kind(bucket) or kind  # a day without results is of the kind of the days before it
        spans.append(Span(where, start, end, kind, more))
        cursor = at
        for part in bucket.results:
            piece = bytes(part).decode()
            cursor = text.find(piece, cursor)
            line = _result(piece, first, f"{name}:{numbers.line(cursor)}", vendor)
            if line is not None and first != last:
                raise BadRequest(
                    f"{where}: a bucket from {first} to {last} is longer than a day.",
                    "Export with bucket_width=1d (or 1h, 1m).",
                )
            if line is not None:
                sums.add(line)
            cursor += len(piece)
    return sums, spans


def _buckets(text: str, name: str) -> Iterator[tuple[int, str, bool]]:
    """(offset, JSON, whether it is the last of a page that another follows) of every bucket of every page in
    the file, in order.
    """
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace() or text[at] == ",":
            at += 1
            continue
        try:
            value, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise BadRequest(
                f"{name}:{error.lineno}:{error.colno} is not JSON: {error.msg}.",
                "Save the API's reply as it came, one page after another.",
            ) from None
        except RecursionError:
            raise BadRequest(
                f"{name}:{_Lines(text).line(at)} is nested too deep.", "Save the reply as is."
            ) from None
        pages = value if isinstance(value, list) else [value]
        if not all(isinstance(page, dict) and isinstance(page.get("data"), list) for page in pages):
            raise BadRequest(
                f"{name}:{_Lines(text).line(at)} is no page of an export: it has no list `data`.",
                "Give the reply of the usage or cost API, or a CSV export.",
            )
        cursor = at
        raw = text[at:end]
        decoded = msgspec.json.decode(raw, type=list[_Page]) if isinstance(value, list) else None
        for page in decoded if decoded is not None else [msgspec.json.decode(raw, type=_Page)]:
            for number, part in enumerate(page.data, 1):
                piece = bytes(part).decode()
                cursor = text.find(piece, cursor)
                yield cursor, piece, page.has_more is True and number == len(page.data)
                cursor += len(piece)
        at = end


class _Lines:
    """Line numbers of places in a text, each counted on from the one before: a million results would be
    counted from the first line each."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at, self._line = 0, 1

    def line(self, at: int) -> int:
        """Of the character at `at`, which is not before the one asked for last."""
        self._line += self._text.count("\n", self._at, at)
        self._at = at
        return self._line


def _decode(raw: str, shape: type[_Bucket], where: str) -> _Bucket:
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.DecodeError as error:
        raise BadRequest(
            f"{where}: this bucket is not understood: {error}.",
            "A bucket has start_time or starting_at, and results.",
        ) from None


def _kind(bucket: _Bucket) -> str:
    result = json.loads(bytes(bucket.results[0])) if bucket.results else None
    if not isinstance(result, dict):
        return ""
    return str(result.get("object") or ("cost" if "amount" in result else "usage"))


def _span(bucket: _Bucket, where: str) -> tuple[int, int, str, str]:
    """Start and end of a bucket, seconds, and its first and last day, UTC."""
    if bucket.start_time is not None:
        start = bucket.start_time
        end = bucket.end_time if bucket.end_time is not None else start - start % _DAY_S + _DAY_S
    elif bucket.starting_at is not None:
        start = _seconds(bucket.starting_at, where)
        end = start - start % _DAY_S + _DAY_S
        if bucket.ending_at is not None:
            end = _seconds(bucket.ending_at, where)
    else:
        raise BadRequest(f"{where}: a bucket without start_time or starting_at.", "Save the reply as is.")
    try:
        days = [datetime.fromtimestamp(each, UTC).date().isoformat() for each in (start, max(end - 1, start))]
    except (ValueError, OverflowError, OSError):
        raise BadRequest(
            f"{where}: {start} is no time.", "Times are seconds since 1970 or RFC 3339."
        ) from None
    return start, end, days[0], days[1]


def _seconds(text: str, where: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{where}: {text!r} is no time.", "Times are RFC 3339.") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _result(piece: str, day: str, where: str, vendor: Vendor) -> Billed | None:
    result = json.loads(piece, parse_float=Decimal)
    if not isinstance(result, dict):
        raise BadRequest(f"{where}: a result that is no object.", "Save the reply as is.")
    if "amount" in result:
        return _amount(result, day, where, vendor)
    counts = (_anthropic if vendor == "anthropic" else _openai)(result, where)
    if counts is None:
        return None  # images, speech, storage: counted in units of their own, with their money in the costs
    model = result.get("model")
    return Billed(day, model if isinstance(model, str) else WHOLE_DAY, where, usage=counts)


def _amount(result: Mapping[str, Any], day: str, where: str, vendor: Vendor) -> Billed | None:
    amount, model, item = result["amount"], result.get("model"), ""
    currency = result.get("currency")
    if isinstance(amount, dict):
        currency = amount.get("currency")
        amount = amount.get("value")
    if amount is None:
        return None
    pico = _pico(amount, currency, where, _PICO_PER_CENT if vendor == "anthropic" else PICO_PER_USD)
    if vendor == "anthropic":
        kind = result.get("cost_type")
        item = kind if isinstance(kind, str) and kind != "tokens" and not model else ""
    else:
        model, item = _of_item(result.get("line_item"))
    return Billed(day, model if isinstance(model, str) else WHOLE_DAY, where, cost_pico=pico, item=item)


def _of_item(item: Any) -> tuple[str, str]:
    """(model, what else) of OpenAI's line item: `gpt-5.4-2026-03-05, cached input`, or `web search`."""
    if not isinstance(item, str) or not item:
        return WHOLE_DAY, ""
    model, comma, _ = item.partition(",")
    return (model.strip(), "") if comma else (WHOLE_DAY, item)


def _openai(result: Mapping[str, Any], where: str) -> Usage | None:
    if "input_tokens" not in result:
        return None
    said = {name: _count(result.get(name), f"{where}: {name}") for name in (
        "input_tokens", "input_cached_tokens", "input_cache_write_tokens", "output_tokens",
    )}  # fmt: skip
    total, read, written, output = (count or 0 for count in said.values())
    return _disjoint(total, read, written, output, where)


def _disjoint(total: int, read: int, written: int, output: int, where: str) -> Usage:
    if read + written > total:
        raise BadRequest(
            f"{where}: {read + written} cached and written of {total} input tokens.",
            "OpenAI's input_tokens include them: check the export.",
        )
    return Usage(total - read - written, read, written, 0, output)


def _anthropic(result: Mapping[str, Any], where: str) -> Usage | None:
    if "uncached_input_tokens" not in result:
        raise BadRequest(
            f"{where}: neither an amount nor uncached_input_tokens.",
            "Give the reply of usage_report/messages or cost_report.",
        )
    split = result.get("cache_creation")
    split = split if isinstance(split, dict) else {}
    counts = (
        result.get("uncached_input_tokens"), result.get("cache_read_input_tokens"),
        split.get("ephemeral_5m_input_tokens"), split.get("ephemeral_1h_input_tokens"),
        result.get("output_tokens"),
    )  # fmt: skip
    return _usage(_count(n, f"{where}: {name}") for name, n in zip(TOKENS, counts, strict=True))


def _csv_bill(pieces: Iterable[str], name: str) -> _Sums:
    rows = (row for piece in pieces for row in _ROW.findall(piece))
    head = next(rows, "")
    reader = csv.DictReader(chain((head,), rows), strict=True, delimiter="\t" if "\t" in head else ",")
    sums = _Sums()
    try:
        for fields in reader:
            where = f"{name}:{reader.line_num}"
            if None in fields or None in fields.values():
                raise BadRequest(
                    f"{where} has not as many fields as the header.", "Quote fields that hold commas."
                )
            row = {key.strip().lower(): value.strip() for key, value in fields.items()}
            line = _csv_line(row, where)
            sums.days.add(line.day)
            if line.usage is not None or line.cost_pico is not None:
                sums.add(line)
    except csv.Error as error:
        raise BadRequest(
            f"{name}:{reader.reader.line_num} is not CSV: {error}.", "Write a header line first."
        ) from None
    return sums


def _csv_line(row: Mapping[str, str], where: str) -> Billed:
    day = _first(row, "day")
    if day is None:
        found = ", ".join(sorted(row)[:8]) or "nothing"
        raise BadRequest(f"{where} has no date (columns: {found}).", "Name a column date, as YYYY-MM-DD.")
    try:
        day = _utc_day(day)
    except ValueError:
        raise BadRequest(f"{where}: date is {day!r}.", "Write it as 2026-11-22.") from None
    said = {name: _count(_first(row, name), f"{where}: {name}") for name in (*TOKENS, "input_total")}
    if said["input"] is None and said["input_total"] is not None:
        written = (said["cache_write_5m"] or 0) + (said["cache_write_1h"] or 0)
        fresh = said["input_total"] - (said["cache_read"] or 0) - written
        if fresh < 0:
            raise BadRequest(
                f"{where}: more cached tokens than input_tokens.",
                "Call the column `input` when it holds only fresh tokens.",
            )
        said["input"] = fresh
    told = [said[name] for name in TOKENS]
    usage = None if all(count is None for count in told) else _usage(told)
    amount = _first(row, "cost")
    pico = None if amount is None else _pico(amount, _first(row, "currency"), where)
    model = _first(row, "model")
    item = ""
    if model is None:
        model, item = _of_item(_first(row, "item"))
    return Billed(day, model, where, usage, pico, item)


def _utc_day(text: str) -> str:
    """The day of a date, or the UTC day of a time, which is in UTC unless it says. Raises ValueError."""
    if len(text) == 10:
        return date.fromisoformat(text).isoformat()
    at = datetime.fromisoformat(text.removesuffix(" UTC"))
    return (at if at.tzinfo is None else at.astimezone(UTC)).date().isoformat()


def _number(value: Any) -> Decimal:
    """Raises InvalidOperation, also for a comma that does not stand between thousands."""
    text = str(value).replace("$", "", 1)
    if "," in text and not _GROUPED.fullmatch(text):
        raise InvalidOperation
    return Decimal(text.replace(",", ""))


def _usage(counts: Iterable[int | None]) -> Usage:
    """Usage of counts in the order of TOKENS."""
    fresh, read, short, long, output = (count or 0 for count in counts)
    return Usage(fresh, read, short, long, output)


def _first(row: Mapping[str, str], name: str) -> str | None:
    return next((row[column] for column in _COLUMNS[name] if row.get(column)), None)


def _count(value: Any, what: str) -> int | None:
    if value is None or value == "":
        return None
    try:
        exact = _number(value)
        whole = int(exact)
    except (InvalidOperation, ValueError, OverflowError):
        whole, exact = -1, Decimal(0)
    if isinstance(value, bool) or whole < 0 or whole != exact:
        raise BadRequest(f"{what} is {str(value)[:40]!r}.", "Write a whole number of tokens, 0 or more.")
    return whole


def _pico(value: Any, currency: Any, where: str, per_unit: int = PICO_PER_USD) -> int:
    if isinstance(currency, str) and currency and currency.upper() != "USD":
        raise BadRequest(f"{where}: an amount in {currency[:10]!r}.", "The ledger is in USD: export in USD.")
    try:
        amount = _number(value) * per_unit
        pico = int(amount.to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise BadRequest(f"{where}: an amount of {str(value)[:40]!r}.", "Write dollars as 1.25.") from None
    if isinstance(value, bool) or abs(pico) > 10**30:
        raise BadRequest(f"{where}: an amount of {str(value)[:40]!r}.", "Write dollars as 1.25.")
    return pico
