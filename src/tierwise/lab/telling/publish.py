"""Publish: an Evaluation → the rule of policy.toml that cites it, and the difference it makes to the file."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from msgspec import Struct

from ...clock import now_us, rfc3339
from ...config import (
    RuleBlock,
    Settings,
    VerdictBlock,
    changed_since,
    one_writer,
    policy_text,
    read_blocks,
    short_of,
    write_policy,
)
from ...errors import ConfigError, SuiteError
from ...nouns import Verdict
from ..grading.calibrating import NOT_CALIBRATED
from ..results import Comparison, Evaluation

EXPIRES_DAYS = 90


class Proposal(Struct, frozen=True):
    """A new policy.toml before it is written: its rules, the old text and the new one. `lapsed`: which rules
    would count as expired from the first moment, each with the reason.
    """

    path: Path
    blocks: tuple[RuleBlock, ...]
    before: str
    after: str
    lapsed: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would be different."""
        return self.before != self.after

    def diff(self) -> str:
        """What would change, as a unified diff; "" for nothing."""
        lines = difflib.unified_diff(
            self.before.splitlines(True), self.after.splitlines(True), str(self.path), f"{self.path} (new)"
        )
        return "".join(lines)

    def write(self) -> None:
        """Replaces policy.toml whole. Raises ConfigError where it is not the old text any more: a gateway may
        have marked a rule contradicted since the difference was shown.
        """
        with one_writer(self.path):
            if _text(self.path) != self.before:
                raise ConfigError(
                    f"{self.path} was changed since the difference was shown; nothing was written.",
                    "Look at the difference again.",
                )
            write_policy(self.path, self.blocks)


def rule_of(
    one: Evaluation, settings: Settings, task: str = "", days: int = EXPIRES_DAYS, today: date | None = None
) -> RuleBlock:
    """The rule an Evaluation supports. Raises SuiteError when it supports none: not enough evidence, no task,
    or tiers this configuration does not have.
    """
    task = task or one.suite.task
    if not task:
        raise SuiteError("The verdict belongs to no task.", "Say which: --task NAME.")
    if one.decision == "not_enough":
        raise SuiteError("The verdict is `not enough evidence`: no rule can rest on it.", _more(one))
    cited = _cited(one)
    chosen = _tier(one, one.chosen, settings)
    reference = _tier(one, one.reference, settings)
    today = today or date.fromisoformat(one.created[:10])
    return RuleBlock(
        task=task,
        tiers=_order(chosen, reference, task, settings),
        verdict=_block(one, cited, settings, today, days),
    )


def propose(block: RuleBlock, settings: Settings) -> Proposal:
    """policy.toml with `block` in place of the task's rule, the other rules as they are."""
    blocks = read_blocks(settings.policy_path, settings.catalog.tiers)
    return proposal([each for each in blocks if each.task != block.task] + [block], settings)


def proposal(blocks: Sequence[RuleBlock], settings: Settings) -> Proposal:
    """policy.toml with these rules and no others."""
    path, today = settings.policy_path, rfc3339(now_us())[:10]
    lapsed = ((block.task, _lapsed(block, settings, today)) for block in blocks)
    words = tuple(f"{task}: {why}" for task, why in lapsed if why)
    return Proposal(path, tuple(blocks), _text(path), policy_text(blocks), words)


def _lapsed(block: RuleBlock, settings: Settings, today: str) -> str:
    verdict = block.verdict
    if verdict is None or block.state not in (None, "measured"):
        return ""
    changed = changed_since(verdict, settings.catalog.tiers)
    changed = changed or short_of(verdict, settings.policy.tasks.get(block.task))
    expired = verdict.expires is not None and verdict.expires <= today
    return changed or (f"its verdict expired on {verdict.expires}" if expired else "")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", "It must be a UTF-8 file you may read."
        ) from None


