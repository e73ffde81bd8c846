"""policy.toml: rules that rest on Verdicts, read strictly and written so that a person can read and review
them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct, structs

from ..errors import ConfigError
from ..nouns import Decision, Policy, Rule, Task, Tier
from .prior import check_tier, hashed
from .strict import decode, nearest, parse, read_text


class VerdictBlock(Struct, frozen=True, omit_defaults=True):
    """`[rule.verdict]`: the evidence of a rule, complete enough to be checked and repeated.

    `counts` are both, cheap only, reference only, neither. `models` (the name each gave itself), `prices` and
    `tested` (model and settings) say tier → what it was when measured.
    """

    decision: Decision
    difference: float
    interval: tuple[float, float]
    level: float
    n: int
    method: str
    date: str
    id: str = ""
    expires: str | None = None
    margin: float | None = None
    alpha: float | None = None
    counts: tuple[int, int, int, int] | None = None
    seed: int | None = None
    ln_e_switch: float | None = None
    ln_e_keep: float | None = None
    cheap: str = ""
    reference: str = ""
    scorer: str = ""
    dataset_hash: str = ""
    prompt_hash: str = ""
    models: dict[str, str] = {}
    prices: dict[str, str] = {}
    tested: dict[str, str] = {}
    reasons: list[str] = []

    def name_in(self, task: str) -> str:
        """What a rule of `task` cites it as."""
        return self.id or f"{task}@{self.date}"

    def sentence(self) -> str:
        """The Verdict in one line, for the route's reason."""
        low, high = self.interval
        against = f" against {self.reference}" if self.reference else ""
        return (
            f"{_DECIDED[self.decision]}: difference {self.difference:+.3f}{against}, "
            f"{self.level:.0%} interval {low:+.3f} to {high:+.3f}, n {self.n}, {self.date}"
        )


class RuleBlock(Struct, frozen=True, omit_defaults=True):
    """`[[rule]]`: a task, its tiers in order, and the Verdict the choice rests on (absent: unmeasured)."""

    task: str
    tiers: list[str]
    verdict: VerdictBlock | None = None
    state: Literal["prior", "measured", "contradicted"] | None = None
    note: str = ""


class PolicyFile(Struct, frozen=True):
    """All of policy.toml."""

    rule: list[RuleBlock] = []


_DECIDED = {"switch": "good enough", "keep": "keep the reference", "not_enough": "not enough evidence"}


def read_policy(
    path: Path, tiers: Mapping[str, Tier], today: str, tasks: Mapping[str, Task] = MappingProxyType({})
) -> dict[str, Rule]:
    """The rules of policy.toml by task; none where there is no such file. `today` (YYYY-MM-DD) decides what
    has expired, and so does the bar of each of `tasks`.

    Raises ConfigError: unknown keys with the nearest one, unknown tiers, two rules of one task, wrong dates.
    """
    return {b.task: _rule(b, tiers, today, tasks.get(b.task)) for b in read_blocks(path, tiers)}


def settings_text(settings: Mapping[str, Any]) -> str:
    """A tier's settings as one line of JSON, keys in order; "" for none."""
    return json.dumps(settings, sort_keys=True, ensure_ascii=False) if settings else ""


def tier_text(tier: Tier) -> str:
    """What a tier is, in one line: its model and its settings."""
    return f"{tier.model} {settings_text(tier.settings)}".rstrip()


def changed_since(verdict: VerdictBlock, tiers: Mapping[str, Tier]) -> str:
    """Which tier is no longer what the Verdict was measured on, in words; "": none is known to be."""
    for name, was in verdict.tested.items():
        tier = tiers.get(name)
        now = "" if tier is None else tier_text(tier)
        if tier is not None and now != was:
            return f"{name} was {was} when measured and is {now} now"
    return ""


