"""`tierwise cache show` and `clear`: what the response cache did, and how to empty it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..ledger import Line, read_ledger
from ..ledger.local import CLEAR_ANSWERS
from ..money import usd_text
from .keys import administer
from .ledger import database_options, database_url
from .ledger_table import print_table
from .values import WHEN, span_of


@click.command("show", epilog="Example: tierwise cache show --since 7d")
@database_options
@click.option("--since", type=WHEN, help="Requests answered from then on: 7d, 24h, 2026-11-01.")
@click.option("--until", type=WHEN, help="Requests answered before then.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, amounts in pico-dollars.")
def show_hits(
    db: str | None, config: Path | None, *, since: str | None, until: str | None, as_json: bool
) -> None:
    """The response cache by task: requests, how many it answered, and what their calls would have cost."""
    made = read_ledger(database_url(db, config)).report("task", *span_of(since, until), "call")
    if as_json:
        click.echo(json.dumps({"tasks": [_object(line) for line in made.lines], "total": _object(made.all)}))
        return
    if not made.all.cached:
        click.echo("The response cache answered nothing in this span. See docs/response-cache.md.")
        return
    rows = [_cells(line) for line in (*made.lines, made.all) if line.cached]
    print_table(("task", "requests", "hits", "share", "saved"), rows)


@click.command("clear", epilog="Example: tierwise cache clear")
@database_options
@click.option("--json", "as_json", is_flag=True, help='Print {"cleared": true}.')
def clear(db: str | None, config: Path | None, as_json: bool) -> None:
    """Forget every answer the response cache keeps, at all replicas and in Valkey, within seconds.

    Replies to an Idempotency-Key stay.
    """
    done = administer(database_url(db, config), CLEAR_ANSWERS, {})
    click.echo(json.dumps(done) if as_json else "No answer kept until now will be given again.")


def _cells(line: Line) -> tuple[str, ...]:
    asked = line.calls + line.cached
    share, saved = f"{line.cached / asked:.0%}", usd_text(line.cached_saved_pico, 4)
    return (line.label or "(none)", str(asked), str(line.cached), share, saved)


def _object(line: Line) -> dict[str, str | int]:
    return {
        "task": line.group,
        "requests": line.calls + line.cached,
        "hits": line.cached,
        "saved_pico": line.cached_saved_pico,
    }
