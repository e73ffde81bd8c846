"""A copy of a SQLite ledger, or of another database beside it, taken while it is written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ...errors import BadRequest, ConfigError, StoreError
from ..location import is_shared, present_path
from .journal import last_event
from .migrations import require_known
from .rollup import read_only, unreadable


def back_up(url: str, target: Path) -> int:
    """Copies the ledger at `url` to the new file `target`, all at one instant, and gives the number of its
    last event. The server may go on: nobody waits, and its commits during the copy are not in it. A ledger of
    an older shape is copied as it is: a backup is due before an upgrade changes it.

    Raises BadRequest where `target` exists, ConfigError for Postgres, StoreError.
    """
    if is_shared(url):
        raise ConfigError(
            "A Postgres ledger is backed up by its own means.",
            "Use pg_dump --schema=tierwise --format=custom --file=FILE DATABASE, a snapshot, or a standby.",
        )
    with _copied(present_path(url), target) as copy:
        require_known(copy)
        return last_event(copy)[0]


def copy_database(source: Path, target: Path) -> None:
    """Copies the SQLite database in `source` to the new file `target` in the same way, whatever is in it."""
    with _copied(source, target):
        pass


@contextmanager
def _copied(source: Path, target: Path) -> Iterator[sqlite3.Connection]:
    """The copy, as a with block; it is at `target` once the block ended well."""
    if target.exists():
        raise BadRequest(f"{target} exists.", "Give another name, or remove it.")
    part = target.with_name(f".{target.name}.part")
    try:
        # The copy holds key digests too: this user only.
        os.close(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
        with closing(read_only(source)) as original, closing(sqlite3.connect(part)) as copy:
            # In one step, so at one instant: in several, a commit in between would begin it anew.
            original.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            yield copy
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)
    except sqlite3.Error as error:
        if not os.access(source.parent, os.W_OK):
            raise unreadable(source, error) from None
        raise StoreError(
            f"{source} cannot be copied: {error}.", "Check both files and their disks."
        ) from None
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or error}.", "Check its folder and disk."
        ) from None
    finally:
        with suppress(OSError):
            os.unlink(part)
