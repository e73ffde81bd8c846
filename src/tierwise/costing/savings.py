"""Savings that stand up: against the model asked for and the reference tier, net of what measuring and
failing cost; and the sums a causal estimate needs where a share of calls was held out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from .draws import Arms, Draws
from .settled import Settled

SERVED = ("call", "batch")
FAILED = "failed attempts"
"""What they cost is overhead under that name."""


class Baseline(Struct):
    """Served calls whose cost and cost elsewhere are both known, pico-dollars; of `unknown` one is not."""

    calls: int = 0
    unknown: int = 0
    baseline_pico: int = 0
    cost_pico: int = 0


class Savings(Struct):
    """`overhead` is what was spent beside serving, by name: failed attempts, and every kind of spend that is
    no call (shadow, judge, eval …). `unpriced` calls are in no sum.
    """

    asked: Baseline
    reference: Baseline
    overhead: dict[str, int]
    served: int = 0
    unpriced: int = 0
    arms: dict[str, Arms] = {}

    @property
    def overhead_pico(self) -> int:
        """All that was spent beside serving."""
        return sum(self.overhead.values())

    def net_pico(self, against: Baseline) -> int | None:
        """Baseline less cost less overhead; None when no call has a known baseline. The overhead is the whole
        one, whatever part of the calls has a baseline: a saving is never told too high.
        """
        if not against.calls:
            return None
        return against.baseline_pico - against.cost_pico - self.overhead_pico


def savings(calls: Iterable[Settled]) -> Savings:
    """The sums over `calls`. A held-out call counts as served; a task has arms once one of its calls was held
    out.
    """
    overhead: dict[str, int] = defaultdict(int)
    draws: dict[str, Draws] = defaultdict(Draws)
    made = Savings(Baseline(), Baseline(), overhead)
    for call in calls:
        if call.cost_pico is None:
            made.unpriced += 1
        if call.kind not in SERVED:
            overhead[call.kind] += call.cost_pico or 0
            draws[call.task].beside(call.day, call.cost_pico or 0)
            continue
        if call.outcome == "error":
            overhead[FAILED] += call.cost_pico or 0
        else:
            made.served += 1
            _against(made.asked, call.asked_pico, call.cost_pico)
            _against(made.reference, call.reference_pico, call.cost_pico)
        draws[call.task].add(call)
    made.overhead = {name: pico for name, pico in sorted(overhead.items()) if pico}
    made.arms = {task: drawn.arms() for task, drawn in sorted(draws.items()) if drawn.any_held}
    return made


def _against(baseline: Baseline, elsewhere: int | None, cost: int | None) -> None:
    if elsewhere is None or cost is None:
        baseline.unknown += 1
        return
    baseline.calls += 1
    baseline.baseline_pico += elsewhere
    baseline.cost_pico += cost
