"""Tables of amounts: as wide as the terminal, 80 columns at least, no control characters, no amount cut."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80
_LEAST = 8


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Prints rows under headings: the first `left` columns are text, cut to the room there is; the others are
    amounts.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = [max(len(heading), *(cell_len(row[n]) for row in rows), 0) for n, heading in enumerate(headings)]
    console = Console(highlight=False)
    room = max(max(WIDTH, console.width) - sum(widths[1:]) - 2 * (len(headings) - 1), _LEAST)
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
    console.print(table)


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
