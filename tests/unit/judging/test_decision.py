"""The three-way decision, its words, its refusals."""

from __future__ import annotations

import random

import pytest

from tierwise.errors import SuiteError
from tierwise.judging import Pair, Terms, evidence_line, judge_counts, judge_pairs, more_cost_pico
from tierwise.nouns import Bar, Counts


def graded(n: int, gap: float, seed: int = 0, spread: float = 0.2) -> list[Pair]:
    draw = random.Random(seed)
    found = []
    for _ in range(n):
        reference = draw.uniform(0.4, 0.6)
        found.append(Pair(reference + gap + draw.uniform(-spread, spread), reference))
    return found


def said(verdict) -> str:
    return " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("cells", "fixed", "running"),
    [
        ((100, 0, 0, 0), "switch", "not_enough"),
        ((91, 3, 6, 0), "not_enough", "not_enough"),
        ((89, 6, 5, 0), "switch", "not_enough"),
        ((456, 20, 24, 0), "switch", "switch"),
        ((60, 2, 38, 0), "keep", "keep"),
    ],
)
def test_decisions_by_count(cells, fixed, running):
    assert judge_counts(Counts(*cells)).decision == fixed
    assert judge_counts(Counts(*cells), Terms(running=True)).decision == running


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ((456, 20, 24, 0), "The loss is below 3.1 points at 95 % confidence, inside the margin of 5."),
        ((60, 2, 38, 0), "The loss is above 27.5 points at 95 % confidence, beyond the margin of 5."),
        ((400, 80, 20, 0), "There is no loss at 95 % confidence; the margin is 5 points."),
        ((91, 3, 6, 0), "The interval reaches to both sides of −5 points: neither is shown."),
    ],
)
def test_what_a_decision_rests_on_is_said(cells, words):
    verdict = judge_counts(Counts(*cells))
    assert verdict.reasons[1] == words
    assert verdict.reasons[0].endswith(
        f"interval {verdict.interval[0] * 100:+.1f} to {verdict.interval[1] * 100:+.1f}.".replace("-", "−")
    )


@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("cells", [(89, 6, 5, 0), (456, 20, 24, 0), (60, 2, 38, 0), (91, 3, 6, 0)])
def test_the_interval_and_the_decision_never_disagree(cells, running):
    verdict = judge_counts(Counts(*cells), Terms(running=running))
    low, high = verdict.interval
    expected = "switch" if low > -0.05 else "keep" if high < -0.05 else "not_enough"
    assert verdict.decision == expected
    assert (verdict.more_cases is None) == (expected != "not_enough")


def test_everything_a_verdict_must_say():
    terms = Terms(cheap="haiku", reference="opus", suite_hash="abc", seed=7)
    verdict = judge_counts(Counts(91, 3, 6, 0), terms)
    assert verdict.difference == pytest.approx(-0.03)
    assert verdict.level == pytest.approx(0.90)
    assert verdict.discordance == pytest.approx(0.09)
    assert verdict.mcnemar_midp == pytest.approx(0.34375)
    assert verdict.ln_e_switch == pytest.approx(-0.149759, abs=1e-6)
    assert (verdict.n, verdict.margin, verdict.alpha, verdict.seed) == (100, 0.05, 0.05, 7)
    assert (verdict.cheap, verdict.reference, verdict.suite_hash) == ("haiku", "opus", "abc")
    assert verdict.method == "Tango score interval"
    assert "haiku minus opus: −3.0 points on 100 Cases" in said(verdict)
    # Read again it is peeking; e-values may go on, and take more than a number fixed beforehand.
    running = judge_counts(Counts(91, 3, 6, 0), Terms(running=True)).more_cases
    assert running is not None
    assert verdict.more_cases is not None
    assert running > verdict.more_cases
    assert f"is peeking: let the e-values decide then, which takes about {running:,} more." in said(verdict)
    assert evidence_line(verdict) == "−3.0 points (−8.7 to +2.2, 90 %), n = 100, Tango score interval"


