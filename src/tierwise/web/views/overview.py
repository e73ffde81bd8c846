"""Overview: what was spent and saved, what went wrong, and what needs someone now."""

from __future__ import annotations

from msgspec import Struct

from tierwise.errors import Overloaded
from tierwise.nouns import SHADOW

from ..history import Wanted
from ..rollup import DAY_US, HOUR_US, Slot
from ..site import Site, month_start_us, now
from . import budgets, exchanges, walked
from .ranges import (
    Figures,
    Groups,
    Notice,
    Range,
    Ranged,
    Span,
    figures,
    groups_in,
    made,
    ordered_tiers,
    span_of,
    tier_label,
)

_LATEST = 12
_NEAR = 0.9
_WALKED = 20_000
"""Events of a ledger that is gone through on each look, at most."""


class Series(Struct, frozen=True):
    """Spend over time: `names[i]` spent `spend_pico[i][j]` pico-dollars and made `calls[i][j]` calls in the
    step that begins at `starts_us[j]`."""

    starts_us: list[int]
    step_us: int
    names: list[str]
    spend_pico: list[list[int]]
    calls: list[list[int]]


class Net(Struct, frozen=True):
    """What serving `calls` calls saved against the reference tier at the same tokens, less `overhead_pico`:
    failed attempts, shadow, judge and evaluation calls. Pico-dollars; None: no call to compare."""

    calls: int
    baseline_pico: int
    cost_pico: int
    overhead_pico: int
    net_pico: int | None


class Overview(Struct, frozen=True):
    """The front page. Days and months are UTC. `causal`: what routing saved by the calls of the range that
    were held out at random, with its interval; none where no task holds any out, or the ledger is too long to
    go through on each look (`/api/v1/savings` does).
    """

    span: Span
    range: Range
    today: Figures
    month: Figures
    month_complete: bool
    shown: Figures
    month_net: Net
    shown_net: Net
    causal: list[walked.Caused]
    series: Series
    latest: list[exchanges.Line]
    notices: list[Notice]
    running: int
    reference: str
    empty: bool


def overview(site: Site, asked: Ranged) -> Overview:
    """Everything of the front page. Raises StoreError."""
    rollup, at = site.rollup, now()
    span = span_of(asked.range, rollup)
    groups = groups_in(span, rollup)
    month_us = month_start_us(at)
    month_groups = list(rollup.slots(month_us))
    today_us = at - at % DAY_US
    found = site.history.search(Wanted(limit=_LATEST))
    names = site.key_names()
    shown = figures(groups)
    latest = [exchanges.line_of(row, names) for row in found.rows]
    return Overview(
        span=span,
        range=asked.range,
        today=figures(month_groups, lambda slot: slot.start_us >= today_us),
        month=figures(month_groups),
        month_complete=rollup.complete,
        shown=shown,
        month_net=net(month_groups),
        shown_net=net(groups),
        causal=_causal(site, asked),
        series=series(site, groups, span),
        latest=latest,
        notices=notices(site, shown, empty=not latest),
        running=site.control.gate.admission.running,
        reference=site.catalog.ladder.reference,
        empty=not latest,
    )


def net(groups: Groups) -> Net:
    """The sums of `ledger report --savings` against the reference tier."""
    served = figures(groups, _served)
    cost = served.reference_pico - (served.saved_pico or 0)
    overhead = figures(groups).spend_pico - served.spend_pico
    saved = None if served.saved_pico is None else served.saved_pico - overhead
    return Net(served.saved_calls, served.reference_pico, cost, overhead, saved)


def _served(slot: Slot) -> bool:
    return slot.kind in ("call", "batch") and slot.outcome != "error"


def _causal(site: Site, asked: Ranged) -> list[walked.Caused]:
    held_out = any(task.holdout_share for task in site.policy.tasks.values())
    if not held_out or site.history.events() > _WALKED:
        return []
    try:
        return walked.saved(site, asked).causal
    except Overloaded:
        return []


