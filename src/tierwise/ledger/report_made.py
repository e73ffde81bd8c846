"""The report, from sums: the same arithmetic for every store."""

from __future__ import annotations

from collections import defaultdict
from typing import get_args

from msgspec import convert

from ..clock import rfc3339
from ..errors import BadRequest
from ..nouns import Usage
from .periods import FOREVER_US
from .report import By, Line, Report, Saving, ranked
from .rollups.read import Sums, Wanted
from .rollups.sql import Ask, Flavour
from .rollups.tally import AT, DAY, STEPS, TOKENS, Facet, Tally

_FACETS: dict[By, Facet] = {"key": "key", "project": "key", "tag": "tag"}
_FAILED = ("error", "truncated")


def make_report(
    ask: Ask, flavour: Flavour, by: By, between: tuple[int | None, int | None], kind: str = ""
) -> Report:
    """The report over CLOSE rows `between` two times (inclusive, exclusive; None: open), of one `kind` and
    hits of the response cache only where it is given, by one of the words of a route. Days are UTC. Raises
    BadRequest for an unknown grouping.
    """
    since_us, until_us = between
    if by not in get_args(By):
        raise BadRequest(f"There is no report by {by!r}.", f"Use one of {', '.join(get_args(By))}.", "by")
    sums = Sums(ask, flavour)
    span = (since_us or 0, FOREVER_US if until_us is None else until_us)
    keys = {str(id): (str(name), str(project)) for id, name, project in ask(_KEYS, {})}
    groups: dict[str, dict[str, Tally]] = defaultdict(lambda: defaultdict(Tally))
    everything: dict[str, Tally] = defaultdict(Tally)
    facet = _FACETS.get(by, "route")
    word = () if by == "day" else ("key",) if by == "project" else (by, "kind") if kind else (by,)
    found = sums.of(Wanted(facet, word, *span, by=DAY if by == "day" else None, timed=True))
    for slot, tally in found.items():
        if kind and slot.words[-1] not in (kind, "cached"):
            continue
        of_all = facet == "tag" and not slot.words
        if of_all or facet != "tag":
            everything[slot.outcome].merge(tally)
        if of_all:
            continue
        if by == "day":
            group = rfc3339(slot.start * STEPS[DAY])[:10]
        elif by == "project":
            group = keys.get(slot.words[0], ("", ""))[1]
        else:
            group = slot.words[0]
        groups[group][slot.outcome].merge(tally)
    names = {id: name for id, (name, _) in keys.items()} if by == "key" else {}
    lines = [_line(group, names.get(group, group), outcomes) for group, outcomes in groups.items()]
    if by == "day":
        lines.sort(key=lambda line: line.group)
    else:
        lines.sort(key=lambda line: (-line.spend_pico, line.group))
    return Report(by, since_us, until_us, tuple(lines), _line("", "all", everything))


_KEYS = "SELECT id, name, project FROM keys"


def _line(group: str, label: str, outcomes: dict[str, Tally]) -> Line:
    calls = {outcome: tally.sums[0] for outcome, tally in outcomes.items()}
    whole = Tally()
    for outcome, tally in outcomes.items():
        if outcome != "cached":
            whole.merge(tally)
    sums, hits = whole.sums, outcomes.get("cached", Tally()).sums
    return Line(
        group,
        label,
        calls=sums[AT["calls"]],
        errors=sum(calls.get(outcome, 0) for outcome in _FAILED),
        cancelled=calls.get("cancelled", 0),
        swept=calls.get("swept", 0),
        unpriced=sums[AT["unpriced"]],
        estimated=sums[AT["estimated"]],
        usage=convert({name: sums[AT[name]] for name in TOKENS}, Usage),
        spend_pico=sums[AT["cost"]],
        asked=Saving(*[sums[AT[name]] for name in ("asked_calls", "asked", "asked_cost")]),
        reference=Saving(*[sums[AT[name]] for name in ("reference_calls", "reference", "reference_cost")]),
        cached=hits[AT["calls"]],
        cached_saved_pico=hits[AT["asked"]],
        ttft=ranked(whole.ttft.counts()),
        total=ranked(whole.total.counts()),
    )
