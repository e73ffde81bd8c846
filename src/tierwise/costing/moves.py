"""Moves: what recorded calls would have cost, and lost or won, under another policy."""

from __future__ import annotations

from msgspec import Struct


class Quality(Struct, frozen=True):
    """A difference per call in 0..1, new − old, with its interval; an end None: not known."""

    value: float | None
    low: float | None
    high: float | None


class TaskMove(Struct, frozen=True):
    """One task whose first tier would change: its calls, and what they cost at either tier (pico-dollars, the
    same tokens). `quality` None: no evidence; it is not that of the `others`, calls served by neither tier (a
    fallback, an earlier policy). `fault` says why quality cannot be vouched for, "" when it can.
    """

    task: str
    old: str
    new: str
    calls: int
    old_pico: int
    new_pico: int
    unpriced: int
    quality: Quality | None
    fault: str = ""
    others: int = 0


class Replayed(Struct, frozen=True):
    """The whole of it. `calls` counts every closed call of the span, `moved` those whose tier changes;
    `delta_pico` new − old over those. `quality`: mean over all `calls`; None when a moved call has no
    evidence. `faults`: why it should not be applied as it is; empty: no dearer, and every move has a verdict
    in force.
    """

    calls: int
    moved: int
    delta_pico: int
    unpriced: int
    quality: Quality | None
    tasks: tuple[TaskMove, ...]
    faults: tuple[str, ...]
