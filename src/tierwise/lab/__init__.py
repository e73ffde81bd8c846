"""The laboratory: Suites, runs that survive a crash, Verdicts, and the policy they write."""

from __future__ import annotations

from .benchmarking import benchmark
from .cases.suites import Shape, make_suite, read_suite
from .evaluation import Options, carry_out, evaluate
from .results import EXIT_CODES, Comparison, Evaluation, TierResult
from .running.records import Manifest, SuiteCard, TierCard

__all__ = [
    "EXIT_CODES", "Comparison", "Evaluation", "Manifest", "Options", "Shape", "SuiteCard", "TierCard",
    "TierResult", "benchmark", "carry_out", "evaluate", "make_suite", "read_suite",
]  # fmt: skip
