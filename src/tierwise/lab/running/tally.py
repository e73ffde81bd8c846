"""Tally: every Trial's numbers in flat arrays, so that memory hardly grows with the number of Cases; answers
stay on disk.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from ...judging import Pair
from ...nouns import Case, Usage
from .records import Record

_ABSENT, _UNSCORED, _UNKNOWN = -2.0, -1.0, -1
PENDING = "not scored yet"
OUTCOMES = ("ok", "truncated", "refused", "rejected", "error", "cancelled")


class TierTally:
    """One tier's Trials, by position of the Case in the run's order and repeat. `heaviest`: the most that a
    prompt took, in tokens for each one it was reckoned at. `mirrored`: the reference of
    a pairwise judge, whose score in a pair is one minus the other's.
    """

    def __init__(self, positions: int, repeats: int) -> None:
        size = positions * repeats
        self.repeats = repeats
        self.positions = positions
        self.scores = array("d", [_ABSENT]) * size
        self.costs = array("q", [_UNKNOWN]) * size
        self.ttft_us = array("q", [_UNKNOWN]) * size
        self.total_us = array("q", [_UNKNOWN]) * size
        self.outcome = bytearray(size)
        self.served: set[str] = set()
        self.reasons: Counter[str] = Counter()
        self.spent_pico = 0
        self.unpriced = 0
        self.cached = 0
        self.output_tokens = 0
        self.heaviest = 1.0
        self.last_error = ""
        self.mirrored = False

    def put(self, position: int, record: Record) -> None:
        """Takes a Trial; a later one of the same Case and repeat takes the place of an earlier one, whose
        cost stays spent.
        """
        trial = record.trial
        at = position * self.repeats + trial.repeat
        known = trial.outcome in OUTCOMES
        self.outcome[at] = 1 + (OUTCOMES.index(trial.outcome) if known else OUTCOMES.index("error"))
        self.scores[at] = _UNSCORED if trial.score.value is None else trial.score.value
        self.costs[at] = _UNKNOWN if trial.cost_pico is None or record.cached else trial.cost_pico
        self.ttft_us[at] = _UNKNOWN if trial.ttft_us is None or record.cached else trial.ttft_us
        # Nothing takes no time: a failed call, or an answer that came by batch.
        self.total_us[at] = _UNKNOWN if record.cached else trial.total_us or _UNKNOWN
        if trial.score.value is None and trial.score.why != PENDING and len(self.reasons) < 100:
            self.reasons[trial.score.why[:120]] += 1
        if record.served and len(self.served) < 20:
            self.served.add(record.served)
        self.last_error = trial.error or self.last_error
        self.cached += record.cached

    def bill(self, record: Record) -> None:
        """Books what a Trial cost, once for each line that was paid for."""
        cost = record.trial.cost_pico
        if cost is None:
            self.unpriced += record.trial.outcome != "error"
        else:
            self.spent_pico += cost
        self.output_tokens = max(self.output_tokens, record.trial.usage.output)

    def weigh(self, reckoned: int, usage: Usage) -> None:
        """Learns what a prompt reckoned at so many tokens had by the provider's count."""
        if usage.source == "reported":
            self.heaviest = max(self.heaviest, usage.prompt / max(reckoned, 1))

    def done(self, position: int, repeat: int) -> bool:
        """Whether an answer is there; infrastructure's failures are to be tried again."""
        at = position * self.repeats + repeat
        return self.outcome[at] not in (0, 1 + OUTCOMES.index("error"), 1 + OUTCOMES.index("cancelled"))

    def complete(self, position: int) -> bool:
        """Whether every repeat of the Case has ended, well or not."""
        start = position * self.repeats
        return all(self.outcome[start : start + self.repeats])

    def count(self, outcome: str) -> int:
        """How many Trials ended so."""
        return self.outcome.count(1 + OUTCOMES.index(outcome))

    @property
    def ended(self) -> int:
        """Trials that are there."""
        return len(self.outcome) - self.outcome.count(0)

    @property
    def unscored(self) -> int:
        """Trials that are there without a score."""
        return sum(score == _UNSCORED for score in self.scores)

    def score(self, position: int) -> float | None:
        """The Case's score, repeats averaged; None when a repeat is missing or unscored."""
        if self.repeats == 1:
            value = self.scores[position]
            return value if value >= 0 else None
        values = self.scores[position * self.repeats : (position + 1) * self.repeats]
        return sum(values) / self.repeats if min(values) >= 0 else None

    def beside(self, other: TierTally, position: int) -> float | None:
        """The Case's score in a pair with `other`."""
        mine = self.score(position)
        if not self.mirrored or mine is None:
            return mine
        theirs = other.score(position)
        return None if theirs is None else 1.0 - theirs

    def mean(self) -> float | None:
        """Mean score of what is scored."""
        scored = [score for score in self.scores if score >= 0]
        return sum(scored) / len(scored) if scored else None

    def times(self, what: array[int]) -> list[int]:
        """The times of `what` (ttft_us or total_us) that were taken."""
        return [time for time in what if time >= 0]


def pairs_of(
    cheap: TierTally, reference: TierTally, order: Sequence[Case], upto: int | None = None
) -> list[Pair]:
    """One Pair for every Case both tiers have ended, among the first `upto` of the order."""
    positions = range(len(order) if upto is None else upto)
    return [
        Pair(cheap.score(at), reference.beside(cheap, at), order[at].cluster)
        for at in positions
        if cheap.complete(at) and reference.complete(at)
    ]


class Differing(Struct, frozen=True):
    """A Case on which two tiers were scored differently."""

    case: str
    cheap: float
    reference: float


def differing_of(
    cheap: TierTally, reference: TierTally, order: Sequence[Case], upto: int | None = None, most: int = 200
) -> list[Differing]:
    """The first `most` Cases that the tiers were scored differently on, the widest gaps first."""
    found = []
    for at in range(len(order) if upto is None else upto):
        mine, other = cheap.score(at), reference.beside(cheap, at)
        if mine is not None and other is not None and mine != other:
            found.append(Differing(order[at].id, mine, other))
    return sorted(found, key=lambda each: -abs(each.cheap - each.reference))[:most]
