"""`tierwise eval`: does a cheaper tier do? Runs a suite over tiers and says switch, keep, or not enough."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from ..errors import ConfigError, SuiteError, TierwiseError
from ..lab.cases.rows import read_text
from ..lab.compare import holm_over_suites
from ..lab.evaluation import Done, Options, carry_out
from ..lab.grading.rescoring import rescore
from ..lab.results import EXIT_CODES, Evaluation
from ..lab.running.plan import Plan
from ..lab.running.progress import Progress
from ..lab.running.store import RunFolder
from ..lab.telling.report import html_report, markdown_report
from ..lab.telling.wording import (
    SHORT_HEADS,
    as_json,
    comparison_rows,
    comparison_title,
    headline,
    judge_line,
    plan_lines,
    short_row,
)
from ..money import NotMoney, usd_to_pico
from . import interruptible
from .finite import FiniteRange

_FILE = click.Path(dir_okay=False, path_type=Path)
EXAMPLE = """\b
Examples:
  tierwise eval tickets.csv --tiers haiku,sonnet --task classification -n 200
  tierwise eval --resume                       # go on with the last run
  tierwise eval tickets.csv --tiers cheap=file:a.jsonl,dear=file:b.jsonl
  tierwise eval --rescore 20261122-153000-4f2a0 --scorer normalised
