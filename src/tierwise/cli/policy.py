"""`tierwise policy`: which tier serves which task and on what evidence; and how evidence becomes a rule."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..clock import now_us, rfc3339
from ..config import RuleBlock, Settings, read_blocks
from ..config.shadowfile import shadow_by_task
from ..costing import Replayed
from ..errors import SuiteError
from ..judging.alarm import Record
from ..lab.replay import replay, whole_file
from ..lab.results import read_evaluation
from ..lab.running.store import RUNS, find_run
from ..lab.telling.publish import EXPIRES_DAYS, Proposal, proposal, propose, rule_of
from ..lab.telling.wording import money
from ..ledger import read_ledger
from ..nouns import Rule
from .ledger import database_url
from .unkeyed import settings_to_read
from .values import TEXT, WHEN, instant

Command = TypeVar("Command", bound=Callable[..., Any])
NOT_BETTER = 3


def _config(command: Command) -> Command:
    return click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="tierwise.toml")(
        command
    )


def _source(command: Command) -> Command:
    """The options that name a verdict."""
    for option in (
        click.option("--db", metavar="URL", hidden=True, help="Not needed here."),
        click.option("--runs", type=click.Path(file_okay=False), default=str(RUNS), help="Where runs lie."),
        click.option("--days", type=click.IntRange(min=0), default=EXPIRES_DAYS, show_default=True,
                     help="The rule expires after so many; 0: never."),
        click.option("--task", default="", metavar="NAME", help="The task, where the run names none."),
    ):  # fmt: skip
        command = option(command)
    return click.argument("source", default="", metavar="[RUN|FILE]")(_config(command))


@click.group()
def command() -> None:
    """Show, compare, apply and rehearse the policy: which tier serves which task, and the evidence."""


@command.command(epilog="Example: tierwise policy show")
@_config
@click.option("--db", metavar="URL", hidden=True, help="Not needed here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(config: Path | None, db: str | None, as_json: bool) -> None:
    """List every task's tiers and what they rest on: measured, prior, expired or contradicted."""
    del db
    settings = settings_to_read(config)
    rules = [settings.policy.rules[task] for task in sorted(settings.policy.rules)]
    shadows = shadow_by_task(settings.policy_path, settings.policy.rules)
    if as_json:
        found = {
            "policy": settings.policy.hash,
            "file": str(settings.policy_path),
            "safe_middle": settings.policy.safe_middle,
            "rules": [
                {**msgspec.to_builtins(rule), "shadow": _shadow_json(shadows.get(rule.task))}
                for rule in rules
            ],
        }
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for head in ("task", "tiers", "state", "evidence"):
        table.add_column(head, overflow="fold")
    for rule in rules:
        table.add_row(
            escape(rule.task), escape(" → ".join(rule.tiers)), _state(rule), escape(_evidence(rule))
        )
        if rule.task in shadows and rule.state != "contradicted":
            table.add_row("", "", "", escape(shadows[rule.task].sentence()))
    console = Console(highlight=False)
    console.print(table)
    console.print(f"anything else: {escape(settings.policy.safe_middle or 'nothing is served')}")


@command.command(epilog="Example: tierwise policy diff")
@_source
def diff(source: str, **options: Any) -> None:
    """Show what `policy apply` would change."""
    proposed = _proposed(source, options)
    click.echo(proposed.diff() or "Nothing would change.", nl=not proposed.changes)
    _warn(proposed)


@command.command(epilog="Example: tierwise policy apply --yes")
@_source
@click.option("--yes", is_flag=True, help="Write without asking.")
def apply(source: str, yes: bool, **options: Any) -> None:
    """Make a verdict (of RUN, of a file, or the last) a rule of policy.toml; the difference is shown first.

    A running gateway takes the new file up by itself within two seconds.
    """
    proposed = _proposed(source, options)
    if not proposed.changes:
        click.echo("Nothing to change: policy.toml says so already.")
        _warn(proposed)
        return
    click.echo(proposed.diff(), nl=False)
    _warn(proposed)
    if not yes and not sys.stdin.isatty():
        raise SuiteError("Nothing was written: there is nobody to ask.", "Say --yes to write it.")
    if not yes and not click.confirm(f"Write {proposed.path}?"):
        click.echo("Nothing was written.")
        sys.exit(1)
    proposed.write()
    click.echo(f"Wrote {proposed.path}.")


