"""Reports: Markdown for a pull request, and one HTML file that needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from ...judging import cases_text
from ...nouns import Case
from ..evaluation import Done
from ..results import Evaluation
from ..running.store import RunFolder
from ..running.tally import Differing
from .charts import cost_chart, difference_chart, latency_chart
from .wording import TIER_HEADS, comparison_rows, comparison_title, headline, judge_line, tier_row

_MOST_TIMES = 20_000
_LONGEST = 4000


class Side(Struct, frozen=True):
    """A Case the tiers were scored differently on, with both answers."""

    case: Case
    gap: Differing
    cheap: str
    reference: str


def markdown_report(one: Evaluation) -> str:
    """The evaluation as Markdown."""
    lines = [
        f"## {_cell(one.suite.name)}: {_cell(headline(one))}",
        "",
        f"{cases_text(one.n)}, suite `{one.suite.hash}`, prompt `{one.suite.prompt_hash or 'none'}`, "
        f"scorer `{_cell(one.suite.scored_by)}`, seed {one.seed}, run `{one.run}`, {one.created[:10]}.",
        "",
        f"| {' | '.join(TIER_HEADS)} |",
        "|---" * len(TIER_HEADS) + "|",
    ]
    lines += [f"| {' | '.join(_cell(cell) for cell in tier_row(tier))} |" for tier in one.tiers]
    if one.judge is not None:
        lines += ["", _cell(f"Scored by {judge_line(one.judge)}.")]
    for each in one.comparisons:
        lines += ["", f"### {_cell(comparison_title(each))}", "", "| | |", "|---|---|"]
        lines += [f"| {_cell(name)} | {_cell(value)} |" for name, value in comparison_rows(each, one)]
        lines += ["", *(f"- {_cell(reason)}" for reason in each.verdict.reasons)]
    if one.notes:
        lines += ["", *(f"> {_cell(note)}" for note in one.notes)]
    return "\n".join(lines) + "\n"


def html_report(found: Sequence[Done]) -> str:
    """One self-contained page for all suites; everything a model or a suite said is escaped."""
    pages = [_page(done) for done in found if done.evaluation is not None]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = resources.files(__package__).joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(pages=pages, heads=TIER_HEADS)


def _page(done: Done) -> dict[str, Any]:
    one = done.evaluation
    assert one is not None
    sides = _sides(done)
    # The charts escape every label themselves.
    return {
        "title": one.suite.name,
        "headline": headline(one),
        "decision": one.decision,
        "one": one,
        "judge": judge_line(one.judge) if one.judge is not None else "",
        "rows": [tier_row(tier) for tier in one.tiers],
        "comparisons": [
            {
                "title": comparison_title(each),
                "rows": comparison_rows(each, one),
                "reasons": each.verdict.reasons,
                "cheap": each.verdict.cheap,
                "sides": sides.get(each.verdict.cheap, []),
                "differing": each.disagreements,
            }
            for each in one.comparisons
        ],
        "difference": Markup(difference_chart(one)) if one.comparisons else "",  # noqa: S704
        "cost": Markup(cost_chart(one)),  # noqa: S704
        "latency": Markup(latency_chart(_times(done.folder))),  # noqa: S704
    }


def _times(folder: Path | None) -> dict[str, list[float]]:
    """Total times by tier, milliseconds; cached and failed calls left out."""
    found: dict[str, list[float]] = {}
    for record in RunFolder(folder).records() if folder else ():
        timed = not record.cached and record.trial.total_us
        if timed and record.trial.outcome in ("ok", "truncated", "refused"):
            times = found.setdefault(record.trial.tier, [])
            if len(times) < _MOST_TIMES:
                times.append(record.trial.total_us / 1000)
    return found


def _sides(done: Done) -> dict[str, list[Side]]:
    """The differing Cases with both answers, by cheap tier."""
    if done.folder is None or done.evaluation is None:
        return {}
    run = RunFolder(done.folder)
    wanted = {gap.case for gaps in done.differing.values() for gap in gaps}
    cases = {case.id: case for case in run.suite().cases if case.id in wanted}
    answers: dict[tuple[str, str], str] = {}
    for record in run.records():
        if record.trial.case in wanted and record.trial.repeat == 0:
            said = record.trial.answer or f"({record.trial.outcome})"
            answers[record.trial.case, record.trial.tier] = said[:_LONGEST]
    reference = done.evaluation.reference
    return {
        cheap: [
            Side(
                cases[gap.case],
                gap,
                answers.get((gap.case, cheap), ""),
                answers.get((gap.case, reference), ""),
            )
            for gap in gaps
        ]
        for cheap, gaps in done.differing.items()
    }


def _cell(text: str) -> str:
    """Text that cannot break out of a Markdown table or become markup."""
    text = text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return text.replace("\r", " ").replace("\n", " ").replace("`", "'")