"""


def _names(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    if value and not names:
        raise click.BadParameter("name two tiers or more, with commas between them.", ctx, param)
    return names


def _amount(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    try:
        pico = None if value is None else usd_to_pico(Decimal(value.lstrip("$")))
    except (NotMoney, ArithmeticError):
        raise click.BadParameter(f"{value!r} is no amount of dollars, such as 1.50.", ctx, param) from None
    if pico is not None and pico < 0:
        raise click.BadParameter("a limit cannot be negative.", ctx, param)
    return pico


def _pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for each in value:
        name, equals, rest = each.partition("=")
        if not equals or not name.strip() or not rest.strip():
            raise click.BadParameter(f"{each!r} is not NAME=VALUE.", ctx, param)
        found[name.strip()] = rest.strip()
    return found


@click.command(epilog=EXAMPLE)
@click.argument("suites", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--tiers", callback=_names, default="", metavar="A,B", help="Tiers, models, LABEL=NAME, file:ANSWERS."
)
@click.option("--reference", metavar="NAME", help="Compared against; the dearest if not given.")
@click.option("--margin", type=float, help="Loss accepted, 0 to 1.  [default: the task's, 0.05]")
@click.option("--alpha", type=float, help="Rate of false decisions.  [default: the task's, 0.05]")
@click.option("-n", "n", type=click.IntRange(min=1), metavar="N", help="A seeded sample of so many Cases.")
@click.option(
    "-j", "jobs", type=click.IntRange(min=1), default=32, show_default=True, help="Calls in flight."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides sample, order and resamples.")
@click.option("--repeats", type=click.IntRange(min=1), help="Answers per Case and tier.  [default: 1]")
@click.option("--sequential", is_flag=True, help="Stop as soon as the e-value decides.")
@click.option(
    "--cost-limit", "cost_limit_pico", callback=_amount, metavar="USD", help="Spend no more than this."
)
@click.option(
    "--resume", is_flag=False, flag_value="", metavar="[RUN]", help="Go on with a run, or the last."
)
@click.option("--from-ledger", is_flag=True, help="Take the calls that --task has kept as the suite.")
@click.option("--rescore", metavar="RUN", help="Score a run's answers anew; no tier is asked.")
@click.option("--scorer", metavar="NAME", help='Scorer, NAME:{"option": value}, or module:function.')
@click.option("--judge", default="", metavar="TIER", help="Who judges, for --scorer judge or pairwise.")
@click.option("--rubric", type=_FILE, metavar="FILE", help="What a good answer is, for the judge.")
@click.option("--embedder", default="", metavar="MODEL", help="Embedding model of --scorer similarity.")
@click.option("--calibrate", type=_FILE, metavar="FILE", help="Human labels: id or input, answer, label 0/1.")
@click.option("--allow-code", is_flag=True, help="Let the scorer `code` run what models write.")
@click.option("--task", default="", metavar="NAME", help="The task the suite stands for.")
@click.option(
    "--labels", type=click.Choice(["human", "reference"]), default=None, help="Who wrote the targets."
)
@click.option(
    "--prompt", default="", metavar="TEXT|FILE", help="Template with {{column}} slots, or messages."
)
@click.option("--system", default="", metavar="TEXT", help="System text before every input.")
@click.option(
    "--column", "columns", multiple=True, callback=_pairs, metavar="WORD=NAME", help="input=question …"
)
@click.option("--base-url", default="", metavar="URL", help="Ask any OpenAI-compatible URL instead.")
@click.option("--key", default="", metavar="KEY", help="Its key, or env:NAME.")
@click.option("--batch", is_flag=True, help="Hand the calls in as batches and wait; --resume goes on.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="Longest answer asked for.")
@click.option("--temperature", type=FiniteRange(0), help="Asked for; the provider's own if not given.")
@click.option("--config", type=_FILE, metavar="FILE", help="tierwise.toml")
@click.option(
    "--runs",
    default=None,
    type=click.Path(file_okay=False),
    help="Where runs lie.  [default: .tierwise/runs]",
)
@click.option("--db", hidden=True, metavar="URL", help="Not needed here.")
@click.option("--plan", "plan_only", is_flag=True, help="Say what it would show and cost, and stop.")
@click.option("--json", "as_object", is_flag=True, help="Print one JSON object.")
@click.option("--markdown", type=_FILE, metavar="FILE", help="Write a report in Markdown.")
@click.option("--html", type=_FILE, metavar="FILE", help="Write a report as one HTML file.")
@click.pass_context
def command(ctx: click.Context, /, **options: Any) -> None:
    """Measure whether a cheaper tier is good enough for a suite of labelled examples.

    Prints what the Cases can show and what they will cost, runs them, and decides: exit 0 switch, 3 keep the
    reference, 4 not enough evidence, 1 error, 2 usage. A run survives kill -9: --resume pays for nothing
    twice. `tierwise policy apply` makes the verdict a rule of the gateway.
    """
    said = Said(ctx, options)
    found = said.run()
    if said.plan_only:
        return
    said.write(found)
    ctx.exit(exit_code([one for done in found if (one := done.evaluation) is not None]))


def _together(done: Done, held: Evaluation) -> Done:
    """A suite's evaluation as it stands beside the others, and kept so: `policy apply` reads it there, and a
    run that goes on by itself is held to the same."""
    if done.folder is not None:
        folder = RunFolder(done.folder)
        folder.write_json("verdict.json", held)
        manifest = folder.manifest()
        terms = msgspec.structs.replace(manifest.terms, tests=held.tests)
        folder.write_manifest(msgspec.structs.replace(manifest, terms=terms))
    return msgspec.structs.replace(done, evaluation=held)


class Said:
    """What the command line says."""

    def __init__(self, ctx: click.Context, options: dict[str, Any]) -> None:
        self.suites: tuple[Path, ...] = options.pop("suites")
        self.tiers: list[str] = options.pop("tiers")
        self.rescore: str | None = options.pop("rescore")
        self.as_object: bool = options.pop("as_object")
        self.markdown: Path | None = options.pop("markdown")
        self.html: Path | None = options.pop("html")
        self.plan_only: bool = options["plan_only"]
        del options["db"]
        self._check(ctx, options)
        self.options = _options(options)
        self.console = Console(highlight=False)

    def _check(self, ctx: click.Context, options: dict[str, Any]) -> None:
        going_on = options["resume"] is not None or self.rescore is not None
        drawn = options["from_ledger"]
        if drawn and (self.suites or going_on or not options["task"]):
            raise click.UsageError("--from-ledger takes --task NAME, and no suite or run.", ctx)
        if not self.suites and not going_on and not drawn:
            raise click.UsageError("Name a suite, --from-ledger, or a run with --resume or --rescore.", ctx)
        if len(self.suites) > 1 and going_on:
            raise click.UsageError("One run at a time can be resumed or scored anew.", ctx)
        if not going_on and len(self.tiers) < 2:
            raise click.UsageError("Name two tiers or more: --tiers haiku,sonnet.", ctx)
        for word, low, high in (("margin", 0, 1), ("alpha", 0, 0.5)):
            value = options[word]
            if value is not None and not low < value < high:
                raise click.UsageError(f"--{word} {value} cannot be judged: above {low}, below {high}.", ctx)
        if options["key"] and not options["base_url"] and not going_on:
            raise click.UsageError("--key belongs to --base-url.", ctx)

    def run(self) -> list[Done]:
        """Every suite's evaluation, in turn."""
        if self.rescore is not None:
            return [asyncio.run(rescore(self.rescore, self.options, self._aside))]
        found = []
        if len(self.suites) > 1:
            tests = len(self.suites) * (len(self.tiers) - 1)
            self.options = msgspec.structs.replace(self.options, tests=tests)
        try:
            for suite in self.suites or (None,):
                found.append(self._one(suite))
                self._count(found[-1].spent_pico)
        except KeyboardInterrupt:
            self._aside("tierwise: The run was interrupted. Go on with `tierwise eval --resume`.")
            raise
        if len(found) > 1 and not self.plan_only:
            held = holm_over_suites(
                [one for done in found if (one := done.alone) is not None],
                [done.pairs for done in found],
            )
            found = [_together(done, one) for done, one in zip(found, held, strict=True)]
        return found

    def _count(self, spent_pico: int) -> None:
        """The suites share one cost limit."""
        limit = self.options.cost_limit_pico
        if limit is not None:
            left = max(0, limit - spent_pico)
            self.options = msgspec.structs.replace(self.options, cost_limit_pico=left)

    def _aside(self, line: str) -> None:
        click.echo(line, err=True)

    def _one(self, suite: Path | None) -> Done:
        progress = Progress(quiet=self.as_object and not Console(stderr=True).is_terminal)
        done = interruptible.run(carry_out(suite, self.tiers, self.options, progress))
        if self.plan_only and done.plan is not None:
            self._plan(done.plan)
        return done

    def _plan(self, plan: Plan) -> None:
        if self.as_object:
            click.echo(msgspec.json.encode(plan).decode())
        elif not self.options.resume:
            for line in plan_lines(plan):
                self.console.print(line)

    def write(self, found: list[Done]) -> None:
        """The reports asked for."""
        evaluations = [one for done in found if (one := done.evaluation) is not None]
        if self.as_object:
            objects = [as_json(one) for one in evaluations]
            whole = (
                objects[0] if len(objects) == 1 else {"evaluations": objects, "decision": joint(evaluations)}
            )
            click.echo(json.dumps(whole, ensure_ascii=False))
        else:
            for one in evaluations:
                self._show(one)
        if self.markdown is not None:
            _save(self.markdown, "\n\n".join(markdown_report(one) for one in evaluations))
        if self.html is not None:
            _save(self.html, html_report(found))

    def _show(self, one: Evaluation) -> None:
        self.console.print()
        self.console.print(headline(one), style="bold", markup=False)
        self.console.print(self._tiers([short_row(tier) for tier in one.tiers]))
        if one.judge is not None:
            self.console.print(judge_line(one.judge), markup=False)
        for each in one.comparisons:
            self.console.print()
            self.console.print(comparison_title(each), markup=False)
            for name, value in comparison_rows(each, one):
                self._wrapped(f"  {name:<14} {value}", 17)
            for reason in each.verdict.reasons:
                self._wrapped(f"  {reason}", 2)
        for note in one.notes:
            self._wrapped(f"note: {note}", 6)
        self.console.print(f"run {one.run}", markup=False)
        if one.decision != "not_enough":
            task = "" if one.suite.task else " --task NAME"
            self.console.print(f"To make it a rule: tierwise policy apply {one.run}{task}", markup=False)

    def _tiers(self, rows: list[list[str]]) -> Table:
        """The tiers' figures. Where they do not fit, intervals go to lines of their own and names are broken:
        no figure is cut.
        """
        widths = (max(map(cell_len, column)) + 2 for column in zip(SHORT_HEADS, *rows, strict=True))
        narrow = sum(widths) - 2 > self.console.width
        table = Table(box=None, pad_edge=False)
        for head in SHORT_HEADS:
            name = head == "tier"
            table.add_column(head, justify="left" if name else "right", overflow="fold", no_wrap=not name)
        for row in rows:
            cells = [cell.replace(" (", "\n(") if narrow else cell for cell in row[1:]]
            table.add_row(*(cell.replace("[", "\\[") for cell in (row[0], *cells)))
        return table

    def _wrapped(self, text: str, indent: int) -> None:
        """A line broken at the console's width, its further lines set in."""
        for line in textwrap.wrap(text, self.console.width, subsequent_indent=" " * indent):
            self.console.print(line, markup=False)


