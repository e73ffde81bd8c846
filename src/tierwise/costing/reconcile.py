"""Reconciling: a vendor's bill against the ledger, per model and day, with the calls that explain what is
left.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable

from msgspec import Struct

from ..money import PICO_PER_USD
from ..nouns import Usage
from ..nouns.answer import OTHERS
from .bills import TOKENS, WHOLE_DAY, Bill, Billed
from .settled import Settled

CENT = PICO_PER_USD // 100
MOST_SHOWN = 20
"""Explaining calls kept per line; all are counted."""
_DAY_US = 86_400_000_000
_DATED = re.compile(r"[-@](20\d\d-?[01]\d-?[0-3]\d|latest)$")

Tokens = dict[str, int]


class Explaining(Struct, frozen=True):
    """A call that may account for a residual, and why."""

    attempt: str
    exchange: str
    why: str
    tokens: int
    cost_pico: int | None


class Residual(Struct, frozen=True):
    """One model (WHOLE_DAY: all of them) on one day. `theirs` and `theirs_pico` None: the bill does not tell.

    `judged`: whether this line decides; where a day has money that is not divided by model, its whole-day
    line does.
    """

    day: str
    model: str
    calls: int
    ours: Tokens
    ours_pico: int
    theirs: Tokens | None
    theirs_pico: int | None
    judged: bool
    reasons: dict[str, int]
    """Why → how many of our calls."""
    explained: tuple[Explaining, ...] = ()
    items: tuple[str, ...] = ()
    """What was billed apart from tokens."""

    @property
    def residual_pico(self) -> int | None:
        """Billed less recorded; None when the bill tells no money."""
        return None if self.theirs_pico is None else self.theirs_pico - self.ours_pico

    @property
    def residual_tokens(self) -> Tokens | None:
        """Billed less recorded per bucket; None when the bill tells no tokens."""
        return None if self.theirs is None else {name: self.theirs[name] - self.ours[name] for name in TOKENS}

    @property
    def holds(self) -> bool:
        """Within a cent; where the bill tells only tokens, equal in every bucket."""
        if self.theirs_pico is not None:
            return abs(self.theirs_pico - self.ours_pico) <= CENT
        tokens = self.residual_tokens
        return tokens is None or not any(tokens.values())


class Reconciliation(Struct, frozen=True):
    """Lines by day and model. `calls` of the ledger were compared."""

    lines: tuple[Residual, ...]
    first_day: str
    last_day: str
    calls: int

    @property
    def holds(self) -> bool:
        """Whether every line that decides holds."""
        return all(line.holds for line in self.lines if line.judged)


class _Sums:
    """One (day, model) as it adds up."""

    def __init__(self) -> None:
        self.calls = 0
        self.ours: Tokens = dict.fromkeys(TOKENS, 0)
        self.ours_pico = 0
        self.theirs: Tokens | None = None
        self.theirs_pico: int | None = None
        self.reasons: Counter[str] = Counter()
        self.explained: list[Explaining] = []
        self.items: list[str] = []

    def call(self, call: Settled) -> None:
        self.calls += 1
        for name, count in tokens_of(call.usage).items():
            self.ours[name] += count
        self.ours_pico += call.cost_pico or 0
        why = reason(call)
        if why:
            self.reasons[why] += 1
            if len(self.explained) < MOST_SHOWN:
                total = sum(tokens_of(call.usage).values())
                self.explained.append(Explaining(call.attempt, call.exchange, why, total, call.cost_pico))

    def billed(self, line: Billed) -> None:
        if line.usage is not None:
            before = self.theirs or dict.fromkeys(TOKENS, 0)
            counts = tokens_of(line.usage)
            self.theirs = {name: before[name] + counts[name] for name in TOKENS}
        if line.cost_pico is not None:
            self.theirs_pico = (self.theirs_pico or 0) + line.cost_pico
        if line.item and line.item not in self.items:
            self.items.append(line.item)


def reconcile(bill: Bill, calls: Iterable[Settled]) -> Reconciliation:
    """`bill` against the `calls` that ended on its days. Calls that belong to other providers must be left
    out.
    """
    names = {spelled(line.model) for line in bill.lines if line.model}
    parts: dict[tuple[str, str], _Sums] = defaultdict(_Sums)
    whole: dict[str, _Sums] = defaultdict(_Sums)
    compared = 0
    for call in calls:
        if bill.starts <= call.at_us // 1_000_000 < bill.ends and _counts(call):
            compared += 1
            parts[(call.day, _called(call, names))].call(call)
            whole[call.day].call(call)
    for line in bill.lines:
        whole[line.day].billed(line)
        if line.model != WHOLE_DAY:
            parts[(line.day, spelled(line.model))].billed(line)
    money, undivided = _days_with(bill.lines)
    lines = []
    for (day, model), sums in parts.items():
        if day not in undivided or sums.theirs is not None or sums.theirs_pico is not None:
            if day in money and day not in undivided and sums.theirs_pico is None:
                sums.theirs_pico = 0  # the day's money is divided by model, and none is for this one
            lines.append(_residual(day, model, sums, day not in undivided))
    lines += [_residual(day, WHOLE_DAY, whole[day], True) for day in undivided]
    lines.sort(key=lambda line: (line.day, line.model == WHOLE_DAY, line.model))
    return Reconciliation(tuple(lines), bill.first_day, bill.last_day, compared)


def _days_with(lines: Iterable[Billed]) -> tuple[set[str], set[str]]:
    """Days with money, and days that can only be judged as a whole: those with money that is not divided by
    model, or, where there is none, with such tokens.
    """
    money: set[str] = set()
    apart: set[str] = set()
    tokens: set[str] = set()
    for line in lines:
        if line.cost_pico is not None:
            money.add(line.day)
        if line.model == WHOLE_DAY:
            (tokens if line.cost_pico is None else apart).add(line.day)
    return money, apart | (tokens - money)


def reason(call: Settled) -> str:
    """Why the ledger and a bill may differ on a call, "" when nothing speaks for it."""
    if not call.known:
        return "cut off: booked at its reservation"
    if call.cost_pico is None:
        return f"unpriced: {call.unpriced}"
    if call.usage.source != "reported":
        return f"{'interrupted' if call.outcome != 'ok' else 'reported no usage'}: tokens estimated"
    if not OTHERS.isdisjoint(call.usage.extra):
        return "asked other models too, which are billed by themselves"
    if call.outcome != "ok":
        return f"ended as {call.outcome}"
    if (call.at_us - call.total_us) // _DAY_US != call.at_us // _DAY_US:
        return "ran over midnight UTC"
    return ""


def tokens_of(usage: Usage) -> Tokens:
    """Tokens as bills count them: audio, image and video tokens are part of input, cache reads and output."""
    counts = {name: getattr(usage, name) for name in TOKENS}
    for unit, count in usage.extra.items():
        side, _, kind = unit.partition("_")
        if side in ("input", "output") and kind:
            counts[side] += count
        elif side == "cache" and kind.endswith("_read"):
            counts["cache_read"] += count
    return counts


def spelled(model: str) -> str:
    """A model's id without what places it: vendor, date, capitals, dots and blanks."""
    plain = model.lower().rpartition("/")[2].replace(" ", "-")
    return _DATED.sub("", plain).replace(".", "-")


def _counts(call: Settled) -> bool:
    """Whether a vendor may have billed it: a refused call has neither tokens nor money."""
    return bool(call.cost_pico) or not call.known or any(tokens_of(call.usage).values())


def _called(call: Settled, names: set[str]) -> str:
    served = spelled(call.served_model)
    return served if served in names else spelled(call.model)


def _residual(day: str, model: str, sums: _Sums, judged: bool) -> Residual:
    theirs, pico = sums.theirs, sums.theirs_pico
    if theirs is None and pico is None:
        theirs = dict.fromkeys(TOKENS, 0)  # recorded here, and not on the bill at all
    return Residual(
        day=day, model=model, calls=sums.calls, ours=sums.ours, ours_pico=sums.ours_pico, theirs=theirs,
        theirs_pico=pico, judged=judged, reasons=dict(sums.reasons), explained=tuple(sums.explained),
        items=tuple(sums.items),
    )  # fmt: skip
