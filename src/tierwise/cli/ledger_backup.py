"""`tierwise ledger backup`: a copy of the ledger while it is written."""

from __future__ import annotations

from pathlib import Path

import click

from ..batches.engine import file_of
from ..errors import BadRequest
from ..ledger.sqlite.backup import back_up, copy_database
from .ledger import database_options, database_url


@click.command(epilog="Example: tierwise ledger backup ledger-2026-11-22.db")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@database_options
def command(file: Path, db: str | None, config: Path | None) -> None:
    """Copy a SQLite ledger to FILE, at one instant, with the server up or down. FILE must not exist yet.

    Where batches are kept, they are copied too, beside FILE: backup.db and backup-batches.db.
    """
    url = database_url(db, config)
    copy = file_of(f"sqlite:///{file}")
    if copy.exists():
        # Found before anything is copied, and also where there are no batches: it would pass for this copy's.
        raise BadRequest(f"{copy} exists, of another copy.", "Give FILE another name, or remove it.")
    # The ledger first: of a call made between the two copies the batches know, so that none is made again.
    last = back_up(url, file)
    click.echo(f"{last} events are in {file}. Check it: tierwise ledger verify --db sqlite:///{file}")
    batches = file_of(url)
    if batches.exists():
        copy_database(batches, copy)
        click.echo(f"The batches are in {copy}.")
