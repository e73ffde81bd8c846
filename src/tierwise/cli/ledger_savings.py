"""`tierwise ledger report --savings` and `--waste`: what routing saved, net; and what bought nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from msgspec import structs

from ..costing.savings import Baseline, Savings
from ..costing.waste import Waste
from ..judging.held import LEAST_IN_ARM, LEVEL, Caused, caused
from ..money import usd_text
from .ledger_table import print_table, short_name


def savings_json(made: Savings) -> dict[str, Any]:
    """Savings as JSON: pico-dollars; what is not known is null."""
    return {
        "served": made.served,
        "unpriced": made.unpriced,
        "overhead_pico": made.overhead,
        "against": {
            name: {**structs.asdict(against), "net_saved_pico": made.net_pico(against)}
            for name, against in (("asked", made.asked), ("reference", made.reference))
        },
        "holdout": {
            task: structs.asdict(caused(arms.strata, arms.beside_pico)) for task, arms in made.arms.items()
        },
    }


def show_savings(made: Savings) -> None:
    """Prints what was saved against each baseline, net, and what is not known."""
    for name, against in (("the model asked for", made.asked), ("the reference tier", made.reference)):
        _show_against(name, against, made)
    for name, pico in made.overhead.items():
        click.echo(f"overhead: {usd_text(pico)} on {short_name(name)}")
    if made.unpriced:
        click.echo(f"unpriced: {made.unpriced} calls are in no sum")
    if made.asked.calls or made.reference.calls:
        click.echo("baselines price the tokens recorded; other model families count otherwise")
    for task, arms in made.arms.items():
        _show_causal(task, caused(arms.strata, arms.beside_pico), arms.beside_pico)
    if not made.arms:
        click.echo("no call was held out at random: this is arithmetic, not a causal estimate")


def show_waste(found: list[Waste]) -> None:
    """Prints every kind of waste with example exchanges."""
    if not found:
        click.echo("no waste found")
        return
    rows = [
        (one.kind, str(one.calls), usd_text(one.pico) + ("*" if one.unpriced else ""), _certainty(one))
        for one in found
    ]
    print_table(("waste", "calls", "spent", ""), rows)
    for one in found:
        click.echo(f"{one.kind}: {one.words}")
        click.echo(f"  e.g. {', '.join(one.examples)}")
    if any(one.unpriced for one in found):
        click.echo("* some of these calls are unpriced and in no sum")


def waste_json(found: list[Waste]) -> list[Mapping[str, Any]]:
    """Waste as JSON: amounts in pico-dollars."""
    return [structs.asdict(one) for one in found]


def _certainty(one: Waste) -> str:
    return "" if one.certain else "if good enough" if one.kind == "over_tiered" else "likely"


def _show_against(name: str, against: Baseline, made: Savings) -> None:
    net = made.net_pico(against)
    if net is None:
        click.echo(f"against {name}: unknown, no call has a known cost there")
        return
    gross = against.baseline_pico - against.cost_pico
    click.echo(f"against {name}: {usd_text(net)} saved, net ({against.calls} of {made.served} calls)")
    click.echo(
        f"  {usd_text(against.baseline_pico)} less {usd_text(against.cost_pico)} is {usd_text(gross)}, "
        f"less {usd_text(made.overhead_pico)} overhead"
    )


def _show_causal(task: str, found: Caused, beside_pico: int) -> None:
    where = f"task {short_name(task)}: {found.held} calls held out, {found.routed} routed"
    if found.interval is None:
        click.echo(f"{where}: not enough for an interval (each needs {LEAST_IN_ARM})")
        return
    low, high = found.interval
    saved = usd_text(found.saved_pico or 0)
    net = f", net of {usd_text(beside_pico)} spent beside serving it" if beside_pico else ""
    click.echo(f"{where}: routing saved {saved} ({LEVEL:.0%}: {usd_text(low)} to {usd_text(high)}){net}")
