"""Savings that stand up: against the model asked for and the reference tier, net of what measuring and
failing cost; and the sums a causal estimate needs where a share of calls was held out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from .settled import Settled

HOLDOUT = "holdout"
"""The tag of calls kept on the reference tier at random."""
SERVED = ("call", "batch")
FAILED = "failed attempts"
"""What they cost is overhead under that name."""


class Baseline(Struct):
    """Served calls whose cost and cost elsewhere are both known, pico-dollars; of `unknown` one is not."""

    calls: int = 0
    unknown: int = 0
    baseline_pico: int = 0
    cost_pico: int = 0


class Arm(Struct):
    """Costs of calls in one arm of a task: their number, sum and sum of squares, exact."""

    calls: int = 0
    sum_pico: int = 0
    squares: int = 0

    def add(self, pico: int) -> None:
        """Counts one call's cost."""
        self.calls += 1
        self.sum_pico += pico
        self.squares += pico * pico


class Arms(Struct):
    """A task's calls held out on the reference tier, and those routed."""

    held: Arm
    routed: Arm


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
    arms: dict[str, Arms] = {}
    made = Savings(Baseline(), Baseline(), overhead, arms=arms)
    for call in calls:
        if call.cost_pico is None:
            made.unpriced += 1
        if call.kind not in SERVED:
            overhead[call.kind] += call.cost_pico or 0
        elif call.outcome == "error":
            overhead[FAILED] += call.cost_pico or 0
        else:
            made.served += 1
            _against(made.asked, call.asked_pico, call.cost_pico)
            _against(made.reference, call.reference_pico, call.cost_pico)
            if call.cost_pico is not None:
                both = arms.setdefault(call.task, Arms(Arm(), Arm()))
                (both.held if HOLDOUT in call.tags else both.routed).add(call.cost_pico)
    made.overhead = {name: pico for name, pico in sorted(overhead.items()) if pico}
    made.arms = {task: both for task, both in sorted(arms.items()) if both.held.calls}
    return made


def _against(baseline: Baseline, elsewhere: int | None, cost: int | None) -> None:
    if elsewhere is None or cost is None:
        baseline.unknown += 1
        return
    baseline.calls += 1
    baseline.baseline_pico += elsewhere
    baseline.cost_pico += cost
