"""The laboratory: Suites, runs that survive a crash, Verdicts, and the policy they write.

Begin at `evaluation`: everything `tierwise eval` does, in one call. `cases/`: examples as Cases. `running/`:
what is asked and kept. `grading/`: how good an answer is. `compare` makes `results` of it, `telling/` words,
reports and policy. `latency` is an experiment of its own, `replay` rehearses a policy on recorded calls.
"""

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
