"""`tierwise serve` without its rows, for the benchmark of the ledger only: what a call costs when nothing is
written down. `python -m benchmarks.unrecorded [options of tierwise serve]`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable

import tierwise.serve
from tierwise.cli.serve import command
from tierwise.ledger import Ledger
from tierwise.ledger.sqlite.store import SqliteStore
from tierwise.nouns import Close, Open


class Unrecorded(SqliteStore):
    """A store that keeps keys, and says of every row that it is written."""

    def open(self, row: Open) -> Awaitable[None]:
        """Nothing."""
        return _done()

    def close(self, row: Close) -> Awaitable[None]:
        """Nothing."""
        return _done()

    def roll(self) -> bool:
        """Nothing."""
        return False


def _done() -> Awaitable[None]:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.set_result(None)
    return future


if __name__ == "__main__":
    tierwise.serve.open_ledger = lambda url: Ledger(Unrecorded(url), os.environ)  # type: ignore[attr-defined]
    command()
