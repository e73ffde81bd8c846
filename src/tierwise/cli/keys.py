"""`tierwise keys`: make, list and revoke callers' keys, with the server up or down.

Whoever owns the ledger does it: this command when no server runs, else the server, asked at its control port.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import click

from ..clock import now_us, rfc3339
from ..errors import BadRequest, StoreError, StoreLocked, TierwiseError
from ..ledger import Announcement, Balance, announcement, apply_local, open_ledger, read_ledger
from ..ledger.local import BUDGETS, KEYS, REVOKE, TOKEN_HEADER
from ..ledger.location import is_shared, present_path
from ..money import exact_usd, usd_text
from ..nouns import Key
from .ledger import database_options, database_url
from .ledger_table import print_table, short_name, table_width, wide_console
from .values import TEXT, USD, ZONE

WAIT_S = 5.0
_ANSWER = 1 << 20


class Refused(TierwiseError):
    """What the running server said, in its words."""


def administer(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Does a local command on the ledger at `url` and gives the reply.

    Directly when no process owns the ledger; else by its owner, which is waited for up to 5 s while it
    starts. Raises StoreLocked when the owner cannot be asked, and whatever the command itself raises.
    """
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest(
            "A name holds bytes that are not UTF-8.", "Look at the terminal's encoding."
        ) from None
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            return _here(url, path, body)
        except StoreLocked:
            owner = announcement(url)
            if owner is not None and owner.admin_url:
                return ask_owner(owner, path, body)
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


@click.group()
def command() -> None:
    """Make, list and revoke the keys callers use, with the server up or down."""


@command.command(epilog="Example: tierwise keys create team-a --budget-usd 25 --period month --rpm 600")
@click.argument("name")
@database_options
@click.option("--budget-usd", type=USD, metavar="X", help="Hard cap in dollars on what this key may spend.")
@click.option("--period", type=click.Choice(["total", "day", "week", "month"]), help="What the cap is for.")
@click.option("--zone", type=ZONE, help="Time zone in which a day begins, such as Europe/Berlin.")
@click.option("--rpm", type=click.IntRange(min=1), metavar="N", help="Requests a minute.")
@click.option("--tpm", type=click.IntRange(min=1), metavar="N", help="Tokens a minute.")
@click.option("--max-concurrent", type=click.IntRange(min=1), metavar="N", help="Calls at the same time.")
@click.option("--project", type=TEXT, metavar="P", help="The project it is counted to.")
@click.option("--strict", is_flag=True, help="Refuse calls a dialect cannot carry whole.")
@click.option("--json", "as_json", is_flag=True, help='Print {"id", "key"}.')
def create(name: str, db: str | None, config: Path | None, *, as_json: bool, **terms: Any) -> None:
    """Make a key called NAME and print its secret, once: only a digest is kept."""
    if terms["budget_usd"] is None and (terms["period"] or terms["zone"]):
        raise click.UsageError("--period and --zone are of a budget. Give --budget-usd X.")
    body = {"name": name} | {term: said for term, said in terms.items() if said}
    made = administer(database_url(db, config), KEYS, body)
    if as_json:
        click.echo(json.dumps({"id": made["id"], "key": made["key"]}))
    else:
        click.echo(f"{made['key']}\n{made['id']} is its id. The key is not shown again.")


@command.command("list", epilog="Example: tierwise keys list --json")
@database_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_keys(db: str | None, config: Path | None, as_json: bool) -> None:
    """List every key: limits, budget, whether it is revoked. Secrets are not known."""
    reader = read_ledger(database_url(db, config))
    balances = {balance.budget.scope: balance for balance in reader.balances()}
    rows = [_listed(key, balances.get(f"key:{key.id}")) for key in reader.keys()]  # noqa: SIM118  no mapping
    if as_json:
        click.echo(json.dumps(rows))
    elif rows:
        _show(rows)
    else:
        click.echo("No keys yet: tierwise keys create NAME")


@command.command(epilog="Example: tierwise keys revoke team-a")
@click.argument("id")
@database_options
@click.option("--json", "as_json", is_flag=True, help='Print {"id", "name", "revoked"}.')
def revoke(id: str, db: str | None, config: Path | None, as_json: bool) -> None:
    """Revoke a key by its id or name, or by the beginning of either if only one matches. At once."""
    done = administer(database_url(db, config), REVOKE, {"id": id})
    click.echo(json.dumps(done) if as_json else f"revoked {done['id']} ({done['name']})")


def _here(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    if path not in (KEYS, BUDGETS) and not is_shared(url):
        present_path(url)  # a file made anew has nothing to revoke, remove or forget
    ledger = open_ledger(url, upgrade=False)
    try:
        return apply_local(ledger, path, body)
    finally:
        asyncio.run(ledger.shutdown())


def ask_owner(owner: Announcement, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The reply of the ledger's owner, straight from this machine: no proxy sees the token."""
    # The address comes from a lock file that only this user can write.
    request = urllib.request.Request(  # noqa: S310
        owner.admin_url.rstrip("/") + path,
        json.dumps(body).encode(),
        {"content-type": "application/json", TOKEN_HEADER: owner.token},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as reply:
            done = json.loads(reply.read(_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error.code, error.read(_ANSWER)) from None
    except (OSError, ValueError) as error:
        raise StoreError(
            f"The server (process {owner.pid}) did not answer at {owner.admin_url}: {error}.",
            "Look at its log, or stop it and try again.",
        ) from None
    if not isinstance(done, dict):
        raise StoreError(f"The server at {owner.admin_url} answered something else.", "Is it tierwise?")
    return done


def _refusal(status: int, body: bytes) -> Refused:
    try:
        told = json.loads(body)["error"]
        return Refused(str(told["message"]), str(told.get("hint") or ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refused(f"The server answered {status}.", "Look at its log.")


def _listed(key: Key, balance: Balance | None) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "project": key.project,
        "rpm": key.rpm,
        "tpm": key.tpm,
        "max_concurrent": key.max_concurrent,
        "strict": key.strict,
        "created": rfc3339(key.created_us or now_us()),
        "revoked": None if key.revoked_us is None else rfc3339(key.revoked_us),
        "budget_pico": balance.budget.cap_pico if balance else None,
        "period": balance.budget.period if balance else None,
        "spent_pico": balance.spent_pico if balance else None,
        "reserved_pico": balance.reserved_pico if balance else None,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    headings = ("id", "name", "ends in", "limits", "budget left")
    told = [_told(row) for row in rows]
    console = wide_console()
    if table_width(headings, told) <= console.width:
        print_table(headings, told, left=len(headings))
        return
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(
            heading, no_wrap=heading == "id", overflow="ellipsis" if heading == "name" else "fold"
        )
    for row in told:
        table.add_row(*map(Text, row))
    console.print(table)


def _told(row: dict[str, Any]) -> tuple[str, ...]:
    limits = [f"{row[name]} {name}" for name in ("rpm", "tpm", "max_concurrent") if row[name]]
    left = ""
    if row["budget_pico"] is not None:
        amount = row["budget_pico"] - row["spent_pico"] - row["reserved_pico"]
        left = f"{usd_text(amount)} of {exact_usd(row['budget_pico'])} {row['period']}"
    state = "revoked" if row["revoked"] else ", ".join(limits)
    return row["id"], short_name(row["name"]), row["hint"], state, left
