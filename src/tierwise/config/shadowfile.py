"""shadow.json, beside policy.toml: the alarms on its rules as they stand; and how a contradicted rule is
marked there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from ..errors import ConfigError
from ..judging.alarm import Record
from ..nouns import Rule
from .policyfile import RuleBlock, one_writer, read_blocks, replace_whole, write_policy

MOST = 200
"""Records kept; the oldest go first."""


class ShadowFile(Struct, frozen=True):
    """All of shadow.json."""

    version: int = 1
    rules: tuple[Record, ...] = ()


def shadow_path(policy_path: Path) -> Path:
    """Where the alarms of that policy are kept."""
    return policy_path.with_name("shadow.json")


def read_shadow(policy_path: Path) -> tuple[Record, ...]:
    """The alarms kept beside policy.toml; none where there is no such file. Raises ConfigError."""
    path = shadow_path(policy_path)
    try:
        return msgspec.json.decode(path.read_bytes(), type=ShadowFile).rules
    except FileNotFoundError:
        return ()
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", "Move it away: the alarms then start anew."
        ) from None


def shadow_by_task(policy_path: Path, rules: Mapping[str, Rule]) -> dict[str, Record]:
    """The latest alarm of each task on its rule's own Verdict: of the tier the rule serves now, or one that
    contradicted it. Raises ConfigError.
    """
    found: dict[str, Record] = {}
    for record in sorted(read_shadow(policy_path), key=lambda each: each.since):
        watch, rule = record.watch, rules.get(record.watch.task)
        if rule is None or watch.verdict != (rule.verdict or ""):
            continue
        if record.contradicted or watch.served == rule.tiers[0]:
            found[watch.task] = record
    return found


def write_shadow(policy_path: Path, records: Iterable[Record]) -> None:
    """Replaces shadow.json whole. Raises ConfigError."""
    path = shadow_path(policy_path)
    newest = sorted(records, key=lambda each: each.updated or each.since, reverse=True)[:MOST]
    kept = sorted(newest, key=lambda each: (each.watch.task, each.since))
    text = msgspec.json.format(msgspec.json.encode(ShadowFile(rules=tuple(kept))), indent=1)
    replace_whole(path, text + b"\n", False)


def contradict(policy_path: Path, rule: Rule, tiers: Sequence[str], note: str) -> bool:
    """Marks `rule` contradicted in policy.toml, with `tiers` from now on; its Verdict stays cited. False, and
    nothing is written, when the file has another rule of that task by now. Raises ConfigError."""
    with one_writer(policy_path):
        blocks = read_blocks(policy_path)
        own = next((block for block in blocks if block.task == rule.task), None)
        if own is None:
            own = RuleBlock(rule.task, list(rule.tiers))
        cited = None if own.verdict is None else own.verdict.name_in(own.task)
        if tuple(own.tiers) != rule.tiers or cited != rule.verdict:
            return False
        marked = structs.replace(own, tiers=list(tiers), state="contradicted", note=note)
        write_policy(policy_path, [*(block for block in blocks if block.task != rule.task), marked])
        return True
