"""A pairwise judge over a run's answers: who is asked, and what is decided without asking."""

from __future__ import annotations

import pytest

from tierwise.lab.grading.pairing import _score
from tierwise.lab.running.records import Record
from tierwise.nouns import Case, Outcome, Score, Trial, Usage

CASE = Case("q", "question", "right")


class Judge:
    """Prefers the first answer, and notes what it was shown."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def compare(self, case: Case, mine: str, other: str) -> Score:
        self.asked.append((mine, other))
        return Score(1.0)


def record(answer: str, outcome: Outcome = "ok") -> Record:
    return Record(Trial("q", answer, 0, answer, Score(None), Usage(), 1, None, 1, outcome))


@pytest.mark.parametrize(
    ("mine", "other", "value", "asked"),
    [
        ("ok", "ok", 1.0, True),
        ("refused", "ok", 0.0, False), ("ok", "truncated", 1.0, False), ("rejected", "refused", 0.5, False),
        ("error", "ok", None, False), ("ok", "error", None, False), ("refused", "error", None, False),
    ],
)  # fmt: skip
async def test_a_tier_that_gave_no_whole_answer_loses_to_one_that_did(
    mine: Outcome, other: Outcome, value: float | None, asked: bool
) -> None:
    judge = Judge()
    found = await _score(judge, CASE, record("mine", mine), record("other", other))  # type: ignore[arg-type]
    assert (found.value, judge.asked) == (value, [("mine", "other")] if asked else [])


async def test_the_reference_is_half_and_without_it_there_is_no_score() -> None:
    judge, own = Judge(), record("own")
    assert (await _score(judge, CASE, own, own)).value == 0.5  # type: ignore[arg-type]
    assert (await _score(judge, CASE, own, None)).value is None  # type: ignore[arg-type]
    assert judge.asked == []
