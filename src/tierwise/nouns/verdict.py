"""Case, Suite, Trial, Score, Verdict: evidence, and what it supports."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .answer import Usage

Decision = Literal["switch", "keep", "not_enough"]


class Case(Struct, frozen=True):
    """One example. `id` is a content hash unless the author gave one; `messages` in OpenAI chat's shape,
    `target` by task."""

    id: str
    input: str
    target: Any = None
    cluster: str | None = None
    metadata: dict[str, Any] = {}
    messages: tuple[dict[str, Any], ...] = ()


class Suite(Struct, frozen=True):
    """A Task's examples at one content hash."""

    name: str
    task: str
    cases: tuple[Case, ...]
    hash: str
    scorer: str = "exact"
    prompt: str = ""
    labels: Literal["human", "reference"] = "human"


class Score(Struct, frozen=True):
    """A number in 0..1, or None: unscored, and `why` says why. Unscored is never zero."""

    value: float | None
    why: str = ""


class Trial(Struct, frozen=True):
    """One Tier's scored answer to one Case. Cost in pico-dollars (None: unpriced), times in microseconds."""

    case: str
    tier: str
    repeat: int
    answer: str
    score: Score
    usage: Usage
    cost_pico: int | None
    ttft_us: int | None
    total_us: int
    outcome: str = "ok"
    error: str = ""


class Counts(Struct, frozen=True):
    """Paired binary outcomes: both right, only the cheap tier right, only the reference right, neither."""

    both: int
    cheap_only: int
    ref_only: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.cheap_only + self.ref_only + self.neither


class Verdict(Struct, frozen=True):
    """What a comparison of two Tiers supports. Differences are cheap − reference, in 0..1.

    `interval` has coverage `level` (1 − 2·alpha); `ln_e_switch` and `ln_e_keep` are natural logs of the
    e-values; `more_cases` is how many further Cases would likely decide, None when decided or when no
    number would.
    """

    decision: Decision
    difference: float
    interval: tuple[float, float]
    level: float
    n: int
    method: str
    margin: float
    alpha: float
    seed: int | None = None
    suite_hash: str = ""
    cheap: str = ""
    reference: str = ""
    counts: Counts | None = None
    clusters: int | None = None
    discordance: float | None = None
    mcnemar_midp: float | None = None
    ln_e_switch: float | None = None
    ln_e_keep: float | None = None
    more_cases: int | None = None
    reasons: tuple[str, ...] = ()