def short_of(verdict: VerdictBlock, task: Task | None) -> str:
    """Which term of its task's bar of today a Verdict for a cheaper tier does not meet, in words; "": it
    meets them, or there is no such task."""
    if task is None or verdict.decision != "switch":
        return ""
    was, alpha, bar = verdict.margin, verdict.alpha, task.bar
    if was is not None and bar.margin < was and verdict.interval[0] <= -bar.margin:
        return f"the margin was {was:g} when measured and is {bar.margin:g} now"
    if alpha is not None and bar.alpha < alpha:
        return f"alpha was {alpha:g} when measured and is {bar.alpha:g} now"
    return ""


def read_blocks(path: Path, tiers: Mapping[str, Tier] | None = None) -> list[RuleBlock]:
    """The rules as written, with their Verdicts; checked against `tiers` where given."""
    try:
        path.stat()  # Path.exists of Python 3.14 takes what it may not look at for missing
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
    blocks = decode(parse(read_text(path), path.name), PolicyFile, path.name).rule
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        where = f"{path.name}: rule[{number}] ({block.task})"
        if block.task in seen or not block.task:
            raise ConfigError(f"{where}: the task has a rule already.", "Keep one rule for each task.")
        seen.add(block.task)
        if not block.tiers:
            raise ConfigError(f"{where} names no tiers.", "Name at least one, in order.")
        if len(set(block.tiers)) < len(block.tiers):
            raise ConfigError(f"{where} names a tier twice.", "Name each once.")
        if tiers is not None:
            for tier in block.tiers:
                check_tier(tier, tiers, where)
        if block.verdict is not None:
            _check_dates(block.verdict, where)
            _check_numbers(block.verdict, where)
    return blocks


def merge_policy(policy: Policy, rules: Mapping[str, Rule]) -> Policy:
    """`policy` with `rules` in place of its own for the same tasks, and its hash anew."""
    return hashed(structs.replace(policy, rules={**policy.rules, **rules})) if rules else policy


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """While it lasts nobody else reads policy.toml to write it: gateways, commands and the dashboard each do
    so from what they read before. Where its folder cannot be locked, one writer hopes for the best.
    """
    try:
        folder = os.open(Path(os.path.realpath(path)).parent, os.O_RDONLY)
    except OSError:
        yield  # whoever writes there says why it cannot
        return
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def write_policy(path: Path, blocks: Iterable[RuleBlock]) -> str:
    """Writes policy.toml whole or not at all (a new file is renamed over the old one), and gives back its
    text.
    """
    text = policy_text(blocks)
    replace_whole(path, text.encode(), True)
    return text


