"""`tierwise budgets`: hard caps on keys, projects, tasks and tags, with the server up or down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..clock import rfc3339
from ..ledger import Balance, read_ledger
from ..ledger.local import BUDGETS, REMOVE_BUDGET
from ..ledger.periods import FOREVER_US
from ..money import exact_usd, usd_text
from .keys import administer
from .ledger import database_options, database_url
from .ledger_table import print_table, short_name
from .values import USD, ZONE


@click.group()
def command() -> None:
    """Set, list and remove hard caps on what may be spent, with the server up or down.

    SCOPE is key:ID (or key:NAME), project:NAME, task:NAME or tag:NAME.
    """


@command.command("set", epilog="Example: tierwise budgets set project:web 25 --period month")
@click.argument("scope")
@click.argument("usd", type=USD)
@database_options
@click.option(
    "--period", type=click.Choice(["total", "day", "week", "month"]), default="total", show_default=True,
    help="What the cap is for.",
)  # fmt: skip
@click.option(
    "--zone", type=ZONE, default="UTC", show_default=True,
    help="Time zone in which a day begins, such as Europe/Berlin.",
)  # fmt: skip
@click.option(
    "--soft-usd", type=USD, metavar="X", help="Dollars from which a notice is given, beside [alerts]."
)
@click.option("--json", "as_json", is_flag=True, help='Print {"scope", "note"}.')
def set_(scope: str, usd: str, db: str | None, config: Path | None, *, as_json: bool, **terms: Any) -> None:
    """Cap what SCOPE may spend at USD dollars, in place of any budget it has. In force at once.

    A cap below what is spent is taken: its calls are refused until the period ends or the cap is raised.
    """
    body = {"scope": scope, "cap_usd": usd} | {term: said for term, said in terms.items() if said}
    done = administer(database_url(db, config), BUDGETS, body)
    if as_json:
        click.echo(json.dumps(done))
    else:
        click.echo(f"{done['scope']} is capped." + (f"\n{done['note']}" if done["note"] else ""))


@command.command("list", epilog="Example: tierwise budgets list --json")
@database_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_budgets(db: str | None, config: Path | None, as_json: bool) -> None:
    """List every budget: its cap, what is spent, reserved and left, and when it resets."""
    reader = read_ledger(database_url(db, config))
    names = {f"key:{key.id}": f"key:{key.name}" for key in reader.keys()}  # noqa: SIM118  no mapping
    balances = reader.balances()
    if as_json:
        click.echo(json.dumps([listed(balance) for balance in balances]))
    elif balances:
        _show(balances, names)
    else:
        click.echo("No budgets yet: tierwise budgets set SCOPE USD")


@command.command(epilog="Example: tierwise budgets remove project:web")
@click.argument("scope")
@database_options
@click.option("--json", "as_json", is_flag=True, help='Print {"scope", "removed"}.')
def remove(scope: str, db: str | None, config: Path | None, as_json: bool) -> None:
    """Take SCOPE's cap out of force, at once. What it spent stays in the ledger."""
    done = administer(database_url(db, config), REMOVE_BUDGET, {"scope": scope})
    click.echo(json.dumps(done) if as_json else f"{done['scope']} has no cap any more.")


def listed(balance: Balance) -> dict[str, Any]:
    """A budget and where it stands, pico-dollars; `resets` is None for a budget without end."""
    budget = balance.budget
    return {
        "scope": budget.scope,
        "cap_pico": budget.cap_pico,
        "spent_pico": balance.spent_pico,
        "reserved_pico": balance.reserved_pico,
        "left_pico": balance.left_pico,
        "soft_pico": budget.soft_pico,
        "period": budget.period,
        "zone": budget.zone,
        "resets": None if balance.end_us >= FOREVER_US else rfc3339(balance.end_us),
    }


def _show(balances: list[Balance], names: dict[str, str]) -> None:
    rows = []
    for balance in balances:
        budget = balance.budget
        amounts = (balance.spent_pico, balance.reserved_pico, balance.left_pico)
        rows.append([
            short_name(names.get(budget.scope, budget.scope)),
            f"{exact_usd(budget.cap_pico)} {budget.period}",
            *(usd_text(amount, 4) for amount in amounts),
            "never" if balance.end_us >= FOREVER_US else rfc3339(balance.end_us)[:16] + "Z",
        ])  # fmt: skip
    print_table(("scope", "cap", "spent", "reserved", "left", "resets"), rows)