def test_few_cases_never_decide():
    verdict = judge_counts(Counts(0, 0, 19, 0))
    assert verdict.decision == "not_enough"
    assert "fewer than the 20" in said(verdict)
    assert verdict.more_cases == 1
    few = judge_counts(Counts(0, 0, 20, 0), Terms(bar=Bar(least_cases=60)))
    assert few.more_cases == 40
    assert "About 40 more Cases" in said(few)
    assert "let the e-values decide then, which takes about 40 more." in said(few)
    assert judge_counts(Counts(0, 0, 20, 0)).decision == "keep"
    assert judge_counts(Counts(0, 0, 5, 0), Terms(bar=Bar(least_cases=5))).decision == "keep"


def test_the_price_of_more():
    terms = Terms(pair_price_pico=10**9)
    verdict = judge_counts(Counts(91, 3, 6, 0), terms)
    assert verdict.more_cases is not None
    assert more_cost_pico(verdict, terms) == verdict.more_cases * 10**9
    assert "$1.4" in said(verdict)
    assert more_cost_pico(verdict, Terms()) is None
    assert more_cost_pico(judge_counts(Counts(456, 20, 24, 0), terms), terms) is None


def test_a_gap_at_the_margin_is_projected_for_equal_tiers():
    verdict = judge_counts(Counts(50, 5, 10, 35))
    assert verdict.more_cases == 305
    assert "if the tiers are truly equal" in said(verdict)


def test_a_gap_at_the_margin_that_is_surely_there_has_no_number():
    verdict = judge_counts(Counts(9500, 0, 500, 0))
    assert verdict.decision == "not_enough"
    assert verdict.more_cases is None
    assert "no feasible number" in said(verdict)


def test_few_cases_of_which_no_number_decides_are_promised_nothing():
    verdict = judge_counts(Counts(8, 1, 1, 0), Terms(bar=Bar(margin=0.005)))
    assert (verdict.decision, verdict.more_cases) == ("not_enough", None)


def test_two_tiers_that_are_never_right_are_equal_on_paper_only():
    assert "Neither tier was ever right" in said(judge_counts(Counts(0, 0, 0, 100)))
    assert "Neither" not in said(judge_counts(Counts(1, 0, 0, 99)))


def test_a_lucky_start_is_projected_for_equal_tiers_and_says_so():
    verdict = judge_counts(Counts(37, 9, 4, 0), Terms(bar=Bar(margin=0.02)))
    assert verdict.more_cases is not None
    assert "even if the tiers are truly equal" in said(verdict)
    verdict = judge_counts(Counts(28, 2, 0, 0), Terms(bar=Bar(margin=0.005)))
    assert verdict.more_cases is None
    assert "If the tiers are truly equal, more than 20,000 Cases would be needed." in said(verdict)
    assert "observed loss" not in said(verdict)


def test_above_ten_points_the_reason_says_so():
    words = "where retries and error handling eat the saving"
    assert words in said(judge_counts(Counts(16, 0, 4, 10)))
    assert words not in said(judge_counts(Counts(27, 0, 3, 10)))
    wide = judge_counts(Counts(350, 0, 60, 90), Terms(bar=Bar(margin=0.2)))
    assert (wide.decision, words in said(wide)) == ("switch", False)


@pytest.mark.parametrize(
    ("n", "missing", "decision"),
    [(110, 2, "switch"), (110, 3, "not_enough"), (98, 2, "switch"), (97, 2, "not_enough")],
)
def test_above_two_per_cent_missing_there_is_no_verdict(n, missing, decision):
    verdict = judge_pairs([Pair(1, 1)] * n + [Pair(None, 1)] * missing)
    assert verdict.decision == decision
    assert verdict.more_cases is None
    assert f"{missing} " in said(verdict)
    assert ("were left out" in said(verdict)) == (decision == "switch")
    assert "which takes about" not in said(verdict)


