"""`tierwise ledger backup`: a copy of the ledger while it is written."""

from __future__ import annotations

from pathlib import Path

import click

from ..ledger.backup import back_up
from .ledger import database_options, database_url


@click.command(epilog="Example: tierwise ledger backup ledger-2026-11-22.db")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@database_options
def command(file: Path, db: str | None, config: Path | None) -> None:
    """Copy a SQLite ledger to FILE, at one instant, with the server up or down. FILE must not exist yet."""
    last = back_up(database_url(db, config), file)
    click.echo(f"{last} events are in {file}. Check it: tierwise ledger verify --db sqlite:///{file}")