def series(site: Site, groups: Groups, span: Span) -> Series:
    """Spend by tier per hour (up to a day), quarter of a day (a week) or day."""
    step = HOUR_US if span.until_us - span.since_us <= DAY_US else 6 * HOUR_US if span.hourly else DAY_US
    first = span.since_us - span.since_us % step
    starts = list(range(first, span.until_us, step))
    names = ordered_tiers(site, {tier_label(slot) for slot, _ in groups})
    spend = [[0] * len(starts) for _ in names]
    calls = [[0] * len(starts) for _ in names]
    for slot, sums in made(groups):
        row, column = names.index(tier_label(slot)), (slot.start_us - first) // step
        if 0 <= column < len(starts):
            spend[row][column] += sums[8]
            calls[row][column] += sums[0]
    return Series(starts, step, names, spend, calls)


def plight(site: Site) -> list[Notice]:
    """What this gateway waits for, and whom it turned away."""
    gate, found = site.control.gate, []
    failing_us = gate.ledger.failing_us()
    if failing_us:
        what = f"The ledger could not be written for {failing_us // 1_000_000} s: new calls are refused."
        found.append(Notice("bad", what, "The gateway's log says why. It goes on by itself once it can."))
    if gate.admission.away:
        what = "The store of limits that replicas share cannot be reached: each keeps to its share of them."
        found.append(Notice("warn", what, "Look at Valkey or Redis. Its limits apply again once it answers."))
    kinds = (("budget", "by a budget"), ("rate_limit", "by a key's limits"), ("overloaded", "overloaded"))
    refused = gate.metrics.refused
    turned = [f"{refused[kind]:,} {words}" for kind, words in kinds if refused[kind]]
    if turned:
        what = f"Requests refused by this gateway since its start: {', '.join(turned)}."
        found.append(Notice("note", what, "A refused request is no call and in no sum.", "/keys"))
    return found


def notices(site: Site, shown: Figures, empty: bool) -> list[Notice]:
    """What needs someone, worst first."""
    down = {name: health.reason for name, health in site.health.items() if health.open}
    tiers = site.catalog.tiers.values()
    left = any(name not in down for tier in tiers for name in (tier.model, *tier.beside))
    goes = (
        "Others answer meanwhile."
        if left
        else "No tier is left to go to: calls fail until one answers again."
    )
    found = [
        Notice(
            "bad",
            f"{name} is not being called: {reason}.",
            f"{goes} Look at the provider's status and credentials.",
            "/tiers",
        )
        for name, reason in sorted(down.items())
    ]
    found += plight(site)
    if not site.catalog.providers:
        found.append(
            Notice("bad", "No provider is configured.", "Set an API key or write [[provider]] rows, restart.")
        )
    for budget in budgets.standings(site):
        if budget.used is not None and budget.used >= _NEAR and not budget.scope.startswith(SHADOW):
            found.append(
                Notice(
                    "bad" if budget.left_pico <= 0 else "warn",
                    f"The budget of {budget.label} is {int(budget.used * 100)}% used.",
                    "Raise the cap, or wait until it resets." if budget.ends_us else "Raise the cap.",
                    "/keys",
                )
            )
    for state, words in (("contradicted", "is contradicted by live answers"), ("expired", "has expired")):
        tasks = [rule.task for rule in site.policy.rules.values() if rule.state == state]
        if tasks:
            what = f"The evidence of {', '.join(sorted(tasks))} {words}."
            found.append(Notice("warn", what, "Measure again: `tierwise eval`.", "/tasks"))
    if shown.unpriced:
        found.append(
            Notice(
                "warn",
                f"{shown.unpriced:,} calls of this range have no price, so spend is at least what is shown.",
                "Add [[price]] rows for their models.",
                "/waste",
            )
        )
    if empty:
        found.append(
            Notice(
                "note",
                "No request has come yet.",
                f"Point a client at {site.control.data_url}/v1 with a key, or try the playground.",
                "/playground",
            )
        )
    return found
