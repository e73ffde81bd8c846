"""Tables of amounts: as wide as the terminal, 80 columns at least, no control characters, no amount cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 80
_LEAST = len("2026-11-22")


def wide_console() -> Console:
    """A console as wide as the terminal, 80 columns at least: a narrower terminal wraps its lines, where rich
    would leave columns out.
    """
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(WIDTH, console.width)
    return console


def print_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1, total: bool = False
) -> None:
    """Prints rows under headings: the first `left` columns are text, of which the first is cut to the room
    there is; the others are amounts. `total`: the last row is of all others.

    Plain lines, without rich: a report may have a hundred thousand.
    """
    widths = _widths(headings, rows)
    width, others = wide_console().width, sum(widths[1:])
    gap = 2 if others + 2 * (len(widths) - 1) + _LEAST <= width else 1
    widths[0] = min(widths[0], max(width - others - gap * (len(widths) - 1), _LEAST))
    for number, row in enumerate((headings, *rows)):
        cells = [
            cell + " " * (widths[n] - _width(cell)) if n < left else " " * (widths[n] - _width(cell)) + cell
            for n, cell in enumerate((fitted(row[0], widths[0]), *row[1:]))
        ]
        line = (" " * gap).join(cells).rstrip()
        click.echo(click.style(line, bold=True) if number == 0 or (total and number == len(rows)) else line)


def table_width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How wide the table is with nothing cut."""
    return sum(_widths(headings, rows)) + 2 * (len(headings) - 1)


def _widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(_width, column)) for column in zip(headings, *rows, strict=True)]


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fitted(name: str, room: int) -> str:
    """`name` in at most `room` columns: where it is too long its beginning, or, of `provider/model`, its end,
    by which models differ."""
    if _width(name) <= room:
        return name
    from rich.cells import cell_len, set_cell_size

    if "/" not in name or " " in name:
        return set_cell_size(name, room - 1) + "…"
    while cell_len(name) > room - 1:
        name = name[1:]
    return "…" + name


def short_name(name: str) -> str:
    """`name` fit for a terminal: control characters replaced, `(none)` when empty."""
    return "".join(c if c.isprintable() else "�" for c in name) or "(none)"


def ms(micros: int | None) -> str:
    """Microseconds as whole milliseconds, `n/a` for None."""
    return "n/a" if micros is None else f"{micros / 1000:.0f} ms"
