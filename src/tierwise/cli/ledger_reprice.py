"""`tierwise ledger reprice`: what the recorded usage would have cost under other prices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from ..costing.reprice import Repriced, Repricing, reprice
from ..costing.settled import Settled
from ..ledger import read_ledger
from ..money import pico_to_usd, usd_text
from .ledger import database_options, database_url
from .ledger_prices import pricer_of
from .ledger_table import print_table, short_name
from .unkeyed import settings_for_prices
from .values import WHEN, span_of

_BY = ("model", "task", "tier", "key", "day")


@click.command(epilog="Example: tierwise ledger reprice --model anthropic/claude-haiku-4 --since 30d")
@database_options
@click.option(
    "--catalog",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Prices of this tierwise.toml (default: the current configuration).",
)
@click.option("--model", "at_model", metavar="M", help="As if every call had gone to this model or tier.")
@click.option("--by", type=click.Choice(_BY), default="model", show_default=True, help="One line for each.")
@click.option("--since", type=WHEN, help="Calls closed from then on: 7d, 24h, 2026-11-01.")
@click.option("--until", type=WHEN, help="Calls closed before then.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with every figure.")
def command(db: str | None, config: Path | None, **options: Any) -> None:
    """Price the ledger's recorded usage again: under another catalog, or as if one model had served it.

    Each call is priced at its own day, by the tokens recorded. The ledger does not change. A call that has no
    price before or after is counted, and is in neither sum.
    """
    pricer = pricer_of(settings_for_prices(options["catalog"] or config), options["at_model"])
    reader = read_ledger(database_url(db, config))
    calls = reader.finished(*span_of(options["since"], options["until"]))
    by = options["by"]

    def group(call: Settled) -> str:
        return str(getattr(call, by))

    made = reprice(calls, pricer, group)
    if options["as_json"]:
        click.echo(msgspec.json.encode(repricing_json(made, by)).decode())
    else:
        show(made, by, options["at_model"])


def repricing_json(made: Repricing, by: str) -> dict[str, Any]:
    """The repricing as JSON: amounts in pico-dollars and exact decimal dollars."""
    return {"by": by, "lines": [_line(line) for line in made.groups], "total": _line(made.all)}


def show(made: Repricing, by: str, at_model: str | None) -> None:
    """Prints the table and, below it, what is not in it."""
    rows = [
        (
            short_name(line.group) if line is not made.all else "all",
            str(line.compared),
            usd_text(line.recorded_pico),
            usd_text(line.repriced_pico),
            usd_text(line.difference_pico),
            str(line.calls - line.compared),
        )
        for line in (*made.groups, made.all)
    ]
    print_table((by, "calls", "recorded", "repriced", "difference", "left out"), rows)
    total = made.all
    for what, count in (
        ("are unpriced in the ledger", total.unpriced_before),
        ("would be unpriced", total.unpriced_now),
        ("were cut off, so that their tokens are unknown", total.unknown),
    ):
        if count:
            click.echo(f"left out: {count} calls {what}")
    for reason, count in total.why.most_common(5):
        click.echo(f"  {count}: {reason}")
    if total.unpriced_before and total.found_pico:
        click.echo(f"calls unpriced in the ledger would cost {usd_text(total.found_pico)}")
    if total.estimated:
        click.echo(f"estimated: {total.estimated} calls have tokens the provider did not report")
    if at_model is not None:
        click.echo("tokens are those recorded; another model family counts the same text otherwise")


def _line(line: Repriced) -> dict[str, Any]:
    return {
        "group": line.group,
        "calls": line.calls,
        "compared": line.compared,
        "recorded_pico": line.recorded_pico,
        "repriced_pico": line.repriced_pico,
        "difference_pico": line.difference_pico,
        "recorded_usd": format(pico_to_usd(line.recorded_pico), "f"),
        "repriced_usd": format(pico_to_usd(line.repriced_pico), "f"),
        "difference_usd": format(pico_to_usd(line.difference_pico), "f"),
        "unpriced_before": line.unpriced_before,
        "unpriced_now": line.unpriced_now,
        "unpriced_before_found_pico": line.found_pico,
        "unknown": line.unknown,
        "estimated": line.estimated,
        "why_unpriced": dict(line.why),
    }
