"""Compare: tallies → an Evaluation: Verdicts, what a success costs, latency, and the decision that stands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec import Struct, structs

from ..errors import SuiteError
from ..judging import Pair, cases_text, more_cost_pico
from ..judging.decision import Terms as JudgingTerms
from ..judging.intervals import two_sided_z, wilson
from ..judging.latency import quantile, tail
from ..judging.multiplicity import fixed_sequence
from ..judging.paired import clustered_t, paired_t
from ..judging.price import break_even_loss, price_per_success
from ..nouns import Case, Decision, Verdict
from .grading.calibrating import judged as judged_pairs
from .results import Comparison, Evaluation, JudgeResult, Span, Spent, TierResult
from .running.records import Manifest, TierCard
from .running.tally import OUTCOMES, TierTally, pairs_of

_LEAST_PAIRS = 10
"""From so many judged pairs on, a pairwise judge that mostly follows their order decides nothing."""
_NO_YARDSTICK = (
    "No answer of either tier is right: scorer or targets hardly fit, so nothing is shown. "
    "Read trials.jsonl, then --rescore the run with another scorer."
)
_SWAYED = (
    "The judge {judge.name} changed its mind with the order on {judge.swayed} of {judge.pairs} pairs: its "
    "ties say nothing of the answers. Use another judge, or a sharper rubric."
)


class Seen(Struct, frozen=True):
    """A run as far as it has come. `upto`: per cheap tier, after how many Cases of the order a running
    comparison decided. `dearer`: tiers known to cost more than the reference.
    """

    manifest: Manifest
    order: Sequence[Case]
    tallies: Mapping[str, TierTally]
    cheap: tuple[str, ...]
    upto: Mapping[str, int] = {}
    dearer: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    judge: JudgeResult | None = None


def evaluate_seen(seen: Seen) -> Evaluation:
    """The Evaluation. `seen.cheap` runs from cheap to dear. Raises SuiteError when a tier answered nothing
    or was never scored: there is nothing to say then.
    """
    terms, suite = seen.manifest.terms, seen.manifest.suite
    for name, tally in seen.tallies.items():
        _check_answers(name, tally)
    tiers = tuple(
        tier_result(
            structs.replace(card, served=tuple(sorted(seen.tallies[card.name].served))),
            seen.tallies[card.name],
            seen.order,
        )
        for card in seen.manifest.tiers
    )
    results = {each.card.name: each for each in tiers}
    comparisons = _standing([_compared(seen, cheap, results) for cheap in seen.cheap])
    decision, chosen = _decision(comparisons, terms.reference)
    priced = [each.cost_pico for each in tiers]
    return Evaluation(
        run=seen.manifest.id,
        created=seen.manifest.created,
        suite=suite,
        bar=terms.bar,
        seed=terms.seed,
        n=len(seen.order),
        repeats=terms.repeats,
        sequential=terms.sequential,
        reference=terms.reference,
        tiers=tiers,
        comparisons=tuple(comparisons),
        decision=decision,
        chosen=chosen,
        spent_pico=None if None in priced else sum(cost or 0 for cost in priced),
        notes=(*seen.notes, *_notes(seen, results)),
        labels=suite.labels,
        judge=seen.judge,
        tests=terms.tests,
    )


def grown(earlier: Evaluation, tallies: Mapping[str, TierTally]) -> bool:
    """Whether a tier has been compared on more Cases since an earlier Evaluation of the run."""
    reference = tallies[earlier.reference]
    for each in earlier.comparisons:
        cheap = tallies[each.verdict.cheap]
        pairs = sum(cheap.complete(at) and reference.complete(at) for at in range(cheap.positions))
        if pairs > each.verdict.n + each.missing:
            return True
    return False


def tier_result(card: TierCard, tally: TierTally, order: Sequence[Case]) -> TierResult:
    """One tier by itself. Repeats of a Case, and Cases of a cluster, are one unit of its intervals."""
    units = [case.cluster or case.id for case in order for _ in range(tally.repeats)]
    scored = [score for score in tally.scores if score >= 0]
    of = [unit for unit, score in zip(units, tally.scores, strict=True) if score >= 0]
    mean = sum(scored) / len(scored) if scored else None
    costs, wins, priced = _priced(tally, units)
    known = len(costs) >= 2 and tally.unpriced == 0
    found = price_per_success(list(costs.values()), [wins[unit] for unit in costs]) if known else None
    totals = [time / 1000 for time in tally.times(tally.total_us)]
    return TierResult(
        card=card,
        trials=tally.ended,
        scored=len(scored),
        unscored=tally.unscored,
        score=Span(mean, *_score_interval(scored, of)),
        cost_pico=None if tally.unpriced else tally.spent_pico,
        per_case_pico=round(sum(costs.values()) / priced) if known else None,
        per_success=Spent(found.pico, found.low, found.high) if found else Spent(None, None, None),
        ttft_p50_ms=quantile([time / 1000 for time in tally.times(tally.ttft_us)], 0.5),
        total_p50_ms=quantile(totals, 0.5),
        total_p95_ms=tail(totals, 0.95),
        total_p99_ms=tail(totals, 0.99),
        outcomes={name: count for name in OUTCOMES if (count := tally.count(name))},
        cached=tally.cached,
        unpriced=tally.unpriced,
        reasons=dict(tally.reasons.most_common(5)),
    )


def slower_ms(cheap: TierTally, reference: TierTally) -> Span:
    """Median of the paired differences of total time, cheap − reference, in milliseconds; its 95 % interval
    by order statistics needs no shape of the distribution.
    """
    gaps = sorted(
        (mine - other) / 1000
        for mine, other in zip(cheap.total_us, reference.total_us, strict=True)
        if mine >= 0 and other >= 0
    )
    n = len(gaps)
    if n < 8:
        return Span(quantile(gaps, 0.5), None, None)
    rank = max(0, math.floor((n - two_sided_z(0.95) * math.sqrt(n)) / 2) - 1)
    return Span(quantile(gaps, 0.5), gaps[rank], gaps[n - 1 - rank])


def holm_over_suites(
    found: Sequence[Evaluation], judged: Sequence[Mapping[str, Sequence[Pair]]], tests: int = 0
) -> list[Evaluation]:
    """Evaluations of several suites, where only decisions stand that hold for all of them together (Holm
    1979). `judged`: per evaluation, the pairs of each cheap tier. `tests`: of how many comparisons, where
    some are not among these.

    Each decision is tried again at alpha/k, k the number of decisions still open; any wrong one among all
    then has probability ≤ alpha. Each Evaluation says its k: at that it may be judged again by itself, since
    what fell before it did not need it.
    """
    keys = [(number, each.verdict.cheap) for number, one in enumerate(found) for each in one.comparisons]
    open_ = [key for key in keys if found[key[0]].against(key[1]).verdict.decision != "not_enough"]
    tests = max(tests, len(keys))
    left, stands = tests, dict[tuple[int, str], int]()
    while open_:
        passed = [key for key in open_ if _holds_at(found[key[0]], key[1], judged[key[0]][key[1]], left)]
        if not passed:
            break
        stands[passed[0]] = left
        open_.remove(passed[0])
        left -= 1
    return [_with_standing(one, number, stands, tests, left) for number, one in enumerate(found)]


def _holds_at(one: Evaluation, cheap: str, pairs: Sequence[Pair], divisor: int) -> bool:
    verdict = one.against(cheap).verdict
    bar = structs.replace(one.bar, alpha=one.bar.alpha / divisor)
    terms = JudgingTerms(bar=bar, seed=one.seed, running=one.sequential, labels=one.labels)
    return judged_pairs(pairs, terms, one.judge).decision == verdict.decision


def _with_standing(
    one: Evaluation, number: int, stands: Mapping[tuple[int, str], int], tests: int, left: int
) -> Evaluation:
    comparisons = [
        each
        if (number, each.verdict.cheap) in stands or each.verdict.decision == "not_enough"
        else structs.replace(
            each, standing=False, why_not=f"it does not hold for {tests} comparisons at once (Holm)"
        )
        for each in one.comparisons
    ]
    decision, chosen = _decision(comparisons, one.reference)
    divisors = [stands.get((number, each.verdict.cheap), left) for each in comparisons]
    return structs.replace(
        one, comparisons=tuple(comparisons), decision=decision, chosen=chosen, tests=max([1, *divisors])
    )


def _compared(seen: Seen, cheap: str, results: Mapping[str, TierResult]) -> Comparison:
    terms = seen.manifest.terms
    mine, other = seen.tallies[cheap], seen.tallies[terms.reference]
    pairs = pairs_of(mine, other, seen.order, seen.upto.get(cheap))
    mine_pico, other_pico = results[cheap].per_case_pico, results[terms.reference].per_case_pico
    priced = mine_pico is not None and other_pico is not None
    judge_pico = _judge_pico(seen)
    known = priced and judge_pico is not None
    pair_price = ((mine_pico or 0) + (other_pico or 0)) * terms.repeats + (judge_pico or 0) if known else None
    judging = JudgingTerms(
        bar=terms.bar,
        cheap=cheap,
        reference=terms.reference,
        suite_hash=seen.manifest.suite.hash,
        seed=terms.seed,
        labels=seen.manifest.suite.labels,
        running=terms.sequential or terms.judged > 0,
        pair_price_pico=pair_price,
    )
    verdict = judged_pairs(pairs, judging, seen.judge)
    rates = (results[cheap].score.value, results[terms.reference].score.value)
    loss = None
    preferred = seen.judge is not None and seen.judge.kind == "pairwise"
    if rates == (0, 0) and not preferred:
        verdict = _undecided(verdict, _NO_YARDSTICK)
    elif _follows_order(seen.judge):
        verdict = _undecided(verdict, _SWAYED.format(judge=seen.judge))
    if priced and not preferred and rates[0] is not None and rates[1] is not None:
        loss = break_even_loss(mine_pico or 0, other_pico or 0, rates[0], rates[1])
    return Comparison(
        verdict=verdict,
        dearer=cheap in seen.dearer,
        missing=sum(pair.cheap is None or pair.reference is None for pair in pairs),
        slower_ms=slower_ms(mine, other),
        saving_pico=(other_pico or 0) - (mine_pico or 0) if priced else None,
        break_even_pico=loss,
        more_pico=more_cost_pico(verdict, judging),
        beyond_refuse=verdict.decision == "keep" and verdict.interval[1] < -terms.bar.refuse,
        disagreements=sum(
            pair.cheap is not None and pair.reference is not None and pair.cheap != pair.reference
            for pair in pairs
        ),
    )


def _follows_order(judge: JudgeResult | None) -> bool:
    return judge is not None and judge.pairs >= _LEAST_PAIRS and 2 * judge.swayed > judge.pairs


def _undecided(verdict: Verdict, why: str) -> Verdict:
    """Where the yardstick fails, two tiers are equal on paper only."""
    return structs.replace(verdict, decision="not_enough", more_cases=None, reasons=(verdict.reasons[0], why))


def _judge_pico(seen: Seen) -> int | None:
    """What judging one more pair of answers costs; None: not known."""
    judge, order, cheap = seen.judge, len(seen.order), len(seen.cheap)
    if judge is None:
        return 0
    if judge.cost_pico is None:
        return None
    shares = order * cheap if judge.kind == "pairwise" else order * (cheap + 1)
    return judge.cost_pico * (1 if judge.kind == "pairwise" else 2) // max(shares, 1)


def _standing(comparisons: list[Comparison]) -> list[Comparison]:
    """Tested from dear to cheap at full alpha, stopping at the first that may not switch: then no correction
    is needed.
    """
    above = [each for each in comparisons if each.dearer]
    down = [each for each in comparisons if not each.dearer][::-1]
    passed = fixed_sequence([each.verdict.decision == "switch" for each in down])
    kept = []
    for number, each in enumerate(down):
        if number > passed and each.verdict.decision == "switch":
            dearer = down[passed].verdict.cheap
            why = f"{dearer}, which is dearer, was not shown to be good enough (tested from dear to cheap)"
            each = structs.replace(each, standing=False, why_not=why)
        kept.append(each)
    return [*kept[::-1], *above]


def _decision(comparisons: Sequence[Comparison], reference: str) -> tuple[Decision, str]:
    comparisons = [each for each in comparisons if not each.dearer]
    for each in comparisons:
        if each.standing and each.verdict.decision == "switch":
            return "switch", each.verdict.cheap
    if comparisons and all(each.standing and each.verdict.decision == "keep" for each in comparisons):
        return "keep", reference
    return "not_enough", reference


def _check_answers(name: str, tally: TierTally) -> None:
    answered = tally.count("ok") + tally.count("truncated") + tally.count("refused")
    if not answered:
        what = f": {tally.last_error.rstrip('.')}" if tally.last_error else ""
        raise SuiteError(
            f"{name} answered none of {cases_text(tally.ended)}{what}.",
            "That says nothing of its quality. Correct the cause and go on with --resume.",
        )
    if not any(score >= 0 for score in tally.scores):
        why = next(iter(dict(tally.reasons.most_common(1))), "no reason given")
        raise SuiteError(f"No answer of {name} could be scored: {why}.", "Check the scorer and the targets.")


def _priced(tally: TierTally, units: Sequence[str]) -> tuple[dict[str, int], dict[str, float], int]:
    """Pico-dollars and scores by unit, of every Trial that has both, and how many have."""
    costs: dict[str, int] = {}
    wins: dict[str, float] = {}
    trials = 0
    for unit, cost, score in zip(units, tally.costs, tally.scores, strict=True):
        if cost >= 0 and score >= 0:
            costs[unit] = costs.get(unit, 0) + cost
            wins[unit] = wins.get(unit, 0.0) + score
            trials += 1
    return costs, wins, trials


def _score_interval(scored: Sequence[float], units: Sequence[str]) -> tuple[float | None, float | None]:
    """Wilson's interval of right/wrong scores, else Student's of the mean, over whole units where one has
    several scores; (None, None): there is none.
    """
    n = len(scored)
    if not n:
        return None, None
    apart = len(set(units))
    if max(scored) - min(scored) < 1e-9:
        # A constant has no width to measure: at 0 or 1 Wilson's, else none.
        edge = round(scored[0])
        return wilson(edge * apart, apart) if abs(scored[0] - edge) < 1e-9 else (None, None)
    if apart < n:
        found = clustered_t(scored, units, 0.95)
        low, high = found.interval if found else (None, None)
    elif set(scored) <= {0, 1}:
        return wilson(round(sum(scored)), n)
    else:
        low, high = paired_t(scored, 0.95).interval if n > 1 else (None, None)
    return (None, None) if low is None or high is None else (max(low, 0.0), min(high, 1.0))


def _notes(seen: Seen, results: Mapping[str, TierResult]) -> list[str]:
    notes = []
    judge = seen.judge
    if judge is not None and judge.calibrated is False:
        notes.append(f"The judge {judge.name} is not calibrated on human labels: its errors are not counted.")
    if judge is not None and judge.labels_unscored:
        notes.append(f"The judge gave {judge.labels_unscored} labelled answers no readable score.")
    if seen.manifest.terms.judged:
        notes.append("Cases were added after a verdict had been read, so the e-values decide.")
    for name, result in results.items():
        ended = result.trials
        lost = result.outcomes.get("error", 0)
        if lost:
            notes.append(
                f"{name}: {lost} of {ended} calls got no answer and are unscored; --resume asks again."
            )
        left_out = result.unscored - lost
        if left_out > 0:
            why = next((reason for reason in result.reasons if not reason.startswith("no answer")), "")
            notes.append(f"{name}: {left_out} answers are unscored ({why}).")
        if len(result.card.served) > 1:
            by = ", ".join(result.card.served)
            notes.append(f"{name} was not one model: {by} answered, and the figures are of them together.")
        if result.unpriced:
            notes.append(f"{name}: {result.unpriced} calls could not be priced, so no price is given.")
        if result.cached:
            notes.append(
                f"{name}: {result.cached} answers came from a cache or without times; they are not timed."
            )
        absent = len(seen.order) * seen.manifest.terms.repeats - ended
        if absent and not seen.upto:
            notes.append(f"{name}: {absent} Trials were not made.")
    return notes
