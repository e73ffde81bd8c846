"""The prior: tiers, ladder, tasks and rules before anything is measured, laid over what is served here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, structs

from ..costing import price_at, small_call
from ..errors import ConfigError
from ..money import NotMoney, usd_to_pico
from ..nouns import Ladder, Model, Policy, Rule, Task, Tier
from .rows import ConfigFile, TaskRow
from .strict import checked_name, nearest

BUILT_IN = ("haiku", "sonnet", "opus")
_CHEAP = "published as reliable; intent classification above 95 % with clear categories"
_HARD = "multi-step logic, code and agent loops are where the cheap tier fails"
# Task, the tier it starts at, and why: published opinion, to be replaced by measurement.
PRIOR = (
    ("classification", "haiku", _CHEAP),
    ("summarization", "haiku", _CHEAP),
    ("extraction", "haiku", _CHEAP),
    ("qa", "haiku", f"high-volume, answer in the context; {_CHEAP}"),
    ("moderation", "haiku", _CHEAP),
    ("coding", "sonnet", _HARD),
    ("reasoning", "sonnet", _HARD),
    ("agent", "sonnet", _HARD),
    ("vision", "opus", "MMMU gap 36 pp"),
)
_UNKNOWN_TASK = "sonnet"
_BAR_FIELDS = ("margin", "refuse", "alpha", "least_cases")
_COUNTS = ("max_output_tokens", "default_output_tokens", "least_cases", "sample_daily")
_MOST_DAILY_PICO = 10**30  # the largest budget a ledger takes
_RANGES = {
    **dict.fromkeys(("margin", "refuse"), "Write a share above 0 and below 1."),
    **dict.fromkeys(("shadow_share", "holdout_share", "sample_share"), "Write a share from 0 to 1."),
    "alpha": "Write a share above 0 and below 0.5.",
    "cache_similarity": "Write a cosine from 0.5 to 1.",
    "cache_wait_s": "Write seconds from 0 to 60.",
}


class Rungs(Struct, frozen=True):
    """The ladder as served, and which of its tiers stands for each built-in one (`None`: nothing is
    served).
    """

    ladder: Ladder
    stand_ins: dict[str, str | None]
    notes: tuple[str, ...]


def ladder_of(
    tiers: Mapping[str, Tier], models: Mapping[str, Model], file: ConfigFile, name: str, today: str
) -> Rungs:
    """The ladder: as configured, else the built-in order, else by price of a small call; the dearest is the
    reference.
    """
    stated, guessed = file.default.ladder, False
    if stated is not None:
        for tier in stated:
            check_tier(tier, tiers, f"{name}: default.ladder")
        _once(stated, f"{name}: default.ladder")
        if not stated and tiers:
            raise ConfigError(f"{name}: default.ladder is empty.", "Name at least one tier, or leave it out.")
        order: Sequence[str] = stated
    elif set(tiers) <= set(BUILT_IN):
        order = [tier for tier in BUILT_IN if tier in tiers]
    else:
        calls = {name: small_call(price_at(models[tier.model].prices, today)) for name, tier in tiers.items()}
        order = sorted(tiers, key=lambda tier: (calls[tier] is None, calls[tier] or 0))
        unknown = sum(call is None for call in calls.values())
        guessed = not file.default.reference and 0 < unknown < len(order)
    reference = file.default.reference or (order[-1] if order else "")
    if file.default.reference:
        check_tier(reference, {tier: tiers[tier] for tier in order}, f"{name}: default.reference")
    notes: list[str] = []
    if guessed:
        notes.append(
            f"tiers without a known price count as the dearest, so {reference} is the reference: "
            "state the order in [default] ladder"
        )
    stand_ins = {tier: _stand_in(number, order, notes) for number, tier in enumerate(BUILT_IN)}
    return Rungs(Ladder(tuple(order), reference, guessed), stand_ins, tuple(notes))


def policy_of(rungs: Rungs, file: ConfigFile, tiers: Mapping[str, Tier], name: str) -> Policy:
    """Tasks and rules before evidence: the built-in ones and `[task.NAME]`, each with its ladder from the
    start upward.
    """
    ladder = rungs.ladder.tiers
    middle = file.default.safe_middle
    if middle is not None:
        check_tier(middle, tiers, f"{name}: default.safe_middle")
    middle = middle or rungs.stand_ins[_UNKNOWN_TASK] or ""
    tasks = {
        task: Task(task, ladder, rungs.stand_ins[tier] or "", why=why) for task, tier, why in PRIOR if ladder
    }
    for task, row in file.task.items():
        checked_name(task, f"{name}: task.{task}")
        base = tasks.get(task, Task(task, ladder, middle))
        tasks[task] = _overlaid(base, row, middle, tiers, f"{name}: task.{task}")
    rules = {task.name: Rule(task.name, _upward(task)) for task in tasks.values() if task.start}
    return hashed(Policy(rules, tasks, middle))


def hashed(policy: Policy) -> Policy:
    """The same Policy with `hash` set: 16 hex digits of SHA-256 over its rules, tasks and safe middle."""
    content = msgspec.json.encode((policy.rules, policy.tasks, policy.safe_middle), order="deterministic")
    return structs.replace(policy, hash=hashlib.sha256(content).hexdigest()[:16])


def check_tier(tier: str, tiers: Mapping[str, Tier], where: str) -> None:
    """Raises ConfigError, with the nearest tier, unless `tier` is one of `tiers`."""
    if tier not in tiers:
        raise ConfigError(
            f"{where} names the tier {tier!r}, which is not there.", nearest(tier, tiers), where
        )


def _stand_in(number: int, order: Sequence[str], notes: list[str]) -> str | None:
    """What serves where built-in tier `number` is meant: itself, else the next dearer one, else the dearest
    there is.

    On a ladder of the user's own names: the cheapest, the middle and the dearest tier.
    """
    tier = BUILT_IN[number]
    if not order or tier in order:
        return tier if order else None
    if not set(order) & set(BUILT_IN):
        return (order[0], order[len(order) // 2], order[-1])[number]
    dearer = [each for each in BUILT_IN[number + 1 :] if each in order]
    found = dearer[0] if dearer else order[-1]
    way = "skipped upward" if dearer else "nothing dearer is served"
    notes.append(f"tier {tier} is not served here ({way}): its tasks start at {found}")
    return found


def _upward(task: Task) -> tuple[str, ...]:
    return task.ladder[task.ladder.index(task.start) :] if task.start in task.ladder else (task.start,)


def _overlaid(base: Task, row: TaskRow, middle: str, tiers: Mapping[str, Tier], where: str) -> Task:
    given: dict[str, Any] = {
        field: value for field in row.__struct_fields__ if (value := getattr(row, field)) is not None
    }
    _check_ranges(given, where)
    shadow = given.get("shadow_tier", "")  # empty: the reference
    named = [*given.get("ladder", ()), *([given["start"]] if "start" in given else ())]
    for tier in (*named, *([shadow] if shadow else ())):
        check_tier(tier, tiers, where)
    bar = structs.replace(base.bar, **{field: given.pop(field) for field in _BAR_FIELDS if field in given})
    if "ladder" in given:
        ladder = given["ladder"] = tuple(given["ladder"])
        if not ladder:
            raise ConfigError(f"{where}.ladder is empty.", "Name at least one tier, or leave it out.")
        _once(ladder, f"{where}.ladder")
        starts = [tier for tier in (given.get("start"), base.start, middle) if tier in ladder]
        given["start"] = given.get("start") or (starts[0] if starts else ladder[-1])
    start = given.get("start", base.start)
    if start and start not in given.get("ladder", base.ladder):
        raise ConfigError(
            f"{where}.start {start!r} is not on its ladder.", "Add it to the ladder of the task."
        )
    most, usual = (given.get(each, getattr(base, each)) for each in _COUNTS[:2])
    if most is not None and usual is not None and usual > most:
        raise ConfigError(
            f"{where}: default_output_tokens is {usual}, and max_output_tokens allows {most}.",
            "Write an expected answer that is not longer than the longest.",
            f"{where}.default_output_tokens",
        )
    if "shadow_daily_usd" in given:
        given["shadow_daily_usd"] = _daily(given["shadow_daily_usd"], f"{where}.shadow_daily_usd")
    return structs.replace(base, bar=bar, **given)


def _daily(usd: Decimal, where: str) -> str:
    """The daily cap as it stands in a Task. Raises ConfigError unless a budget can hold it."""
    try:
        if 0 <= usd_to_pico(usd) <= _MOST_DAILY_PICO:
            return str(usd)
    except NotMoney:
        pass
    raise ConfigError(f"{where} is {usd}.", "Write dollars, 0 or more, with 12 decimals at most.", where)


def _once(ladder: Sequence[str], where: str) -> None:
    """Raises ConfigError when a tier stands twice on a ladder."""
    twice = [tier for number, tier in enumerate(ladder) if tier in ladder[:number]]
    if twice:
        raise ConfigError(f"{where} has {twice[0]!r} twice.", "List each tier once.")


def _check_ranges(given: Mapping[str, Any], where: str) -> None:
    shares = ("shadow_share", "holdout_share", "sample_share")
    for field, value in given.items():
        wrong = (
            (field in ("margin", "refuse") and not 0 < value < 1)
            or (field == "alpha" and not 0 < value < 0.5)
            or (field == "cache_similarity" and not 0.5 <= value <= 1)
            or (field in shares and not 0 <= value <= 1)
            or (field in _COUNTS and value < 1)
            or (field == "cache_wait_s" and not 0 <= value <= 60)
            or (field == "cache_ttl_s" and not 0 < value < 2**48)
        )
        if wrong:
            hint = _RANGES.get(field, "Write a positive number.")
            raise ConfigError(f"{where}.{field} is {value}.", hint, f"{where}.{field}")
