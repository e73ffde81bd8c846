"""Tasks: what serves each, on what evidence, and what to do next with what it is worth."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tierwise.config import VerdictBlock, read_blocks
from tierwise.costing import price_at
from tierwise.errors import ConfigError
from tierwise.judging.price import price_per_success_at
from tierwise.nouns import Price, Rule, Task

from ..shown import iso, usd
from ..site import Site, now
from .ranges import (
    Figures,
    Groups,
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

_URGENCY = {"contradicted": 0, "expired": 1, "prior": 2, "measured": 3}


class TierShare(Struct, frozen=True):
    """A tier's part of a task's calls."""

    tier: str
    calls: int
    share: float
    spend_pico: int
    mean_pico: int | None


class Success(Struct, frozen=True):
    """Cost per success of a tier, pico-dollars: what a call costs here over the measured rate of success.
    None: no success, or no interval's end."""

    tier: str
    rate: float
    pico: int | None
    low: int | None
    high: int | None


class Evidence(Struct, frozen=True):
    """What a rule rests on. Differences are cheap − reference, in 0..1."""

    decision: str
    difference: float
    low: float
    high: float
    level: float
    n: int
    margin: float
    method: str
    date: str
    expires: str | None
    cheap: str
    reference: str
    successes: list[Success]


class TaskLine(Struct, frozen=True):
    """One task. `next_step` says what to do; `worth_pico` what that may save over the span, None: unknown."""

    name: str
    state: str
    tiers: list[str]
    ladder: list[str]
    start: str
    why: str
    margin: float
    evidence_words: str
    evidence: Evidence | None
    figures: Figures
    shares: list[TierShare]
    trend: list[int]
    next_step: str
    command: str
    worth_pico: int | None


class Tasks(Struct, frozen=True):
    """All tasks: contradicted and expired rules first, then by spend. `other` are calls of no task."""

    span: Span
    range: Range
    tasks: list[TaskLine]
    other: Figures
    reference: str
    trouble: str


def tasks(site: Site, asked: Ranged) -> Tasks:
    """Every task of the policy, and those that only calls name. Raises StoreError."""
    rollup = site.rollup
    span = span_of(asked.range, rollup)
    groups = groups_in(span, rollup)
    by_task: dict[str, Groups] = {}
    for slot, sums in groups:
        by_task.setdefault(slot.task, []).append((slot, sums))
    trouble, verdicts = "", {}
    try:
        blocks = read_blocks(site.settings.policy_path)
        verdicts = {block.task: block.verdict for block in blocks if block.verdict is not None}
    except ConfigError as error:
        trouble = error.sentence()
    names = [*site.policy.tasks, *(name for name in by_task if name and name not in site.policy.tasks)]
    lines = [_line(site, name, by_task.get(name, []), (span, verdicts.get(name))) for name in names]
    lines.sort(key=lambda line: (_URGENCY.get(line.state, 2), -line.figures.spend_pico, line.name))
    return Tasks(
        span, asked.range, lines, figures(by_task.get("", [])), site.catalog.ladder.reference, trouble
    )


def _line(site: Site, name: str, groups: Groups, known: tuple[Span, VerdictBlock | None]) -> TaskLine:
    span, verdict = known
    task = site.policy.tasks.get(name, Task(name, start=site.policy.safe_middle))
    rule = site.policy.rules.get(name) or Rule(
        name, (site.policy.safe_middle,), "prior", "no rule: safe middle"
    )
    calls = made(groups)
    shares = _shares(site, calls)
    step, command, worth = _next(site, rule, task, groups)
    return TaskLine(
        name=name,
        state=rule.state,
        tiers=list(rule.tiers),
        ladder=list(task.ladder),
        start=task.start,
        why=task.why,
        margin=task.bar.margin,
        evidence_words=rule.evidence,
        evidence=_evidence(verdict, task, shares) if verdict is not None else None,
        figures=figures(groups),
        shares=shares,
        trend=_trend(calls, span),
        next_step=step,
        command=command,
        worth_pico=worth,
    )


def _shares(site: Site, groups: Groups) -> list[TierShare]:
    calls = sum(sums[0] for _, sums in groups)
    found = []
    for tier in ordered_tiers(site, {tier_label(slot) for slot, _ in groups}):
        kept = [(slot, sums) for slot, sums in groups if tier_label(slot) == tier]
        number, spend = sum(sums[0] for _, sums in kept), sum(sums[8] for _, sums in kept)
        priced = number - sum(sums[1] for _, sums in kept)
        mean = spend // priced if priced > 0 else None
        found.append(TierShare(tier, number, number / calls if calls else 0.0, spend, mean))
    return found


