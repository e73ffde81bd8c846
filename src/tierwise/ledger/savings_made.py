"""Savings from sums, as long as no call was held out: the same arithmetic for every store."""

from __future__ import annotations

from collections import defaultdict

from ..costing.draws import HOLDOUT
from ..costing.savings import FAILED, SERVED, Baseline, Savings
from .periods import FOREVER_US
from .rollups.read import Sums, Wanted
from .rollups.sql import Ask, Flavour
from .rollups.tally import AT, Tally

_STRAYS = (
    "SELECT o.kind, e.outcome, e.unpriced, c.cost_pico, e.cost_pico, e.asked_pico, e.reference_pico"
    " FROM correction_rows e JOIN close_rows c ON c.open_seq = e.open_seq{its_close}"
    " JOIN open_rows o ON o.seq = e.open_seq{its_open}"
    " WHERE e.at_us >= :since AND e.at_us < :until AND NOT (c.at_us >= :since AND c.at_us < :until)"
)
"""Corrections in a span without the CLOSE that they correct."""


def make_savings(ask: Ask, flavour: Flavour, since_us: int | None, until_us: int | None) -> Savings | None:
    """What `savings` makes of the calls that ended from `since_us` (inclusive) to `until_us` (exclusive).
    None where some were held out: their spread is in no sum.
    """
    span = (since_us or 0, FOREVER_US if until_us is None else until_us)
    sums = Sums(ask, flavour)
    tagged = sums.of(Wanted("tag", ("tag",), *span))
    if any(slot.words == (HOLDOUT,) and tally.sums[AT["calls"]] for slot, tally in tagged.items()):
        return None
    found: dict[tuple[str, str], Tally] = defaultdict(Tally)
    for slot, tally in sums.of(Wanted("route", ("kind",), *span)).items():
        found[slot.words[0] or "call", slot.outcome].merge(tally)
    if span != (0, FOREVER_US):
        _without_strays(found, ask, flavour, span)
    return _summed({group: tally for group, tally in found.items() if group[1] != "cached"})


def _summed(found: dict[tuple[str, str], Tally]) -> Savings:
    overhead: dict[str, int] = defaultdict(int)
    made = Savings(Baseline(), Baseline(), overhead)
    for (kind, outcome), tally in found.items():
        sums = tally.sums
        made.unpriced += sums[AT["unpriced"]]
        if kind not in SERVED or outcome == "error":
            overhead[FAILED if kind in SERVED else kind] += sums[AT["cost"]]
            continue
        made.served += sums[AT["calls"]]
        for name, against in (("asked", made.asked), ("reference", made.reference)):
            against.calls += sums[AT[f"{name}_calls"]]
            against.baseline_pico += sums[AT[name]]
            against.cost_pico += sums[AT[f"{name}_cost"]]
    for against in (made.asked, made.reference):
        against.unknown = made.served - against.calls
    made.overhead = {name: pico for name, pico in sorted(overhead.items()) if pico}
    return made


def _without_strays(
    found: dict[tuple[str, str], Tally], ask: Ask, flavour: Flavour, span: tuple[int, int]
) -> None:
    """Takes out what corrections without their CLOSE posted: for the call, and against its sweep."""
    its_close, its_open = (flavour.same_day.format(one, "e") for one in "co")
    query = flavour.text(_STRAYS.format(its_close=its_close, its_open=its_open))
    for row in ask(query, {"since": span[0], "until": span[1]}):
        kind, outcome, unpriced, booked, change, asked, reference = row
        final = (booked or 0) + change
        late, swept = (found[kind or "call", each].sums for each in (outcome, "swept"))
        late[AT["calls"]] -= 1
        late[AT["unpriced"]] -= unpriced != ""
        late[AT["cost"]] -= final
        for name, pico in (("asked", asked), ("reference", reference)):
            if pico is not None and unpriced == "":
                late[AT[f"{name}_calls"]] -= 1
                late[AT[name]] -= pico
                late[AT[f"{name}_cost"]] -= final
        swept[AT["calls"]] += 1
        swept[AT["unpriced"]] += booked is None
        swept[AT["cost"]] += booked or 0
