"""Stated error rates against a known truth, many times over: alarms, thresholds, certificates, intervals,
running verdicts.
"""

from __future__ import annotations

import functools
import math
import random

import pytest

from tierwise.judging import judge_pairs, similar
from tierwise.judging.alarm import Bets
from tierwise.judging.decision import Terms
from tierwise.judging.guarantee import certify, ln_capital, needed_labels
from tierwise.judging.price import (
    price_per_success,
)
from tierwise.judging.sequential import ln_threshold
from tierwise.judging.similar import chosen, thresholds
from tierwise.lab.running.looking import Look
from tierwise.lab.running.tally import pairs_of
from tierwise.nouns import Bar, Score, Usage
from unit.lab.made import suite


def test_at_the_margin_false_alarms_stay_below_alpha() -> None:
    """Read after every pair of 500, with a disagreement of exactly the margin: at most 5 % of 500 runs, and
    three standard errors."""
    draw = random.Random(11)
    false = 0
    for _ in range(500):
        bets = Bets(0.05)
        false += any(bets.add(-float(draw.random() < 0.05)) >= math.log(20) for _ in range(500))
    assert 0 < false / 500 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


def test_the_bound_holds_whichever_threshold_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pairs whose hits are false at a known rate above the limit at every threshold: seldom is one chosen."""
    # The same few counts come again and again.
    monkeypatch.setattr(similar, "clopper_pearson_upper", functools.cache(similar.clopper_pearson_upper))
    rng, limit, chosen_wrongly, trials = random.Random(3), 0.10, 0, 400
    for _ in range(trials):
        pairs = [(rng.uniform(0.8, 1.0), rng.random() > limit * 1.01) for _ in range(150)]
        chosen_wrongly += chosen(thresholds(pairs), limit) is not None
    # 5 % are allowed; beyond 20 + 6 standard deviations is no chance.
    assert chosen_wrongly <= 0.05 * trials + 6 * math.sqrt(trials * 0.05 * 0.95)


GRID = [i / 20 for i in range(1, 21)]


def labels(n: int, seed: int) -> tuple[list[float], list[float]]:
    """A score is the chance that the cheap tier loses the Case; the mean loss below t is t²/2."""
    draw = random.Random(seed)
    scores = [draw.random() for _ in range(n)]
    return scores, [float(draw.random() < s) for s in scores]


def test_the_certificate_breaks_its_bound_in_at_most_delta_of_resamples():
    broken, shares = 0, 0.0
    for seed in range(150):
        found = certify(*labels(800, seed), GRID, margin=0.05)
        threshold = found.threshold or 0.0
        broken += threshold**2 / 2 > 0.05
        shares += found.cheap_share
    assert broken / 150 <= 0.08
    assert shares / 150 > 0.15


@pytest.mark.parametrize(("psi", "margin"), [(0.05, 0.02), (0.10, 0.05), (0.20, 0.05)])
def test_equal_tiers_are_certified_at_better_than_even_odds(psi, margin):
    n, certified = needed_labels(psi, margin), 0
    for seed in range(120):
        draw = random.Random(seed)
        losses = draw.choices([1.0, -1.0, 0.0], [psi / 2, psi / 2, 1 - psi], k=n)
        certified += ln_capital(losses, margin) >= ln_threshold(0.05)
    assert certified / 120 >= 0.48


MILLI = 10**9


def test_the_interval_covers_the_true_ratio():
    hits = 0
    for seed in range(300):
        draw = random.Random(seed)
        right = [draw.random() < 0.8 for _ in range(80)]
        costs = [MILLI + (draw.randrange(MILLI) if ok else 2 * draw.randrange(MILLI)) for ok in right]
        # E[cost] = 1 + 0.8·0.5 + 0.2·1 = 1.6 milli-dollars.
        found = price_per_success(costs, [float(ok) for ok in right])
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 2 * MILLI <= found.high
    assert 0.92 <= hits / 300 <= 0.985


def test_the_running_rule_switches_falsely_at_most_at_its_rate() -> None:
    """A true gap of exactly the margin, looked at after every Case: false switches stay below alpha."""
    from tierwise.lab.running.records import Record
    from tierwise.lab.running.tally import TierTally
    from tierwise.nouns import Trial

    cases = suite(400).cases
    wrong = 0
    for seed in range(120):
        draw = random.Random(seed)
        sides = (TierTally(400, 1), TierTally(400, 1))
        look = Look(*sides, cases, Terms(bar=Bar(), running=True))
        for at in range(400):
            u = draw.random()
            # ψ = 0.15, gap −0.05: only cheap 5 %, only reference 10 %.
            scores = (1, 0) if u < 0.05 else (0, 1) if u < 0.15 else (1, 1)
            for side, score in zip(sides, scores, strict=True):
                side.put(at, Record(Trial("x", "t", 0, "", Score(score), Usage(), 0, None, 0)))
            look.advance()
        if look.decided is not None:
            pairs = pairs_of(*sides, cases, look.decided)
            wrong += judge_pairs(pairs, Terms(bar=Bar(), running=True)).decision == "switch"
    # 120 draws at 2.3 %: more than 9 would be a rate above 5 % with near certainty.
    assert wrong <= 9
