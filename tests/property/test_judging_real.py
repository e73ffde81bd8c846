"""Verdicts on subsets of real paired results against the truth of the whole: Mixtral and GPT-4 on MMLU."""

from __future__ import annotations

import csv
import gzip
import random
from pathlib import Path

import pytest

from tierwise.judging import Terms, judge_counts
from tierwise.nouns import Bar, Counts

DATA = Path(__file__).parents[2] / "../shared/data/routellm_mmlu.csv.gz"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason=f"{DATA.name} is not beside the checkout")


@pytest.fixture(scope="module")
def results() -> dict[str, list[tuple[int, int]]]:
    """Subject → (cheap right, reference right) of every question."""
    found: dict[str, list[tuple[int, int]]] = {}
    with gzip.open(DATA, "rt", newline="") as file:
        for row in csv.DictReader(file):
            pair = (int(row["mixtral_8x7b"]), int(row["gpt4_1106"]))
            found.setdefault(row["subject"], []).append(pair)
    return found


def counts_of(pairs: list[tuple[int, int]]) -> Counts:
    return Counts(*(pairs.count(cell) for cell in ((1, 1), (1, 0), (0, 1), (0, 0))))


def gap(pairs: list[tuple[int, int]]) -> float:
    return sum(a - b for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("n", [200, 400, 1000])
@pytest.mark.parametrize("running", [False, True])
def test_wrong_verdicts_are_as_rare_as_stated(results, n, running):
    """The whole set's gap is the truth; margins are put on it (worst case) and to both sides of it."""
    everything = [pair for pairs in results.values() for pair in pairs]
    truth, draw = gap(everything), random.Random(n)
    subsets = [counts_of(draw.choices(everything, k=n)) for _ in range(300)]

    def decisions(margin: float) -> list[str]:
        terms = Terms(bar=Bar(margin=margin), running=running)
        return [judge_counts(counts, terms).decision for counts in subsets]

    worst = decisions(-truth)
    # 300 draws at 5 %: three standard errors are 3.8 points.
    assert worst.count("switch") / 300 <= 0.05 + 0.038
    assert worst.count("keep") / 300 <= 0.05 + 0.038
    assert decisions(-truth - 0.03).count("switch") / 300 <= 0.02
    assert decisions(-truth + 0.03).count("keep") / 300 <= 0.02


def test_intervals_hold_the_truth_of_the_whole(results):
    everything = [pair for pairs in results.values() for pair in pairs]
    truth, draw = gap(everything), random.Random(5)
    hits = 0
    for _ in range(400):
        low, high = judge_counts(counts_of(draw.choices(everything, k=300))).interval
        hits += low <= truth <= high
    assert hits / 400 == pytest.approx(0.90, abs=0.045)


def test_a_thousand_cases_keep_the_reference_on_the_whole_of_mmlu(results):
    """The true gap is about −12 points: the answer is never "switch" and nearly always "keep"."""
    everything = [pair for pairs in results.values() for pair in pairs]
    draw = random.Random(9)
    found = [judge_counts(counts_of(draw.sample(everything, 1000))).decision for _ in range(200)]
    assert found.count("switch") == 0
    assert found.count("keep") >= 180


def test_subjects_are_decided_apart(results):
    """Some subjects keep the reference on their own; none switches on an observed loss over the margin."""
    verdicts = {subject: judge_counts(counts_of(pairs)) for subject, pairs in results.items()}
    assert len(verdicts) == 57
    assert {v.decision for v in verdicts.values()} >= {"keep", "not_enough"}
    for subject, verdict in verdicts.items():
        if verdict.decision == "switch":
            assert gap(results[subject]) > -0.05
