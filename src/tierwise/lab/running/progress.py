"""Progress: a live view on a terminal, plain lines elsewhere; always on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.table import Table

from ...clock import tick_us
from ..telling.wording import money, plan_lines
from .plan import Plan
from .runner import Runner

_REFRESH_US = 250_000
_LINE_US = 5_000_000


class Progress:
    """Shows a run: done, errors, cost, running score per tier, and when it will be over. `quiet` shows
    nothing.
    """

    def __init__(self, console: Console | None = None, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True)
        self.quiet = quiet
        self._live: Live | None = None
        self._began_us = self._shown_us = 0
        self._before = 0

    def planned(self, plan: Plan, run: str) -> None:
        """Prints the plan."""
        if self.quiet:
            return
        for line in plan_lines(plan):
            self.console.print(line, highlight=False)
        self.console.print(f"run {run} (go on with --resume {run})", highlight=False)

    def began(self, runner: Runner) -> None:
        self._began_us = self._shown_us = tick_us()
        self._before = sum(tally.ended for tally in runner.tallies.values())
        if self.console.is_terminal and not self.quiet:
            self._live = Live(self._table(runner), console=self.console, auto_refresh=False, transient=True)
            self._live.start()

    def told(self, words: str) -> None:
        """Prints what a run has to say while it waits."""
        if not self.quiet:
            self.console.print(words, highlight=False)

    def trial(self, runner: Runner, tier: str) -> None:
        """Called after each Trial; draws now and then."""
        now = tick_us()
        due = _REFRESH_US if self._live is not None else _LINE_US
        if self.quiet or now - self._shown_us < due:
            return
        self._shown_us = now
        if self._live is not None:
            self._live.update(self._table(runner), refresh=True)
        else:
            self._line(runner)

    def ended(self, runner: Runner) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        if not self.quiet:
            self._line(runner)

    def _line(self, runner: Runner) -> None:
        parts = [
            f"{name} {tally.ended}/{len(tally.outcome)} score {_share(tally.mean())}"
            + (f" errors {tally.count('error')}" if tally.count("error") else "")
            for name, tally in runner.tallies.items()
        ]
        self.console.print(
            f"{'; '.join(parts)}; {money(runner.spent_pico)}{_judge(runner)}{self._eta(runner)}",
            highlight=False,
        )

    def _table(self, runner: Runner) -> Table:
        table = Table(box=None, pad_edge=False)
        for head in ("tier", "done", "errors", "score", "cost"):
            table.add_column(head, justify="left" if head == "tier" else "right")
        for name, tally in runner.tallies.items():
            table.add_row(
                name,
                f"{tally.ended:,}/{len(tally.outcome):,}",
                str(tally.count("error") + tally.count("rejected")),
                _share(tally.mean()),
                money(tally.spent_pico),
            )
        table.caption = f"{money(runner.spent_pico)} spent{_judge(runner)}{self._eta(runner)}"
        return table

    def _eta(self, runner: Runner) -> str:
        done = sum(tally.ended for tally in runner.tallies.values()) - self._before
        left = sum(len(tally.outcome) - tally.ended for tally in runner.tallies.values())
        passed = (tick_us() - self._began_us) / 1e6
        if not done or not left or passed < 1:
            return ""
        seconds = round(left * passed / done)
        return f"; about {seconds // 60}:{seconds % 60:02d} to go"


def _judge(runner: Runner) -> str:
    return "" if runner.hearing is None else f", judge {money(runner.hearing.desk.spent_pico)}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value * 100:.1f} %"
