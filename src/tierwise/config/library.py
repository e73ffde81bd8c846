"""The price library's snapshot (prices.json): which model an id means at a vendor, and what it costs there.

genai-prices' own rules match some ids by their beginning or middle. Here such a rule must not be continued by
another version (`claude-opus-4-1` is not `claude-opus-4-10`) or another variant (`-fast`, `-mini` …): such an
id is unknown, not another model's.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from pathlib import Path

import msgspec
from msgspec import Struct

from ..money import PICO_PER_USD, NotMoney, usd_per_million_to_pico
from ..nouns import Price, PriceStep, Source


class _Step(Struct):
    above: int
    input: str | None = None
    cache_read: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    output: str | None = None


class _Period(Struct):
    input: str | None = None
    cache_read: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    output: str | None = None
    steps: list[_Step] = []
    extra: dict[str, tuple[str, int]] = {}
    batch: str | None = None
    tiers: dict[str, str] = {}
    since: str | None = None
    until: str | None = None


class _Row(Struct):
    id: str
    match: list[str | list[str]]
    context: int | None = None
    prices: list[_Period] = []
    why: str = ""


class _Vendor(Struct):
    url: str
    models: msgspec.Raw


class _File(Struct):
    library: str
    version: str
    taken: str
    providers: dict[str, _Vendor]


class Entry(Struct, frozen=True):
    """What the library knows of one model at one vendor. `why` is the reason where its price cannot be
    held.
    """

    id: str
    prices: tuple[Price, ...]
    context: int | None = None
    why: str = ""


class Library:
    """The snapshot. A vendor's models are decoded when they are first asked for."""

    def __init__(self, raw: bytes) -> None:
        self._file = msgspec.json.decode(raw, type=_File)
        self._rows: dict[str, list[_Row]] = {}
        self.source = Source(f"{self._file.library} {self._file.version}", self._file.taken)

    @property
    def vendors(self) -> list[str]:
        """The library's ids of all vendors."""
        return list(self._file.providers)

    def vendor_at(self, url: str) -> str | None:
        """The vendor whose API this URL is, None: none known."""
        for name, vendor in self._file.providers.items():
            if re.match(vendor.url, url):
                return name
        return None

    def find(self, vendor: str, model_id: str) -> Entry | None:
        """The model that `model_id` means at `vendor`, None when it is not certain to be one the
        library has.
        """
        row = self._match(vendor, model_id.lower())
        if row is None:
            dashed = re.sub(r"-(20\d\d)([01]\d)([0-3]\d)(?=-|:|$)", r"-\1-\2-\3", model_id.lower())
            row = self._match(vendor, dashed) if dashed != model_id.lower() else None
        if row is None:
            return None
        prices = tuple(self._price(vendor, row.id, period) for period in row.prices)
        return Entry(row.id, prices, row.context, row.why)

    def ids(self, vendor: str) -> list[str]:
        """Ids of all models the library has of `vendor`."""
        return [row.id for row in self._of(vendor)]

    def _of(self, vendor: str) -> list[_Row]:
        rows = self._rows.get(vendor)
        if rows is None:
            known = self._file.providers.get(vendor)
            rows = msgspec.json.decode(known.models, type=list[_Row]) if known else []
            self._rows[vendor] = rows
        return rows

    def _match(self, vendor: str, model_id: str) -> _Row | None:
        best, best_score = None, 0
        for row in self._of(vendor):
            score = max((_score(rule, model_id) for rule in row.match), default=0)
            if score > best_score:
                best, best_score = row, score
        return best

    def _price(self, vendor: str, model_id: str, period: _Period) -> Price:
        since = f"@{period.since}" if period.since else ""
        ratios = {name: _ratio(text) for name, text in period.tiers.items()}
        extra = {name: _unit_pico(usd, per) for name, (usd, per) in period.extra.items()}
        if "gpt-image" in model_id and "output_image" not in extra:
            # All that these models give out are images: the figure listed as their output is of those.
            extra["output_image"] = _pico(period.output)
        return Price(
            id=f"{self._file.library}@{self._file.version}:{vendor}/{model_id}{since}",
            source=self.source,
            input=_pico(period.input),
            cache_read=_pico(period.cache_read),
            cache_write_5m=_pico(period.cache_write),
            cache_write_1h=_pico(period.cache_write_1h),
            output=_pico(period.output),
            steps=tuple(
                PriceStep(
                    step.above, _pico(step.input), _pico(step.cache_read), _pico(step.cache_write),
                    _pico(step.cache_write_1h), _pico(step.output),
                )
                for step in period.steps
            ),
            extra={name: pico for name, pico in extra.items() if pico is not None},
            batch=_ratio(period.batch) if period.batch else None,
            service_tiers=ratios,
            since=period.since,
            until=period.until,
        )  # fmt: skip


@functools.cache
def library() -> Library:
    """The snapshot that comes with this version of tierwise."""
    return Library(Path(__file__).with_name("prices.json").read_bytes())


_EXACT = 10_000
_VERSION_END = re.compile(r"(?:^|[-.@v])[1-9]\d?$")
_VERSION_GOES_ON = re.compile(r"\d|\.\d|-\d{1,2}(?!\d)")
_VARIANT = re.compile(
    r"(?:^|[-_.:/])(?:fast|batch|free|lite|mini|nano|pro|max|flash|ultra|audio|image|tts|live|embedding"
    r"|search|realtime|transcribe|turbo|luna|sol|terra)(?:$|[-_.:/])"
)


def _score(rule: str | list[str], model_id: str) -> int:
    """0: no match; else the better the surer. A whole-id rule beats any partial one, a longer partial one a
    shorter.
    """
    if isinstance(rule, list):
        scores = [_score(each, model_id) for each in rule]
        return max(scores) if all(scores) else 0
    kind, _, text = rule.partition(":")
    if kind == "regex":
        return _EXACT if re.search(text, model_id) else 0
    text = text.lower()
    if kind == "equals":
        return _EXACT + 1 if model_id == text else 0
    start = model_id.find(text) if kind == "contains" else 0
    if kind == "ends_with":
        return len(text) if model_id.endswith(text) else 0
    if start < 0 or not model_id.startswith(text, start):
        return 0
    rest = model_id[start + len(text) :]
    if _VERSION_END.search(text) and _VERSION_GOES_ON.match(rest):
        return 0
    return 0 if _VARIANT.search(rest) else len(text)


def _pico(usd_per_million: str | None) -> int | None:
    """Pico-dollars per token, None when it is unknown or no whole number of them: then it is not rounded."""
    if usd_per_million is None:
        return None
    try:
        return usd_per_million_to_pico(usd_per_million)
    except NotMoney:
        return None


def _unit_pico(usd: str, per: int) -> int | None:
    exact = Fraction(usd) * PICO_PER_USD / per
    return exact.numerator if exact.denominator == 1 else None


def _ratio(text: str) -> tuple[int, int]:
    ratio = Fraction(text)
    return ratio.numerator, ratio.denominator
