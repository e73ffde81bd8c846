"""What a run keeps: its terms, its tiers, and every Trial as it was made."""

from __future__ import annotations

import hashlib
from typing import Literal

from msgspec import Struct

from ...nouns import Bar, Trial

_LONGEST_SCORER = 120
Source = Literal["provider", "url", "file"]


class TierCard(Struct, frozen=True):
    """A tier as it was measured: model, price in words, what it was asked for as (`target`) and where
    (`base_url`). `served` is filled from replies; `settings` are a configured tier's own, as JSON, None: not
    known here.
    """

    name: str
    source: Source
    model: str = ""
    price: str = ""
    target: str = ""
    base_url: str = ""
    served: tuple[str, ...] = ()
    settings: str | None = None


class SuiteCard(Struct, frozen=True):
    """A Suite without its Cases."""

    name: str
    task: str
    hash: str
    cases: int
    scorer: str
    prompt_hash: str = ""
    labels: Literal["human", "reference"] = "human"
    clusters: int | None = None

    @property
    def scored_by(self) -> str:
        """The scorer in a line: a long rubric is cut, with its hash."""
        if len(self.scorer) <= _LONGEST_SCORER:
            return self.scorer
        digest = hashlib.sha256(self.scorer.encode()).hexdigest()[:8]
        return f"{self.scorer[:_LONGEST_SCORER]}… ({digest})"


class Terms(Struct, frozen=True):
    """What is fixed before the first Case: bar, reference, seed, how many Cases and repeats, how calls are
    made. `judged` counts how often a verdict was drawn from a smaller number of Cases: then looks are
    repeated. `limit_pico` holds until a resume names another. `tests`: of so many comparisons, those of other
    suites among them, a decision must hold at alpha/tests.
    """

    reference: str
    bar: Bar = Bar()
    seed: int = 0
    n: int = 0
    repeats: int = 1
    sequential: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    judged: int = 0
    limit_pico: int | None = None
    tests: int = 1


class Manifest(Struct, frozen=True):
    """run.json: everything needed to go on with a run."""

    id: str
    created: str
    suite: SuiteCard
    terms: Terms
    tiers: tuple[TierCard, ...]
    version: int = 1


class Record(Struct, frozen=True, omit_defaults=True):
    """One line of trials.jsonl after a call: the Trial, whether the answer came from a cache (then it is not
    timed), and the model that served.
    """

    trial: Trial
    cached: bool = False
    served: str = ""


class Intent(Struct, frozen=True, omit_defaults=True):
    """One line of trials.jsonl before a call: after a crash, what may have been billed unseen. `attempt`
    above 0: the one before it failed, and was seen to.
    """

    intent: str
    tier: str
    repeat: int
    attempt: int = 0