def _evidence(verdict: VerdictBlock, task: Task, shares: list[TierShare]) -> Evidence:
    margin = verdict.margin if verdict.margin is not None else task.bar.margin
    low, high = verdict.interval
    return Evidence(
        decision=verdict.decision,
        difference=verdict.difference,
        low=low,
        high=high,
        level=verdict.level,
        n=verdict.n,
        margin=margin,
        method=verdict.method,
        date=verdict.date,
        expires=verdict.expires,
        cheap=verdict.cheap,
        reference=verdict.reference,
        successes=_successes(verdict, shares),
    )


def _successes(verdict: VerdictBlock, shares: list[TierShare]) -> list[Success]:
    """Mean cost of a call here and now over the success rate measured then, where both are known."""
    if verdict.counts is None:
        return []
    both, cheap_only, ref_only, neither = verdict.counts
    n = both + cheap_only + ref_only + neither
    mean = {share.tier: share.mean_pico for share in shares}
    found = []
    for tier, right in ((verdict.cheap, both + cheap_only), (verdict.reference, both + ref_only)):
        price = mean.get(tier)
        if price is not None and n:
            per = price_per_success_at(price, right, n)
            found.append(Success(tier, right / n, per.pico, per.low, per.high))
    return found


def _trend(groups: Groups, span: Span) -> list[int]:
    """Calls in twelve equal steps of the span."""
    steps, width = [0] * 12, max(1, (span.until_us - span.since_us) // 12 + 1)
    for slot, sums in groups:
        steps[min(11, max(0, (slot.start_us - span.since_us) // width))] += sums[0]
    return steps


def _next(site: Site, rule: Rule, task: Task, groups: Groups) -> tuple[str, str, int | None]:
    """What to do next, the command for it, and what it may save over the span."""
    if task.name not in site.policy.tasks:
        return (
            "These calls name no known task. Name one, so that it can be measured and routed: "
            f"header `x-tierwise-task`, or a [task.{task.name}] table in tierwise.toml.",
            "",
            None,
        )
    ladder, head = list(task.ladder), rule.tiers[0] if rule.tiers else ""
    reference = site.catalog.ladder.reference
    cheaper = ladder[ladder.index(head) - 1] if head in ladder and ladder.index(head) > 0 else ""
    if rule.state == "contradicted":
        return (
            "Live answers contradict the verdict: measure again before trusting it.",
            _eval(task.name, head, reference),
            None,
        )
    if rule.state == "expired":
        return (
            f"The verdict expired on {rule.expires}: measure again."
            if rule.expires
            else "A tier has another model or other settings than when it was measured: measure again.",
            _eval(task.name, head, reference),
            None,
        )
    if rule.state == "prior" and head and head != reference:
        return (
            f"Nothing is measured: check that {head} is good enough against {reference}.",
            _eval(task.name, head, reference),
            None,
        )
    if cheaper:
        worth = _worth(site, groups, head, cheaper)
        what = f"See whether {cheaper} is good enough"
        if worth:
            what += f": the same tokens there would have cost {usd(worth)} less"
        return f"{what}.", _eval(task.name, cheaper, reference), worth
    return "Nothing: the cheapest tier serves it.", "", None


def _eval(task: str, tier: str, reference: str) -> str:
    # Without --task the verdict would be held to no task's margin, and no rule could be made of it.
    suite, tiers = f"suites/{task}.jsonl", f"--tiers {tier},{reference} --reference {reference}"
    return f"tierwise eval {suite} --task {task} {tiers}"


def _worth(site: Site, groups: Groups, tier: str, cheaper: str) -> int | None:
    """Spend at `tier` less the same tokens at `cheaper`'s price of today; None when that is unknown."""
    target = site.catalog.tiers.get(cheaper)
    model = site.catalog.models.get(target.model) if target else None
    price = price_at(model.prices, iso(now())[:10]) if model else None
    if price is None:
        return None
    total = 0
    for slot, sums in groups:
        if slot.tier == tier:
            there = _at(price, sums)
            if there is None:
                return None
            total += sums[8] - there
    return total if total > 0 else None


def _at(price: Price, sums: list[int]) -> int | None:
    rates: list[Any] = [
        price.input, price.cache_read, price.cache_write_5m, price.cache_write_1h, price.output
    ]  # fmt: skip
    total = 0
    for tokens, rate in zip(sums[3:8], rates, strict=True):
        if tokens and rate is None:
            return None
        total += tokens * (rate or 0)
    return total