def exit_code(found: list[Evaluation]) -> int:
    """0 switch, 3 keep, 4 not enough; of several suites the most careful one."""
    return EXIT_CODES[joint(found)]


def joint(found: list[Evaluation]) -> Any:
    """switch when every suite says so, else not_enough when any does, else keep."""
    decisions = {one.decision for one in found}
    if decisions == {"switch"}:
        return "switch"
    return "not_enough" if "not_enough" in decisions else "keep"


def _options(options: dict[str, Any]) -> Options:
    given = {name: value for name, value in options.items() if value is not None}
    prompt = str(given.get("prompt", ""))
    if prompt and len(prompt) < 500 and Path(prompt).is_file():
        given["prompt"] = read_text(Path(prompt))
    key = str(given.get("key", ""))
    if key.startswith("env:"):
        secret = os.environ.get(key.removeprefix("env:"))
        if not secret:
            raise ConfigError(f"{key} is not set.", "Export it, or give the key itself.")
        given["key"] = secret
    for word in ("config", "calibrate"):
        if word in given:
            given[word] = str(given[word])
    if "rubric" in given:
        given["rubric"] = _rubric(given["rubric"])
    return msgspec.convert(given, Options)


def _rubric(path: Path) -> str:
    text = read_text(path).strip()
    if not text:
        raise SuiteError(f"{path} is empty.", "Say in it what a good answer is.")
    return text


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TierwiseError(f"{path} cannot be written: {error}.", "Check the folder.") from None