def _cited(one: Evaluation) -> Comparison:
    """The comparison the decision rests on. Raises SuiteError where none says so: the file was altered."""
    down = (each for each in one.comparisons if not each.dearer)
    cited = [each for each in down if each.verdict.decision == one.decision]
    if one.decision == "switch":
        cited = [each for each in cited if each.verdict.cheap == one.chosen]
    if not cited:
        raise SuiteError(
            f"The decision is {one.decision}, and no comparison in it says so.",
            "Give the JSON of `tierwise eval` as it was written.",
        )
    return cited[-1]


def _order(chosen: str, reference: str, task: str, settings: Settings) -> list[str]:
    """The chosen tier, then the dearer ones of the task's ladder to fall back on."""
    known = settings.policy.tasks.get(task)
    ladder = (known.ladder if known else ()) or settings.catalog.ladder.tiers
    if chosen in ladder:
        return list(ladder[ladder.index(chosen) :])
    return list(dict.fromkeys((chosen, reference)))


def _tier(one: Evaluation, name: str, settings: Settings) -> str:
    """The configured tier that was measured under this name."""
    tiers = settings.catalog.tiers
    card = one.tier(name).card
    for candidate in (name, card.target.removeprefix("tier/")):
        if candidate in tiers:
            return candidate
    for tier in tiers.values():
        if card.model and card.model == tier.model:
            return tier.name
    near = difflib.get_close_matches(name, list(tiers), 1, 0.5)
    raise SuiteError(
        f"{name} is no tier of this configuration.",
        f"Did you mean {near[0]!r}? Measure it under that name: {near[0]}=…"
        if near
        else f"Add a [[tier]] row, or measure one of {', '.join(tiers)}.",
    )


def _block(one: Evaluation, cited: Comparison, settings: Settings, today: date, days: int) -> VerdictBlock:
    verdict: Verdict = cited.verdict
    counts = verdict.counts
    tested = {_tier(one, name, settings): one.tier(name).card for name in (verdict.cheap, verdict.reference)}
    return VerdictBlock(
        decision=verdict.decision,
        difference=verdict.difference,
        interval=verdict.interval,
        level=verdict.level,
        n=verdict.n,
        method=verdict.method,
        date=one.created[:10],
        id=f"{one.run}/{verdict.cheap}",
        expires=(today + timedelta(days=days)).isoformat() if days > 0 else None,
        margin=verdict.margin,
        alpha=verdict.alpha,
        counts=None if counts is None else (counts.both, counts.cheap_only, counts.ref_only, counts.neither),
        seed=verdict.seed,
        ln_e_switch=verdict.ln_e_switch,
        ln_e_keep=verdict.ln_e_keep,
        cheap=_tier(one, verdict.cheap, settings),
        reference=_tier(one, verdict.reference, settings),
        scorer=_scorer(one),
        dataset_hash=one.suite.hash,
        prompt_hash=one.suite.prompt_hash,
        models={tier: ", ".join(card.served) or card.model for tier, card in tested.items()},
        prices={tier: card.price for tier, card in tested.items() if card.price},
        tested={
            tier: f"{card.model} {card.settings}".rstrip()
            for tier, card in tested.items()
            if card.settings is not None
        },
        reasons=list(verdict.reasons),
    )


def _scorer(one: Evaluation) -> str:
    """The scorer, and of a judge whether it was held against human labels."""
    if one.judge is None or one.judge.calibrated is None:
        return one.suite.scored_by
    said = "judge calibrated" if one.judge.calibrated else NOT_CALIBRATED
    return f"{one.suite.scored_by} ({said})"


def _more(one: Evaluation) -> str:
    needed = [each.verdict.more_cases for each in one.comparisons if each.verdict.more_cases]
    if needed:
        return f"About {min(needed):,} more Case{'' if min(needed) == 1 else 's'} would likely decide."
    return f"Read its reasons with `tierwise eval --resume {one.run}`."
