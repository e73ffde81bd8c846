"""Whether a cheaper tier is good enough: scorers, intervals, paired differences, e-values, the three-way
decision. Pure.

Begin at `decision`; it rests on `evidence`, that on `paired`, `intervals` and `sequential`. Scorers:
`scorers`. What a run needs: `power`. Rules under live traffic: `alarm`. Savings by calls held out: `held`.
"""

from __future__ import annotations

from .decision import Terms, cases_text, evidence_line, judge_counts, judge_pairs, more_cost_pico, too_few
from .paired import Pair, counts_of, pair_trials
from .sequential import EProcess

__all__ = [
    "EProcess",
    "Pair",
    "Terms",
    "cases_text",
    "counts_of",
    "evidence_line",
    "judge_counts",
    "judge_pairs",
    "more_cost_pico",
    "pair_trials",
    "too_few",
]
