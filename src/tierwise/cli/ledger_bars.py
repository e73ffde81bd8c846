"""The report's shares as bars and its days as a sparkline, in 80 columns."""

from __future__ import annotations

from ..ledger import Report
from ..money import usd_text
from .bars import bar, sparkline
from .ledger_table import WIDTH, fitted, short_name, wide_console

MOST = 10
DAYS = 60
_NAME, _BAR = 22, 36


def show_bars(made: Report, by_day: Report | None) -> None:
    """Prints each group's share of the spend, the dearest first, and the spend of the last days."""
    from rich.cells import set_cell_size
    from rich.text import Text

    console = wide_console()
    whole = made.all.spend_pico
    if whole <= 0:
        return
    if made.by != "day" and len(made.lines) > 1:
        console.print(Text("share of the spend", "bold"))
        for line in made.lines[:MOST]:
            if line.unpriced and not line.spend_pico:
                continue
            name = set_cell_size(fitted(short_name(line.label), _NAME), _NAME)
            share = max(line.spend_pico, 0) / whole
            drawn = Text(f"{bar(min(share, 1.0), _BAR):<{_BAR}}", "cyan")
            amount = f"{usd_text(line.spend_pico):>{WIDTH - _NAME - _BAR - 9}}"
            console.print(Text.assemble(name, " ", drawn, f" {share:5.1%} ", amount))
        if len(made.lines) > MOST:
            console.print(Text(f"and {len(made.lines) - MOST} more", "dim"))
    days = by_day.lines[-DAYS:] if by_day is not None else ()
    if len(days) > 1:
        spent = [line.spend_pico for line in days]
        console.print(Text.assemble("by day ", (sparkline(spent), "cyan")))
        console.print(Text(f"{days[0].group} to {days[-1].group}, at most {usd_text(max(spent))} a day"))