def test_unscored_is_missing_and_never_zero():
    pairs = [Pair(1, 1)] * 200 + [Pair(None, 1)] * 4
    verdict = judge_pairs(pairs)
    assert (verdict.decision, verdict.n, verdict.difference) == ("switch", 200, 0)
    assert "4 pairs have no score and were left out" in said(verdict)
    assert judge_pairs([*pairs, Pair(1, None)]).decision == "not_enough"


@pytest.mark.parametrize(
    ("cells", "missing", "words"),
    [
        ((89, 6, 5, 0), 1, "1 pair has no score and was left out: had the cheap tier alone been wrong there"),
        ((456, 20, 24, 0), 9, "9 pairs have no score and were left out. "),
        ((87, 1, 12, 0), 2, "left out: had the reference alone been wrong there, this would not be shown"),
        ((60, 2, 38, 0), 2, "2 pairs have no score and were left out. "),
    ],
)
def test_a_decision_that_hangs_on_pairs_without_a_score_says_so(cells, missing, words):
    kinds = (Pair(1, 1), Pair(1, 0), Pair(0, 1), Pair(0, 0))
    pairs = [pair for pair, times in zip(kinds, cells, strict=True) for _ in range(times)]
    assert words in said(judge_pairs([*pairs, *[Pair(None, 1)] * missing])) + " "


def test_labels_of_the_reference_measure_agreement():
    verdict = judge_counts(Counts(456, 20, 24, 0), Terms(labels="reference"))
    assert verdict.method.endswith("of agreement")
    assert "agreement" in verdict.reasons[0]
    assert "not accuracy" in said(verdict)
    assert "agreement" not in said(judge_counts(Counts(456, 20, 24, 0)))


@pytest.mark.parametrize("margin", [0, -0.05, 1, float("nan")])
def test_margins_that_cannot_be_judged(margin):
    with pytest.raises(SuiteError):
        judge_counts(Counts(1, 1, 1, 1), Terms(bar=Bar(margin=margin)))


@pytest.mark.parametrize("alpha", [0, 0.5, 1, -1, float("nan")])
def test_alphas_that_cannot_be_judged(alpha):
    with pytest.raises(SuiteError):
        judge_pairs([Pair(1, 1)], Terms(bar=Bar(alpha=alpha)))


@pytest.mark.parametrize("cells", [(0, 0, 0, 0), (5, -1, 0, 0)])
def test_bad_counts(cells):
    with pytest.raises(SuiteError):
        judge_counts(Counts(*cells))


@pytest.mark.parametrize("pairs", [[], [Pair(None, 1)], [Pair(1.2, 1)], [Pair(float("nan"), 1)]])
def test_bad_pairs(pairs):
    with pytest.raises(SuiteError):
        judge_pairs(pairs)


def test_binary_pairs_are_judged_as_counts():
    pairs = [Pair(1, 1)] * 456 + [Pair(1, 0)] * 20 + [Pair(0, 1)] * 24
    assert judge_pairs(pairs) == judge_counts(Counts(456, 20, 24, 0))


def test_graded_scores_by_paired_t():
    verdict = judge_pairs(graded(400, -0.005))
    assert (verdict.method, verdict.decision, verdict.counts) == ("paired t", "switch", None)
    assert verdict.mcnemar_midp is None
    assert judge_pairs(graded(400, -0.2)).decision == "keep"


def test_few_graded_scores_by_bootstrap():
    verdict = judge_pairs(graded(60, -0.05))
    assert (verdict.method, verdict.seed) == ("BCa paired bootstrap", 0)
    assert verdict == judge_pairs(graded(60, -0.05), Terms(seed=0))
    assert verdict.interval != judge_pairs(graded(60, -0.05), Terms(seed=1)).interval
    assert verdict.decision == "not_enough"
    assert (verdict.more_cases or 0) > 0


def test_equal_graded_answers_are_no_certainty():
    """Sixty equal scores have no variance; the paired t and the bootstrap would call that proof."""
    verdict = judge_pairs([Pair(0.7, 0.7)] * 60)
    assert verdict.method == "betting interval"
    assert verdict.interval[0] < -0.05 < verdict.interval[1]
    assert verdict.decision == "not_enough"
    assert verdict.more_cases is not None
    assert judge_pairs([Pair(0.7, 0.7)] * (60 + verdict.more_cases)).decision == "switch"