@command.command(epilog="Example: tierwise policy plan new-policy.toml --last 7d")
@_config
@click.argument("new", metavar="NEW")
@click.option(
    "--last", type=WHEN, default="7d", show_default=True, metavar="SPAN", help="Calls of the last 7d, 24h …"
)
@click.option("--db", type=TEXT, metavar="URL", help="The ledger.")
@click.option("--runs", type=click.Path(file_okay=False), default=str(RUNS), help="Where runs lie.")
@click.option("--task", default="", metavar="NAME", help="The task, where NEW is a run that names none.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(new: str, config: Path | None, **options: Any) -> None:
    """Rehearse NEW (a policy.toml, a run or a verdict file) on recorded calls: dollars and quality.

    The same tokens at the other tier's price. Exit 0 when NEW is no dearer and every move to another tier is
    backed by a verdict in force; 3 when it is dearer, unmeasured, expired, contradicted or cannot be priced.
    """
    settings = settings_to_read(config)
    path = Path(new)
    if path.suffix == ".toml":
        if not path.exists():
            raise SuiteError(f"There is no file {path}.", "Give a policy.toml, a run or a verdict file.")
        blocks = whole_file(read_blocks(path, settings.catalog.tiers), settings)
    else:
        blocks = (_rule(new, settings, options["runs"], options["task"]),)
    reader = read_ledger(database_url(options["db"], config))
    today = rfc3339(now_us())[:10]
    found = replay(reader.rows(instant(options["last"])), blocks, settings, today)
    click.echo(
        json.dumps(_replayed_json(found)) if options["as_json"] else _replayed_text(found, options["last"])
    )
    if found.faults:
        sys.exit(NOT_BETTER)


def _proposed(source: str, options: dict[str, Any]) -> Proposal:
    settings = settings_to_read(options["config"])
    if source.endswith(".toml"):
        path = Path(source)
        if not path.exists():
            raise SuiteError(f"There is no file {path}.", "Give a policy.toml, a run or a verdict file.")
        return proposal(read_blocks(path, settings.catalog.tiers), settings)
    return propose(_rule(source, settings, options["runs"], options["task"], options["days"]), settings)


def _warn(proposed: Proposal) -> None:
    """Says which of the rules no evidence would stand behind, before anybody agrees to them."""
    for words in proposed.lapsed:
        click.echo(f"warning: a rule would count as expired at once. {words}.", err=True)


def _rule(source: str, settings: Settings, runs: str, task: str, days: int = EXPIRES_DAYS) -> RuleBlock:
    path = Path(source)
    file = path if source and path.is_file() else find_run(source, Path(runs)) / "verdict.json"
    return rule_of(read_evaluation(file), settings, task, days)


def _shadow_json(record: Record | None) -> dict[str, Any] | None:
    if record is None:
        return None
    whole: dict[str, Any] = msgspec.to_builtins(record)
    return {**whole, "n": record.n, "agreement": record.agreement, "says": record.sentence()}


def _state(rule: Rule) -> str:
    colour = {"measured": "green", "expired": "yellow", "contradicted": "red"}.get(rule.state, "dim")
    return f"[{colour}]{rule.state}[/{colour}]"


def _evidence(rule: Rule) -> str:
    return rule.evidence + (f"; until {rule.expires}" if rule.expires else "")


def _replayed_json(found: Replayed) -> dict[str, Any]:
    whole: dict[str, Any] = msgspec.to_builtins(found)
    return {**whole, "no_worse": not found.faults}


def _replayed_text(found: Replayed, span: str) -> str:
    lines = [f"{found.calls:,} calls in the last {span}, {found.moved:,} would move."]
    for move in found.tasks:
        delta = move.new_pico - move.old_pico
        lines.append(
            f"  {move.task}: {move.old} → {move.new}, {move.calls:,} calls, {money(move.old_pico)} → "
            f"{money(move.new_pico)} ({_signed(delta)})"
        )
        if move.quality is not None and move.quality.value is not None:
            quality = move.quality
            ends = f"{_points(quality.low)} to {_points(quality.high)}"
            unknown = f", not known of {move.others:,} that another tier served" if move.others else ""
            lines.append(f"    quality {_points(quality.value)} points a call ({ends}){unknown}")
        if move.fault:
            lines.append(f"    cannot be vouched for: {move.fault}")
    lines.append(f"In all {_signed(found.delta_pico)}.")
    lines += [f"stop: {fault}" for fault in found.faults]
    return "\n".join(lines)


def _signed(pico: int) -> str:
    return ("+" if pico > 0 else "−" if pico < 0 else "") + money(abs(pico))


def _points(share: float | None) -> str:
    return "?" if share is None else f"{share * 100:+.1f}".replace("-", "−")
