"""Pairing: a pairwise judge over the answers of a run, once they are all there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from ...nouns import Case, Score
from ..running.pace import each_of
from ..running.records import Record
from ..running.tally import PENDING, TierTally
from .judges import PairwiseJudge
from .scoring import WRONG

_STANDARD = "what the others are compared with"


def later(case: Case, answer: str) -> Score:
    """The score of an answer that will be compared when the other one is there."""
    return Score(None, PENDING)


async def compare_all(
    judge: PairwiseJudge,
    records: Iterable[Record],
    order: Sequence[Case],
    tallies: Mapping[str, TierTally],
    *,
    reference: str,
    jobs: int,
) -> None:
    """Scores every answer against the reference's of the same Case and repeat: 1 better, 0.5 tie, 0 worse;
    the reference itself 0.5. The scores go into the tallies only: they follow from the judgements.
    A tier whose call was refused, cut short or rejected loses to one that answered.
    Raises SuiteError when the judge cannot be asked.
    """
    at = {case.id: position for position, case in enumerate(order)}
    latest: dict[tuple[str, int, int], Record] = {}
    for record in records:
        position = at.get(record.trial.case)
        tally = tallies.get(record.trial.tier)
        if position is not None and tally is not None and record.trial.repeat < tally.repeats:
            latest[record.trial.tier, position, record.trial.repeat] = record
    tallies[reference].mirrored = True

    async def one(key: tuple[str, int, int]) -> None:
        tier, position, repeat = key
        record = latest[key]
        other = latest.get((reference, position, repeat))
        score = await _score(judge, order[position], record, record if tier == reference else other)
        tallies[tier].put(position, structs.replace(record, trial=structs.replace(record.trial, score=score)))

    for tally in tallies.values():
        tally.reasons.clear()
    await each_of(sorted(latest, key=lambda key: key[1:]), jobs, one)


async def _score(judge: PairwiseJudge, case: Case, mine: Record, other: Record | None) -> Score:
    if other is None:
        return Score(None, "there is no answer to compare with")
    outcomes = (mine.trial.outcome, other.trial.outcome)
    for outcome in outcomes:
        if outcome != "ok" and outcome not in WRONG:
            return Score(None, f"no answer: {outcome}")
    if mine is other:
        return Score(0.5, _STANDARD)
    if outcomes[0] in WRONG or outcomes[1] in WRONG:
        worse, better = outcomes[0] in WRONG, outcomes[1] in WRONG
        return Score(0.5 + 0.5 * better - 0.5 * worse, outcomes[0] if worse else f"the other: {outcomes[1]}")
    return await judge.compare(case, mine.trial.answer, other.trial.answer)