def test_graded_while_running():
    pairs = graded(400, -0.01, spread=0.3)
    verdict = judge_pairs(pairs, Terms(running=True))
    assert verdict.method == "betting confidence sequence"
    assert verdict.difference == pytest.approx(sum(p.cheap - p.reference for p in pairs) / 400)
    assert verdict.interval[0] < verdict.difference < verdict.interval[1]
    assert verdict.decision == "switch"
    assert "at any look" in said(verdict)


def clustered(groups: int, size: int, gap: float = 0.0, seed: int = 1) -> list[Pair]:
    draw = random.Random(seed)
    pairs = []
    for g in range(groups):
        shift = draw.uniform(-0.2, 0.2)
        pairs += [Pair(p.cheap + shift, p.reference, f"doc {g}") for p in graded(size, gap, g, 0.1)]
    return pairs


def test_clusters_widen_the_interval():
    pairs = clustered(30, 20)
    together, apart = judge_pairs(pairs), judge_pairs([Pair(p.cheap, p.reference) for p in pairs])
    assert (together.method, together.clusters, together.n) == ("clustered t", 30, 600)
    assert together.difference == pytest.approx(apart.difference)
    assert together.interval[1] - together.interval[0] > 2 * (apart.interval[1] - apart.interval[0])


def test_bets_are_on_clusters_that_weigh_alike():
    pairs = [Pair(0.5, 0.5, "small")] + [Pair(0.4, 0.5, "large")] * 3
    pairs += [Pair(0.5, 0.5, f"doc {i}") for i in range(10) for _ in range(2)]
    verdict = judge_pairs(pairs, Terms(running=True))
    assert (verdict.clusters, verdict.n) == (12, 24)
    assert verdict.difference == pytest.approx(-0.1 / 12)


def test_below_ten_clusters_there_is_no_verdict():
    verdict = judge_pairs(clustered(9, 100, gap=-0.1))
    assert verdict.decision == "not_enough"
    assert "9 clusters are too few" in said(verdict)
    assert verdict.more_cases is not None
    assert 100 <= verdict.more_cases <= 6000
    # As observed, so many more do decide.
    more = -(-verdict.more_cases // 100)
    pairs = clustered(9, 100, gap=-0.1)
    again = [
        Pair(p.cheap, p.reference, f"{p.cluster} again {i}") for i in range(more // 9 + 1) for p in pairs
    ]
    assert judge_pairs([*pairs, *again]).decision == "keep"


def test_ten_clusters_that_never_differ_are_not_promised_to_decide():
    verdict = judge_pairs([Pair(1, 1, str(i % 4)) for i in range(60)])
    assert verdict.more_cases is not None
    grown = [Pair(1, 1, str(i // 15)) for i in range(60 + verdict.more_cases)]
    assert judge_pairs(grown[:150]).decision == "not_enough"
    assert judge_pairs(grown).decision == "switch"


def test_clusters_of_one_case_are_no_clusters():
    pairs = [Pair(1, 1, str(i)) for i in range(100)]
    assert judge_pairs(pairs).method == "Tango score interval"


def test_a_missing_cluster_is_not_guessed():
    with pytest.raises(SuiteError):
        judge_pairs([Pair(1, 1, "a"), Pair(1, 1, "a"), Pair(1, 1, None)])


def test_equal_clusters_are_no_certainty():
    pairs = [Pair(1, 1, str(i // 10)) for i in range(300)]
    verdict = judge_pairs(pairs)
    assert (verdict.method, verdict.decision) == ("betting interval", "not_enough")
    assert verdict.counts == Counts(300, 0, 0, 0)


def test_one_case_is_told_as_one() -> None:
    one, two = (said(judge_counts(Counts(n, 0, 0, 0))) for n in (1, 2))
    assert "on 1 Case;" in one
    assert "1 Case is fewer than the 20" in one
    assert "2 Cases are fewer than the 20" in two
