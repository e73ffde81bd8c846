"""Choosing: which tier serves a request, and what to do when it fails. Pure: no network, no database, no
clock.
"""

from .choose import choose
from .fit import doubt, misfit, refuse_longer
from .health import Breaker, BreakerRules, RetryBudget
from .infer import infer
from .order import estimated_pico, expected_output
from .pinned import model_of
from .question import Question
from .retry import (
    Again,
    Failure,
    GiveUp,
    Plan,
    Try,
    counts_against,
    decide,
    failure_of,
    plan_of,
    refuses_credential,
    repeatable,
    rest_s,
)
from .table import Table

__all__ = [
    "Again", "Breaker", "BreakerRules", "Failure", "GiveUp", "Plan", "Question", "RetryBudget", "Table",
    "Try", "choose", "counts_against", "decide", "doubt", "estimated_pico", "expected_output", "failure_of",
    "infer", "misfit", "model_of", "plan_of", "refuse_longer", "refuses_credential",
    "repeatable", "rest_s",
]  # fmt: skip
