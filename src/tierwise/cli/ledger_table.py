"""Tables of amounts: as wide as the terminal, 80 columns at least, no control characters, no amount cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH = 80
_LEAST = 8
_MOST = 10_000


def wide_console() -> Console:
    """A console as wide as the terminal, 80 columns at least: a narrower terminal wraps its lines, where rich
    would leave columns out.
    """
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(WIDTH, console.width)
    return console


def print_whole(table: Table, console: Console) -> None:
    """Prints `table` with every column, also where together they are wider than the console."""
    needed = console.measure(table, options=console.options.update(max_width=_MOST)).maximum
    console.width = max(console.width, needed)
    console.print(table)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Prints rows under headings: the first `left` columns are text, cut to the room there is; the others are
    amounts.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    widths = [max(len(heading), *(cell_len(row[n]) for row in rows), 0) for n, heading in enumerate(headings)]
    console = wide_console()
    room = max(console.width - sum(widths[1:]) - 2 * (len(headings) - 1), _LEAST)
    table = Table(box=None, pad_edge=False)
    for n, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="left" if n < left else "right",
            no_wrap=True,
            min_width=widths[n] if n else min(widths[n], room),
        )
    for row in rows:
        table.add_row(*map(Text, (fitted(row[0], room), *row[1:])))
    print_whole(table, console)


def fitted(name: str, room: int) -> str:
    """`name` in at most `room` columns: where it is too long its beginning, or, of `provider/model`, its end,
    by which models differ."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(name) <= room:
        return name
    if "/" not in name or " " in name:
        return set_cell_size(name, room - 1) + "…"
    while cell_len(name) > room - 1:
        name = name[1:]
    return "…" + name


def short_name(name: str) -> str:
    """`name` fit for a terminal: control characters replaced, `(none)` when empty."""
    return "".join(c if c.isprintable() else "�" for c in name) or "(none)"
