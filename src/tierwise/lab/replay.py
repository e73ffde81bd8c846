"""Replay: what the recorded calls would have cost under another policy, and what quality would have moved.

The same tokens at the other tier's price: another model would have written another number of them, and a
request the other tier cannot take (pictures, a long prompt) is counted as if it could.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from ..config import RuleBlock, Settings, VerdictBlock, changed_since, read_blocks, short_of
from ..costing import PricedModel, Quality, Replayed, TaskMove
from ..nouns import Usage

_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def replay(
    rows: Iterable[Mapping[str, Any]], blocks: Iterable[RuleBlock], settings: Settings, today: str
) -> Replayed:
    """The ledger's rows (`ledger export` shape) under new rules, tasks without one keeping theirs. Calls that
    name a model or a tier are not the policy's to move, nor are those the new tier served already. `today`
    (YYYY-MM-DD) decides what has expired.
    """
    moves = _moves(blocks, settings)
    sums = {task: _Sum(settings, new) for task, (_, new, _) in moves.items()}
    calls = 0
    for row in rows:
        if row.get("event") != "close" or row.get("kind", "call") != "call":
            continue
        calls += 1
        task = str(row.get("task") or "")
        if task in sums and _by_policy(row) and row.get("tier") != moves[task][1]:
            sums[task].add(row)
            sums[task].others += row.get("tier") != moves[task][0]
    found = []
    in_force = {block.task: block.verdict for block in read_blocks(settings.policy_path)}
    for task, (old, new, block) in moves.items():
        total = sums[task]
        fault = _fault(block, old, new, settings, today)
        quality = _quality(block.verdict, old, new) or _quality(in_force.get(task), old, new)
        found.append(
            TaskMove(
                task=task,
                old=old,
                new=new,
                calls=total.calls,
                old_pico=total.old_pico,
                new_pico=total.new_pico,
                unpriced=total.unpriced,
                quality=quality,
                fault=fault,
                others=total.others,
            )
        )
    delta = sum(move.new_pico - move.old_pico for move in found)
    unpriced = sum(move.unpriced for move in found)
    return Replayed(
        calls=calls,
        moved=sum(move.calls for move in found),
        delta_pico=delta,
        unpriced=unpriced,
        quality=_overall(found, calls),
        tasks=tuple(found),
        faults=_faults(found, delta, unpriced),
    )


def _faults(moves: Iterable[TaskMove], delta_pico: int, unpriced: int) -> tuple[str, ...]:
    """Why continuous integration should stop: dearer, or quality not vouched for."""
    found = [f"{move.task}: {move.fault}" for move in moves if move.fault]
    if delta_pico > 0:
        found.append("the new policy is dearer")
    if unpriced:
        found.append(f"{unpriced} calls could not be priced")
    return tuple(found)


def whole_file(blocks: Sequence[RuleBlock], settings: Settings) -> tuple[RuleBlock, ...]:
    """The rules of a whole policy file: tasks that the file in force rules and this one does not name go back
    to where they begin before evidence. Raises ConfigError.
    """
    named = {block.task for block in blocks}
    left_out = [block.task for block in read_blocks(settings.policy_path) if block.task not in named]
    return (*blocks, *(RuleBlock(task, [tier]) for task in left_out if (tier := _start(task, settings))))


def _start(task: str, settings: Settings) -> str:
    known = settings.policy.tasks.get(task)
    return (known.start if known else "") or settings.policy.safe_middle


class _Sum:
    """One task's calls so far."""

    def __init__(self, settings: Settings, tier: str) -> None:
        self.calls = self.old_pico = self.new_pico = self.unpriced = self.others = 0
        self._priced = PricedModel(settings.catalog.models[settings.catalog.tiers[tier].model])

    def add(self, row: Mapping[str, Any]) -> None:
        self.calls += 1
        old = row.get("cost_pico")
        usage = row.get("usage") or {}
        known: dict[str, Any] = {name: usage.get(name) or 0 for name in _BUCKETS}
        at_us = int(datetime.fromisoformat(str(row["at"])).timestamp() * 1e6)
        new = self._priced.cost(Usage(**known), at_us).pico
        if old is None or new is None:
            self.unpriced += 1
            return
        self.old_pico += old
        self.new_pico += new


def _moves(blocks: Iterable[RuleBlock], settings: Settings) -> dict[str, tuple[str, str, RuleBlock]]:
    """task → (first tier now, first tier then, new rule), for tasks whose first tier changes."""
    found = {}
    for block in blocks:
        rule = settings.policy.rules.get(block.task)
        old = rule.tiers[0] if rule else settings.policy.safe_middle
        if old and old != block.tiers[0]:
            found[block.task] = (old, block.tiers[0], block)
    return found


def _by_policy(row: Mapping[str, Any]) -> bool:
    asked = str(row.get("asked") or "auto")
    return asked == "auto" or asked.startswith("task/")


def _quality(verdict: VerdictBlock | None, old: str, new: str) -> Quality | None:
    """The difference per call with its interval, as a verdict of these two tiers tells it."""
    if verdict is None:
        return None
    low, high = verdict.interval
    if (verdict.cheap, verdict.reference) == (new, old):
        return Quality(verdict.difference, low, high)
    if (verdict.cheap, verdict.reference) == (old, new):
        return Quality(-verdict.difference, -high, -low)
    return None


def _fault(block: RuleBlock, old: str, new: str, settings: Settings, today: str) -> str:
    """Why the rule's own verdict does not back the move; "" when it does, or none is needed."""
    ladder, verdict = settings.catalog.ladder.tiers, block.verdict
    if old in ladder and new in ladder and ladder.index(new) > ladder.index(old):
        return ""
    if verdict is None:
        return f"{new} is unmeasured for it"
    if _quality(verdict, old, new) is None:
        return f"its verdict is not of {new} against {old}"
    if block.state == "contradicted":
        return "its verdict was contradicted"
    if changed := changed_since(verdict, settings.catalog.tiers):
        return f"its verdict is not of what the tiers are: {changed}"
    if short := short_of(verdict, settings.policy.tasks.get(block.task)):
        return f"its verdict does not meet the task's bar: {short}"
    if verdict.expires is not None and verdict.expires <= today:
        return f"its verdict expired on {verdict.expires}"
    return "" if verdict.decision == "switch" else f"its verdict says {verdict.decision}"


def _overall(moves: Iterable[TaskMove], calls: int) -> Quality | None:
    """Mean over all calls; the ends are added up as they are, which is wider than they could be together."""
    moves = [move for move in moves if move.calls]
    if not calls:
        return None
    if any(move.quality is None or move.others for move in moves):
        return None
    ends = []
    for pick in ("value", "low", "high"):
        ends.append(sum(move.calls * (getattr(move.quality, pick) or 0.0) for move in moves) / calls)
    return Quality(*ends)
