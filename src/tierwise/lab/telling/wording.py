"""An Evaluation in words and numbers: what the terminal, Markdown and HTML reports have in common."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from ...judging import cases_text
from ...judging.decision import evidence_line, signed
from ...money import pico_to_usd, usd_text
from ..grading.calibrating import NOT_CALIBRATED
from ..results import Comparison, Evaluation, JudgeResult, Span, Spent, TierResult
from ..running.plan import Bill, Plan

HEADLINES = {
    "switch": "Switch: {cheap} is good enough.",
    "keep": "Keep {reference}: {cheap} is not good enough.",
    "not_enough": "Not enough evidence, either way.",
}


def headline(one: Evaluation) -> str:
    """The decision in one sentence."""
    cheap = one.chosen if one.decision == "switch" else _cheaper(one)
    return HEADLINES[one.decision].format(cheap=cheap, reference=one.reference)


def what(one: Evaluation) -> str:
    """What the scores measure: accuracy, or agreement with the reference that wrote the labels."""
    return "agreement" if one.labels == "reference" else "score"


def comparison_title(each: Comparison) -> str:
    """`haiku against opus: switch`."""
    verdict = each.verdict
    decided = {"switch": "good enough", "keep": "not good enough", "not_enough": "not enough evidence"}
    return f"{verdict.cheap} against {verdict.reference}: {decided[verdict.decision]}"


def comparison_rows(each: Comparison, one: Evaluation) -> list[tuple[str, str]]:
    """(name, value) of everything a Verdict rests on."""
    verdict = each.verdict
    low, high = verdict.interval
    rows = [
        ("difference", f"{signed(verdict.difference)} points ({verdict.cheap} − {verdict.reference})"),
        ("interval", f"{signed(low)} to {signed(high)} points ({verdict.level:.0%}, {verdict.method})"),
        ("thresholds", f"margin {one.bar.margin:.1%}, refuse {one.bar.refuse:.1%}, alpha {verdict.alpha:g}"),
        ("cases", _cases(each)),
        ("ln e", f"switch {_number(verdict.ln_e_switch)}, keep {_number(verdict.ln_e_keep)}"),
    ]
    if verdict.mcnemar_midp is not None:
        rows.append(("any difference", f"McNemar mid-p {_p(verdict.mcnemar_midp)}"))
    if each.slower_ms.value is not None:
        rows.append(
            ("latency", f"{span_text(each.slower_ms, ' ms')} (median, negative: {verdict.cheap} is faster)")
        )
    if each.saving_pico is not None:
        rows.append(("saving", f"{money(each.saving_pico)} a Case"))
    if each.break_even_pico is not None:
        rows.append(("break-even", f"a failure nobody notices may cost up to {money(each.break_even_pico)}"))
    if verdict.more_cases is not None:
        cost = "" if each.more_pico is None else f", {money(each.more_pico)}"
        rows.append(("more cases", f"about {verdict.more_cases:,}{cost}"))
    if each.beyond_refuse:
        rows.append(("refused", f"the loss is shown to be above {one.bar.refuse:.0%}: not cheaper after all"))
    if not each.standing:
        rows.append(("does not stand", each.why_not))
    return rows


def judge_line(judge: JudgeResult) -> str:
    """Who scored, what it cost apart from the tiers, and whether it is calibrated."""
    name = "embedder" if judge.kind == "similarity" else f"{judge.kind} judge".replace("judge judge", "judge")
    line = f"{name} {judge.name}: {judge.calls:,} calls, {money(judge.cost_pico)} beside the tiers"
    if judge.failed:
        line += f", {judge.failed} without an answer"
    if judge.swayed:
        line += f", {judge.swayed} of {judge.pairs} pairs judged by their order"
    found = judge.calibration
    if found is not None:
        line += (
            f"; calibrated on {found.labels} human labels: sensitivity {found.sensitivity:.1%}, "
            f"specificity {found.specificity:.1%}"
        )
    elif judge.calibrated is False:
        line += f"; {NOT_CALIBRATED}"
    return line


def tier_row(tier: TierResult) -> list[str]:
    """name, score, price per Case, price per success, TTFT and total medians, P99, spent: as TIER_HEADS."""
    return [
        tier.card.name,
        share_text(tier.score),
        money(tier.per_case_pico),
        spent_text(tier.per_success),
        _ms(tier.ttft_p50_ms),
        _ms(tier.total_p50_ms),
        _ms(tier.total_p99_ms) if tier.total_p99_ms is not None else "n/a (n < 400)",
        money(tier.cost_pico),
    ]


def short_row(tier: TierResult) -> list[str]:
    """The same in 80 columns, as SHORT_HEADS."""
    return [
        tier.card.name,
        share_text(tier.score),
        spent_text(tier.per_success),
        _ms(tier.total_p50_ms),
        money(tier.cost_pico),
    ]


SHORT_HEADS = ("tier", "score", "$/success", "p50", "spent")
TIER_HEADS = ("tier", "score", "$/case", "$/success", "TTFT p50", "total p50", "p99", "spent")


def plan_lines(plan: Plan) -> list[str]:
    """What is said before the first call."""
    clusters = f" in {plan.clusters} cluster{'' if plan.clusters == 1 else 's'}" if plan.clusters else ""
    repeats = f", {plan.repeats} times each" if plan.repeats > 1 else ""
    names = ", ".join(card.name for card in plan.tiers)
    lines = [
        f"{plan.suite}: {cases_text(plan.n)}{clusters}{repeats}, scorer {plan.scorer}, "
        f"suite {plan.suite_hash}",
        f"tiers {names}; reference {plan.reference}; margin {plan.bar.margin:.1%}, alpha {plan.bar.alpha:g}",
    ]
    if len(plan.tiers) > 1:
        shown = ", ".join(
            f"{_loss(each.smallest_margin)} if they disagree on {each.discordance:.0%}" for each in plan.shown
        )
        lines.append(f"{cases_text(plan.n)} can exclude {shown} (80 % power, tiers equal).")
        needed = ", ".join(f"{each.needed:,}" for each in plan.shown if each.needed is not None)
        lines.append(f"A margin of {plan.bar.margin:.1%} takes {needed} Cases at those disagreements.")
    if plan.drawn:
        lines.append(plan.drawn)
    lines.append(_bill_line(plan))
    if plan.judge_bill is not None:
        bill = plan.judge_bill
        said = (
            f"{bill.calls:,} calls, about {money(bill.about_pico)}" if bill.calls else "every call was made"
        )
        lines.append(f"of that the judge {plan.judge}: {said}")
    if plan.in_doubt:
        lines.append(f"{plan.in_doubt} calls were in flight when the run stopped: they may have been billed.")
    return [*lines, *(f"warning: {each}" for each in plan.warnings)]


def _loss(margin: float) -> str:
    return f"a loss of {margin:.1%}" if margin < 1 else "nothing"


def money(pico: int | None) -> str:
    """Dollars with enough decimals to tell amounts apart; `unknown` for None."""
    if pico is None:
        return "unknown"
    places = 2 if abs(pico) >= 10**12 else 4 if abs(pico) >= 10**10 else 6
    return usd_text(pico, places)


def usd(pico: int | None) -> str | None:
    """Exact decimal dollars as text, None for None."""
    return None if pico is None else f"{pico_to_usd(pico).normalize():f}"


def span_text(span: Span, unit: str = "") -> str:
    """`−12 ms (−15 to −9)`."""
    if span.value is None:
        return "n/a"
    text = f"{span.value:+,.0f}{unit}".replace("-", "−")
    if span.low is None or span.high is None:
        return text
    return f"{text} ({span.low:+,.0f} to {span.high:+,.0f})".replace("-", "−")


def share_text(span: Span) -> str:
    """`95.5 % (91.7–97.6)`."""
    if span.value is None:
        return "n/a"
    text = f"{span.value * 100:.1f} %"
    return (
        text
        if span.low is None or span.high is None
        else f"{text} ({span.low * 100:.1f}–{span.high * 100:.1f})"
    )


def spent_text(spent: Spent) -> str:
    """`$0.001 ($0.0009–$0.0011)`; `unbounded` where the interval has no upper end."""
    if spent.pico is None:
        return "n/a"
    if spent.low is None and spent.high is None:
        return f"{money(spent.pico)} (unbounded)"
    high = "unbounded" if spent.high is None else money(spent.high)
    return f"{money(spent.pico)} ({money(spent.low)}–{high})"


def as_json(one: Evaluation) -> dict[str, Any]:
    """The Evaluation as JSON, with the figures of its (first) comparison at the top level as `verdict` has
    them.
    """
    found: dict[str, Any] = msgspec.to_builtins(one)
    chosen = next((each for each in one.comparisons if each.verdict.cheap == one.chosen), None)
    first = chosen or (one.comparisons[0] if one.comparisons else None)
    if first is not None:
        verdict = first.verdict
        found |= {
            "cheap": verdict.cheap,
            "difference": verdict.difference,
            "interval": list(verdict.interval),
            "level": verdict.level,
            "mcnemar_midp": verdict.mcnemar_midp,
            "ln_e_switch": verdict.ln_e_switch,
            "ln_e_keep": verdict.ln_e_keep,
            "more_cases": verdict.more_cases,
            "more_cost_usd": usd(first.more_pico),
            "break_even_usd": usd(first.break_even_pico),
            "evidence": evidence_line(verdict),
        }
    found["spent_usd"] = usd(one.spent_pico)
    if one.judge is not None:
        found["judge_usd"] = usd(one.judge.cost_pico)
        found["judge_calibrated"] = one.judge.calibrated
    found["price_per_success_usd"] = {
        tier.card.name: {"value": usd(tier.per_success.pico), "low": usd(tier.per_success.low),
                         "high": usd(tier.per_success.high)}
        for tier in one.tiers
    }  # fmt: skip
    return found


def _cheaper(one: Evaluation) -> str:
    names = [each.verdict.cheap for each in one.comparisons]
    return " or ".join(names) if len(names) < 3 else "no cheaper tier"


def _cases(each: Comparison) -> str:
    verdict = each.verdict
    text = f"{verdict.n:,}"
    if verdict.clusters is not None:
        text += f" in {verdict.clusters} cluster{'' if verdict.clusters == 1 else 's'}"
    if verdict.discordance is not None:
        text += f", the tiers differ on {verdict.discordance:.1%}"
    counts = verdict.counts
    if counts is not None:
        text += (
            f" (both right {counts.both}, only {verdict.cheap} {counts.cheap_only}, "
            f"only {verdict.reference} {counts.ref_only}, neither {counts.neither})"
        )
    return text + (f"; {each.missing} without a score" if each.missing else "")


def _bill_line(plan: Plan) -> str:
    calls = sum(each.calls for each in plan.bills.values())
    calls += plan.judge_bill.calls if plan.judge_bill is not None else 0
    if not calls:
        return "Every call has been made already."
    by_tier = ", ".join(f"{name} {_about(each)}" for name, each in plan.bills.items() if each.calls)
    most = f", at most {money(plan.most_pico)}" if plan.most_pico is not None else ""
    limit = f"; limit {money(plan.limit_pico)}" if plan.limit_pico is not None else ""
    spent = f"; {money(plan.spent_pico)} spent before" if plan.spent_pico else ""
    return f"{calls:,} calls, about {money(plan.about_pico)}{most} ({by_tier}){limit}{spent}"


def _about(each: Bill) -> str:
    return money(each.about_pico)


def _number(value: float | None) -> str:
    return "n/a" if value is None or math.isnan(value) else f"{value:+.2f}".replace("-", "−")


def _p(p: float) -> str:
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _ms(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.0f} ms"
