"""Policy: what is in force, how it differs from the prior, and a new file put in force when nobody else has
meanwhile done so.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from tierwise.config import RuleBlock, one_writer, policy_text, read_blocks, read_policy, write_policy
from tierwise.config.shadowfile import shadow_by_task
from tierwise.errors import BadRequest, ConfigError, SuiteError, TierwiseError
from tierwise.judging.alarm import Record
from tierwise.nouns import Rule

from ..shown import iso
from ..site import Site, now
from .evaluations import verdict_file

log = logging.getLogger("tierwise")

LONGEST = 256 << 10


class Outdated(TierwiseError):
    """Somebody else changed the policy since it was read. `theirs` is it as it stands, `base` its version."""

    status = 409
    kind = "conflict"

    def __init__(self, theirs: str, base: str, mine: str) -> None:
        super().__init__(
            "The policy was changed by someone else while you edited it, so nothing was written.",
            "Compare the two below, then apply again on top of theirs.",
        )
        self.theirs = theirs
        self.base = base
        self.mine = mine


class DiffLine(Struct, frozen=True):
    """A line of a comparison: `how` is same, added, removed or place."""

    how: Literal["same", "added", "removed", "place"]
    text: str


class RuleLine(Struct, frozen=True):
    """One rule in force against the prior's tiers. `shadow`: what watching it shows, "" when nothing does."""

    task: str
    tiers: list[str]
    prior: list[str]
    state: str
    evidence: str
    expires: str | None
    changed: bool
    shadow: str = ""


class AskedPolicy(Struct, frozen=True):
    """`run`: also propose the rule that this evaluation supports; "" for none."""

    run: Annotated[str, Meta(max_length=128)] = ""


class ProposedRule(Struct, frozen=True):
    """policy.toml with the rule that an evaluation supports, and how it differs from the file as it stands.
    `trouble` says why there is none, "" when there is."""

    run: str
    text: str
    diff: list[DiffLine]
    trouble: str


class PolicyView(Struct, frozen=True):
    """`text` is policy.toml as it stands ("" when there is none) and `version` its hash, to be sent back
    with a new text. `hash` identifies the policy in force, prior included."""

    hash: str
    path: str
    text: str
    version: str
    rules: list[RuleLine]
    diff: list[DiffLine]
    safe_middle: str
    tiers: list[str]
    in_force: bool
    proposed: ProposedRule | None


class NewPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """A policy.toml to put in force. `version` is that of the text it was made from; `check_only` writes
    nothing."""

    text: Annotated[str, Meta(max_length=LONGEST)]
    version: Annotated[str, Meta(max_length=64)]
    check_only: bool = False


class Applied(Struct, frozen=True):
    """What was written, or would be: its text, its version, and how it differs from what stood before."""

    written: bool
    text: str
    version: str
    diff: list[DiffLine]
    rules: int


def _shadow(rule: Rule | None, record: Record | None) -> str:
    """A contradicted rule's evidence says it already."""
    return "" if rule is None or record is None or rule.state == "contradicted" else record.sentence()


def current(site: Site, asked: AskedPolicy) -> PolicyView:
    """The policy in force and its file. Raises NotFound when there is no such run."""
    path, policy = site.settings.policy_path, site.policy
    text = _read(path)
    lines, prior_blocks, blocks = [], [], []
    shadows = shadow_by_task(path, policy.rules)
    for name in sorted({*policy.rules, *policy.tasks}):
        task, rule = policy.tasks.get(name), policy.rules.get(name)
        prior = _upward(task.ladder, task.start) if task else []
        tiers = list(rule.tiers) if rule else []
        lines.append(
            RuleLine(
                name, tiers, prior, rule.state if rule else "prior", rule.evidence if rule else "",
                rule.expires if rule else None, tiers != prior, _shadow(rule, shadows.get(name)),
            )
        )  # fmt: skip
        prior_blocks.append(RuleBlock(name, prior))
        blocks.append(RuleBlock(name, tiers))
    before, after = policy_text(prior_blocks), policy_text(blocks)
    order = {"contradicted": 0, "expired": 1}
    lines.sort(key=lambda line: (order.get(line.state, 2), not line.changed, line.task))
    return PolicyView(
        hash=policy.hash,
        path=str(path),
        text=text,
        version=version_of(text),
        rules=lines,
        diff=compared(before, after),
        safe_middle=policy.safe_middle,
        tiers=site.tier_order(),
        in_force=_in_force(site, path),
        proposed=_proposed(site, asked.run, text) if asked.run else None,
    )


def apply(site: Site, wish: NewPolicy) -> Applied:
    """Checks a policy and writes it, unless the file is not the one it was made from.

    Raises BadRequest saying what is wrong with the text, ConfigError when it cannot be written, Outdated.
    """
    path = site.settings.policy_path
    blocks = checked(site, wish.text)
    new = policy_text(blocks)
    with one_writer(path):
        theirs = _read(path)
        if wish.version != version_of(theirs):
            raise Outdated(theirs, version_of(theirs), wish.text)
        if not wish.check_only:
            new = write_policy(path, blocks)
            log.warning(
                "audit: policy applied from the control plane: %d rules, version %s, was %s",
                len(blocks), version_of(new), version_of(theirs),
            )  # fmt: skip
    return Applied(not wish.check_only, new, version_of(new), compared(theirs, new), len(blocks))


def compared(before: str, after: str) -> list[DiffLine]:
    """A unified comparison of two texts, without file names; empty when they are the same."""
    found = []
    for line in list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]:
        how: Literal["same", "added", "removed", "place"] = (
            "place" if line.startswith("@@") else "added" if line[0] == "+"
            else "removed" if line[0] == "-" else "same"
        )  # fmt: skip
        found.append(DiffLine(how, line))
    return found


def version_of(text: str) -> str:
    """16 hex digits that change with the text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def checked(site: Site, text: str) -> list[RuleBlock]:
    """The rules of a policy.toml that was sent. Raises BadRequest saying what is wrong with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.toml"
        path.write_text(text.replace("\r\n", "\n"), encoding="utf-8", errors="surrogatepass")
        try:
            return read_blocks(path, site.catalog.tiers)
        except ConfigError as error:
            # What was sent is wrong, not this server's own configuration.
            raise BadRequest(error.message, error.hint, error.param) from None


def _proposed(site: Site, run: str, before: str) -> ProposedRule:
    try:
        text = site.control.lab.proposed(verdict_file(site, run), site.settings)
    except (SuiteError, ConfigError) as error:
        return ProposedRule(run, "", [], error.sentence())
    return ProposedRule(run, text, compared(before, text), "")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", "It must be a UTF-8 file.") from None


def _in_force(site: Site, path: Path) -> bool:
    """Whether the file's rules are those in force: a reload takes a second, and a bad file is not taken."""
    try:
        written = read_policy(path, site.catalog.tiers, iso(now())[:10], site.policy.tasks)
    except ConfigError:
        return False
    rules = site.policy.rules
    return all(task in rules and _cited(rules[task]) == _cited(rule) for task, rule in written.items())


def _cited(rule: Rule) -> tuple[tuple[str, ...], str | None]:
    return rule.tiers, rule.verdict


def _upward(ladder: tuple[str, ...], start: str) -> list[str]:
    return list(ladder[ladder.index(start) :]) if start in ladder else [start] if start else []
