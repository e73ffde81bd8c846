"""What the demo tells: who was routed where and why, the bill, what else it would have cost, and that the
books balance."""

from __future__ import annotations

import csv
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tierwise.config import load
from tierwise.costing import PricedModel
from tierwise.ledger import read_ledger
from tierwise.money import usd_text
from tierwise.nouns import Usage

from ..finite import FiniteRange
from ..ledger_table import wide_console
from .traffic import Reply, jobs, run, tickets
from .world import World, world

_MODELS = {
    "haiku": "simulated/anthropic/claude-haiku-4",
    "sonnet": "simulated/anthropic/claude-sonnet-4.6",
    "opus": "simulated/anthropic/claude-opus-4.7",
}
# Every bucket that is billed, so that the bill can be worked out again from its table.
_SHOWN = (("input",), ("cache_read",), ("cache_write_5m", "cache_write_1h"), ("output",))


@click.command(epilog="Example: tierwise demo")
@click.option(
    "--speed",
    type=FiniteRange(min=0),
    default=50.0,
    show_default=True,
    help="How many times faster than published; 0: instant.",
)
def command(speed: float) -> None:
    """Run the main job here: simulator, gateway, 230 requests by the official SDKs, the bill. Everything is
    simulated."""
    console = Console()
    chosen, name = tickets()
    with tempfile.TemporaryDirectory(prefix="tierwise-demo-") as folder:
        labels = Path(folder) / "labels.csv"
        with labels.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "category"])
            rows.writerows((ticket.text, ticket.label) for ticket in chosen)
        with world(Path(folder), labels, speed) as running:
            work = jobs(running, chosen)
            console.print(
                f"{len(work)} requests, {len(chosen)} of them {name}. Every answer is [bold]simulated[/bold]."
            )
            replies = _send(work)
            _tell(console, replies, running, Path(folder))


def _send(work: list[Any]) -> list[Reply]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("sending", total=len(work))
        return list(run(work, lambda: progress.advance(bar)))


def _tell(console: Console, replies: list[Reply], running: World, folder: Path) -> None:
    wide_console().print(_routes(replies))
    rows = [row for row in read_ledger(running.db).rows() if row["event"] == "close"]
    wide_console().print(_bill(rows))
    _elsewhere(console, rows, folder)
    judged = [reply.right for reply in replies if reply.right is not None]
    console.print(
        f"Simulated accuracy on the tickets: {sum(judged)}/{len(judged)} on the cheap tier. "
        "Whether that is good enough is a question for `tierwise eval`."
    )
    problems = read_ledger(running.db).verify()
    if problems:
        console.print(f"[red]ledger verify: {problems[0]}[/red]")
        sys.exit(1)
    console.print(f"ledger verify: holds. {len(rows)} calls, each opened before it was sent and closed once.")


def _routes(replies: list[Reply]) -> Table:
    table = Table(title="Who was routed where, and why (simulated)", title_justify="left")
    for name in ("task", "tier", "calls", "reason"):
        table.add_column(name, justify="right" if name == "calls" else "left")
    counts = Counter((reply.task, reply.tier) for reply in replies)
    reasons = {(reply.task, reply.tier): reply.route for reply in replies}
    for (task, tier), count in counts.most_common():
        table.add_row(task, tier, str(count), reasons[task, tier])
    return table


def _bill(rows: list[dict[str, Any]]) -> Table:
    table = Table(title="The bill by tier (simulated tokens at published prices)", title_justify="left")
    for name in ("tier", "calls", "input", "cache read", "cache written", "output", "cost"):
        table.add_column(name, justify="left" if name == "tier" else "right")
    total = 0
    for tier in sorted({row["tier"] for row in rows}, key=list(_MODELS).index):
        mine = [row for row in rows if row["tier"] == tier]
        cost = sum(row["cost_pico"] for row in mine)
        total += cost
        tokens = [sum(row["usage"][bucket] for row in mine for bucket in buckets) for buckets in _SHOWN]
        table.add_row(tier, str(len(mine)), *(f"{amount:,}" for amount in tokens), usd_text(cost))
    table.add_row("all", str(len(rows)), *[""] * len(_SHOWN), usd_text(total), style="bold")
    return table


def _elsewhere(console: Console, rows: list[dict[str, Any]], folder: Path) -> None:
    """What the same tokens would have cost on one tier, and what the prompt cache saved."""
    catalog = load(folder / "tierwise.toml", {"TIERWISE_DEMO_KEY": "simulated"}).catalog
    spent = sum(row["cost_pico"] for row in rows)
    for tier in ("sonnet", "opus"):
        priced = PricedModel(catalog.models[_MODELS[tier]])
        other = sum(priced.cost(_usage(row), _DAY).pico or 0 for row in rows)
        console.print(
            f"{tier.capitalize()} for everything: {usd_text(other)}; routed: {usd_text(spent)}, "
            f"{100 * (other - spent) / other:.1f} % less for the same tokens."
        )
    saved = 0
    for row in rows:
        priced = PricedModel(catalog.models[row["model"]])
        usage = _usage(row)
        uncached = Usage(input=usage.prompt, output=usage.output)
        saved += (priced.cost(uncached, _DAY).pico or 0) - row["cost_pico"]
    console.print(f"Prompt caching saved {usd_text(saved)} of it, writes included.")


def _usage(row: dict[str, Any]) -> Usage:
    return Usage(**{name: row["usage"][name] for name in Usage.__struct_fields__ if name in row["usage"]})


# Any day on which the built-in prices hold: 2026-11-01.
_DAY = 1_793_491_200_000_000
