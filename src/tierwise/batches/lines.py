"""Lines of results, as they are kept: one to a row, read a piece at a time."""
# ruff: noqa: S608  only our own words are put together; what callers say comes as parameters

from __future__ import annotations

from typing import Any

from .schema import Database

PIECE_BYTES = 1 << 20
"""How much of a batch's results is read at once."""
_MOST_LINES = 1000
_LAST = 2**31 - 1
_DONE = ("succeeded", "errored", "canceled", "expired")
Stretch = tuple[str, str, int, int]
"""A batch, the part of its results, and the numbers of its rows: after the first, up to the second."""
_PARTS = {"": _DONE, "output": _DONE[:1], "error": _DONE[1:]}


def lines_of(database: Database, batch: str, part: str) -> tuple[int, int]:
    """How many lines a part of a batch's results has, "" for all of them; and their bytes."""
    what = "count(*), coalesce(sum(length(result) + 1), 0)"
    [(count, size)] = _asked(database, what, (batch, part, -1, _LAST))
    return int(count), int(size)


def piece_of(batch: str, part: str, after: int, database: Database, now: int) -> tuple[int, list[bytes]]:
    """The next lines after the row of that number, PIECE_BYTES at most or one; and the last one's number.

    Their sizes are read first.
    """
    last, size = after, 0
    next_ones = f"ORDER BY n LIMIT {_MOST_LINES}"
    for n, length in _asked(database, "n, length(result)", (batch, part, after, _LAST), next_ones):
        size += length + 1
        if size > PIECE_BYTES and last > after:
            break
        last = n
    found = _asked(database, "n, result", (batch, part, after, last), "ORDER BY n")
    return last, [bytes(result) + b"\n" for _, result in found]


def forget_lines(database: Database, batch: str, part: str) -> None:
    """Deletes a part of a batch's results; what became of its rows stays known."""
    states = _PARTS[part]
    database.count(
        f"UPDATE batch_rows SET result = NULL WHERE batch = ? AND state IN ({', '.join('?' * len(states))})",
        (batch, *states),
    )


def _asked(database: Database, what: str, where: Stretch, order: str = "") -> list[tuple[Any, ...]]:
    batch, part, after, last = where
    states = _PARTS[part]
    return database.run(
        f"SELECT {what} FROM batch_rows WHERE batch = ? AND n > ? AND n <= ? AND result IS NOT NULL"
        f" AND state IN ({', '.join('?' * len(states))}) {order}",
        (batch, after, last, *states),
    )
