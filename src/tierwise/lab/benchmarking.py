"""benchmark: the shortest way to a number for each model, printed as `model: correct/total (pct)`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import structs

from ..errors import SuiteError
from ..nouns import Case, Suite
from .cases.rows import Row
from .cases.suites import Shape, cases_of, make_suite
from .evaluation import evaluate
from .results import Evaluation

Correct = tuple[int, int]


def benchmark(
    cases: Sequence[Case | Mapping[str, Any] | tuple[str, Any]], models: Sequence[str], **options: Any
) -> dict[str, Correct]:
    """Asks every model every case and prints `model: correct/total (pct)`; gives model → (correct, total).

    A case is a Case, a pair (input, expected), or an object with the columns of a suite (`input`/`prompt`/
    `question`, `expected`/`target`/`answer`). Scored `normalised` unless `options` say otherwise; they are
    those of `evaluate`. Nothing is kept. Where an event loop runs, as in a notebook, it is blocked meanwhile.
    """
    scorer = str(options.pop("scorer", "normalised"))
    suite = suite_of(cases, scorer)
    # In a thread of its own, as the caller's may run an event loop already.
    with tempfile.TemporaryDirectory(prefix="tierwise-benchmark-") as folder, ThreadPoolExecutor(1) as apart:
        asking = evaluate(suite, models, scorer=scorer, runs=folder, **options)
        found = apart.submit(asyncio.run, asking).result()
    counts = counted(found)
    for model, (correct, total) in counts.items():
        sys.stdout.write(f"{model}: {correct}/{total} ({correct / total * 100:.1f}%)\n")
    return counts


def suite_of(cases: Sequence[Case | Mapping[str, Any] | tuple[str, Any]], scorer: str = "exact") -> Suite:
    """A Suite of examples in memory. Repeated examples are kept: they get ids of their own. SuiteError."""
    placed: list[tuple[str, Case]] = []
    shape = Shape(scorer=scorer)
    for number, each in enumerate(cases, 1):
        place = f"case {number}"
        if isinstance(each, Case):
            placed.append((place, each))
            continue
        if isinstance(each, tuple):
            if len(each) != 2:
                raise SuiteError(f"{place} is no pair.", "Give (input, expected).")
            each = {"input": each[0], "expected": each[1]}
        placed += cases_of([Row(place, dict(each))], shape)
    seen: dict[str, int] = {}
    unique = []
    for place, case in placed:
        seen[case.id] = seen.get(case.id, 0) + 1
        again = seen[case.id]
        unique.append((place, case if again == 1 else structs.replace(case, id=f"{case.id}-{again}")))
    return make_suite("benchmark", unique, shape)


def counted(found: Evaluation) -> dict[str, Correct]:
    """tier → (answers scored 1 half or more, all scored)."""
    return {
        tier.card.name: (round((tier.score.value or 0.0) * tier.scored), tier.scored) for tier in found.tiers
    }
