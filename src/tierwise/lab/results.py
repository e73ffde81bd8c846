"""What an evaluation says: each tier by itself, each cheap tier against the reference, and the decision."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from ..errors import SuiteError
from ..judging.calibration import Calibration
from ..nouns import Bar, Decision, Verdict
from .running.records import SuiteCard, TierCard


class Span(Struct, frozen=True):
    """An estimate with its interval; an end None: unbounded or not known."""

    value: float | None
    low: float | None
    high: float | None


class Spent(Struct, frozen=True):
    """Pico-dollars with an interval; None: not defined."""

    pico: int | None
    low: int | None
    high: int | None


class TierResult(Struct, frozen=True):
    """One tier on the Suite. `score` has a 95 % interval where scores are right or wrong.

    `cost_pico` is what the run paid, None: something could not be priced. Times are in milliseconds; a tail
    is None where too few samples lie beyond it. Cached answers are in no time.
    """

    card: TierCard
    trials: int
    scored: int
    unscored: int
    score: Span
    cost_pico: int | None
    per_case_pico: int | None
    per_success: Spent
    ttft_p50_ms: float | None
    total_p50_ms: float | None
    total_p95_ms: float | None
    total_p99_ms: float | None
    outcomes: dict[str, int]
    cached: int = 0
    unpriced: int = 0
    reasons: dict[str, int] = {}


class Comparison(Struct, frozen=True):
    """A cheap tier against the reference. `slower_ms`: median of the paired differences of total time, cheap
    − reference, with its 95 % interval. `break_even_pico`: an undetected failure dearer than this makes the
    cheap tier the dearer one; None: no price does. `beyond_refuse`: the loss is shown to be above `refuse`.
    `dearer`: this tier is known to cost more than the reference, so nothing would be saved by it.
    `standing`: whether the decision stands beside the other comparisons (`why_not` says why not).
    """

    verdict: Verdict
    missing: int = 0
    slower_ms: Span = Span(None, None, None)
    saving_pico: int | None = None
    break_even_pico: int | None = None
    more_pico: int | None = None
    beyond_refuse: bool = False
    disagreements: int = 0
    dearer: bool = False
    standing: bool = True
    why_not: str = ""


class JudgeResult(Struct, frozen=True):
    """Who scored, what that cost beside the tiers (None: not priced), and how far it can be believed.

    `calls` are judgements paid for in this run; `failed`: without an answer; `calibration` None: not
    calibrated on human labels; `labels_unscored`: labelled answers it gave no readable score to. Of a
    pairwise judge's `pairs`, `swayed` were judged by their order.
    """

    kind: str
    name: str
    model: str
    calls: int
    cost_pico: int | None
    failed: int = 0
    calibration: Calibration | None = None
    labels_hash: str = ""
    labels_unscored: int = 0
    pairs: int = 0
    swayed: int = 0

    @property
    def calibrated(self) -> bool | None:
        """None where nothing is judged: embeddings."""
        return None if self.kind == "similarity" else self.calibration is not None


class Evaluation(Struct, frozen=True):
    """One Suite's evaluation. `decision` is that of the cheapest tier that may take over, `chosen` its name;
    with keep or not_enough `chosen` is the reference. `spent_pico` is what the tiers cost; the judge's
    part is in `judge`. `tests`: where suites are judged together, a decision here held at alpha/tests, or had
    to.
    """

    run: str
    created: str
    suite: SuiteCard
    bar: Bar
    seed: int
    n: int
    repeats: int
    sequential: bool
    reference: str
    tiers: tuple[TierResult, ...]
    comparisons: tuple[Comparison, ...]
    decision: Decision
    chosen: str
    spent_pico: int | None
    notes: tuple[str, ...] = ()
    labels: Literal["human", "reference"] = "human"
    judge: JudgeResult | None = None
    tests: int = 1

    def tier(self, name: str) -> TierResult:
        """The result of the tier called so."""
        return next(each for each in self.tiers if each.card.name == name)

    def against(self, cheap: str) -> Comparison:
        """The comparison of the cheap tier called so."""
        return next(each for each in self.comparisons if each.verdict.cheap == cheap)


EXIT_CODES = {"switch": 0, "keep": 3, "not_enough": 4}


def read_evaluation(path: Path) -> Evaluation:
    """The Evaluation in a file (`eval --json`, or verdict.json of a run). Raises SuiteError."""
    try:
        return msgspec.json.decode(path.read_text(encoding="utf-8-sig"), type=Evaluation)
    except FileNotFoundError:
        onwards = f"The run has no verdict yet: `tierwise eval --resume {path.parent.name}`."
        raise SuiteError(f"There is no {path}.", onwards) from None
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise SuiteError(f"{path} holds no verdict: {error}.", "Give the JSON of `tierwise eval`.") from None