def replace_whole(path: Path, content: bytes, durable: bool) -> None:
    """Writes a file whole or not at all, whoever else does at that moment; `durable`: it is on the disk when
    this returns. It keeps its permissions, and a link its file. Raises ConfigError.
    """
    path = Path(os.path.realpath(path))
    try:
        before = path.stat() if path.exists() else None
        if before is not None and not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise _unwritten(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
            _as_before(handle, before)
        os.replace(temporary, path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise _unwritten(path, error) from None


def _as_before(file: int, before: os.stat_result | None) -> None:
    """Gives a new file owner and permissions of the one it replaces. Who may not give it away leaves it to be
    read by all: a gateway under another name must not lose its policy.
    """
    os.fchmod(file, 0o644)
    if before is not None:
        with contextlib.suppress(PermissionError):
            os.fchown(file, before.st_uid, before.st_gid)
            os.fchmod(file, stat.S_IMODE(before.st_mode))


def _unwritten(path: Path, error: OSError) -> ConfigError:
    hint = "Check the permissions of it and of its folder."
    if error.errno == errno.EBUSY:
        hint = "It is mounted by itself, so no new file can take its place: mount its folder."
    return ConfigError(f"{path} cannot be written: {error.strerror}.", hint)


def policy_text(blocks: Iterable[RuleBlock]) -> str:
    """The text of a policy.toml with these rules, ordered by task, so that two versions can be compared line
    by line.
    """
    parts = [
        "# Which tiers serve which task, and the evidence. Written by tierwise; read and edit it freely.\n"
    ]
    for block in sorted(blocks, key=lambda each: each.task):
        parts.append("\n[[rule]]\n" + _lines(structs.replace(block, verdict=None)))
        if block.verdict is not None:
            parts.append("\n[rule.verdict]\n" + _lines(block.verdict))
    return "".join(parts)


def _rule(block: RuleBlock, tiers: Mapping[str, Tier], today: str, task: Task | None) -> Rule:
    verdict = block.verdict
    if verdict is None:
        return Rule(
            block.task, tuple(block.tiers), block.state or "prior", block.note or "unmeasured (set by hand)"
        )
    state: Literal["prior", "measured", "expired", "contradicted"] = block.state or "measured"
    id_ = verdict.name_in(block.task)
    evidence, expires = verdict.sentence(), verdict.expires
    proven = verdict.cheap if verdict.decision == "switch" else verdict.reference
    if state == "measured" and proven and block.tiers[0] != proven:
        unproven = f"unmeasured (set by hand): the verdict is for {proven}: {evidence}"
        return Rule(block.task, tuple(block.tiers), "prior", unproven, id_, expires)
    changed = (changed_since(verdict, tiers) or short_of(verdict, task)) if state == "measured" else ""
    if changed:
        state, expires, evidence = "expired", None, f"{changed}; before: {evidence}"
    elif expires is not None and expires <= today and state != "contradicted":
        state = "expired"
    if state == "contradicted" and block.note:
        evidence = f"{block.note}; before: {evidence}"
    return Rule(block.task, tuple(block.tiers), state, evidence, id_, expires)


def _check_numbers(verdict: VerdictBlock, where: str) -> None:
    """Raises ConfigError for figures that no comparison gives: a rule would cite them as its evidence."""
    low, high = verdict.interval
    right = {
        "difference": -1 <= verdict.difference <= 1,
        "interval": math.isfinite(low) and math.isfinite(high) and low <= high,
        "level": 0 < verdict.level < 1,
        "n": verdict.n >= 0,
        "margin": verdict.margin is None or 0 < verdict.margin < 1,
        "alpha": verdict.alpha is None or 0 < verdict.alpha < 1,
        "counts": min(verdict.counts or (0,)) >= 0,
        "ln_e_switch": not math.isnan(verdict.ln_e_switch or 0.0),
        "ln_e_keep": not math.isnan(verdict.ln_e_keep or 0.0),
    }
    for field, good in right.items():
        if not good:
            raise ConfigError(
                f"{where}: verdict.{field} is {getattr(verdict, field)}.",
                "No comparison gives that: take the rule from `tierwise policy apply`.",
            )


def _check_dates(verdict: VerdictBlock, where: str) -> None:
    for field in ("date", "expires"):
        text = getattr(verdict, field)
        try:
            # 20261201 is a date too, but texts are compared: it would come after all of that year.
            known = text is None or date.fromisoformat(text).isoformat() == text
        except ValueError:
            known = False
        if not known:
            raise ConfigError(f"{where}: verdict.{field} is {text!r}.", "Write a date as 2026-12-01.")
    if verdict.decision not in _DECIDED:
        raise ConfigError(
            f"{where}: unknown decision {verdict.decision!r}.", nearest(verdict.decision, _DECIDED)
        )


def _lines(block: RuleBlock | VerdictBlock) -> str:
    """`key = value` of every key that must be there or is not empty."""
    empty: tuple[Any, ...] = (None, "", {}, [])
    found = [(field, getattr(block, field.name)) for field in structs.fields(block)]
    return "".join(f"{field.name} = {_toml(v)}\n" for field, v in found if field.required or v not in empty)


def _toml(value: Any) -> str:
    """`value` as TOML. JSON's strings, numbers and arrays of these are TOML's too; floats get back the same
    bits.
    """
    if isinstance(value, dict):
        inner = ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in sorted(value.items()))
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "inf" if value > 0 else "-inf"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")  # JSON allows DEL, TOML does not
