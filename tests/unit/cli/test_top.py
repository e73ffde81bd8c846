"""`tierwise top`: the figures of a window, how they look in 80 columns, and what a server's metrics say."""

from __future__ import annotations

import io
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from tierwise.cli import top
from tierwise.cli.bars import bar, sparkline
from tierwise.cli.top_text import LAST, Gateway, Screen, picture, screen_of
from tierwise.clock import now_us
from tierwise.ledger import open_ledger
from tierwise.ledger.recent import Ended
from unit.ledger.made import NOON, closed, opened

UP = Gateway(in_flight=3, most=200, waiting=0, draining=False, open=())


def ended(number: int, tier: str = "swift", outcome: str = "ok", cost: int | None = 10**9) -> Ended:
    return Ended(
        NOON - number * 1_000_000, f"ex_{number}", "classify", tier, "agg/haiku", outcome, cost,
        150_000, 2_000_000, 40,
    )  # fmt: skip


def shown(screen: Screen, columns: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=columns, highlight=False).print(picture(screen, columns))
    return out.getvalue().splitlines()


def test_a_window_of_calls_in_eighty_columns() -> None:
    calls = [ended(n, "swift" if n % 4 else "a very long tier's name\x1b[31m") for n in range(40)]
    calls += [ended(50, "", "error", None)]
    lines = shown(screen_of(calls, NOON, 60, UP))
    assert max(map(len, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
    said = "\n".join(lines)
    assert "0.7 req/s" in said
    assert "$0.040000/min   errors 2.4%   unpriced 1" in said
    assert "in flight 3 of 200" in said
    assert "breakers closed" in said
    assert [line.split()[0] for line in lines if "%" in line and "req/s" not in line] == [
        "swift",
        "a",
        "pinned",
    ]
    assert "150 ms" in said
    assert len([line for line in lines if line.startswith("11:59:") or line.startswith("12:00:")]) == 10


def test_what_the_response_cache_answered_is_no_call() -> None:
    calls = [ended(n, outcome="cached", cost=0) for n in range(6)] + [ended(8), ended(9, outcome="error")]
    screen = screen_of(calls, NOON, 60, UP)
    assert (screen.calls, screen.cached, screen.errors, sum(screen.over_time)) == (2, 6, 1, 2)
    assert [line.share for line in screen.tiers] == [1.0]
    lines = shown(screen)
    assert lines[0] == "tierwise  calls that ended in the last 60 s, 6 more from the response cache"
    assert "errors 50.0%" in lines[1]
    assert sum("cached" in line for line in lines[6:]) == 6


@pytest.mark.parametrize("columns", [40, 50, 60, 79])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_lines(columns: int) -> None:
    calls = [ended(n, "a-tier-with-a-long-name", cost=123_456_789_012) for n in range(12)]
    lines = shown(screen_of(calls, NOON, 60, UP), columns)
    assert max(map(len, lines)) <= columns
    said = "\n".join(lines)
    assert said.count("$1.481481") == 2  # a minute, of the tier and of all
    assert said.count("$0.123457") == LAST
    assert said.count("2000 ms") == LAST


def test_no_calls_and_no_server() -> None:
    screen = screen_of([], NOON, 60, None)
    assert (screen.calls, screen.spend_pico, screen.tiers, sum(screen.over_time)) == (0, 0, (), 0)
    said = "\n".join(shown(screen))
    assert "server: not asked" in said
    assert "errors n/a" in said


def test_an_open_breaker_is_named() -> None:
    text = (
        "# TYPE tierwise_in_flight gauge\ntierwise_in_flight 7\ntierwise_in_flight_limit 9\n"
        'tierwise_breaker_open{model="a/one"} 1\ntierwise_breaker_open{model="a/two"} 0\n'
        "tierwise_ledger_waiting_rows 5\ntierwise_draining 1\n"
    )
    found = top.read_metrics(text)
    assert found == Gateway(in_flight=7, most=9, waiting=5, draining=True, open=("a/one",))
    said = "\n".join(shown(screen_of([], NOON, 60, found)))
    assert "breaker open: a/one" in said
    assert "draining" in said


async def test_once_as_json_reads_the_ledger(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/l.db"
    ledger = open_ledger(url, {})
    at = now_us()
    await ledger.open(opened("old", at_us=at - 10**10))
    await ledger.close(closed("old", 5, at_us=at - 10**10))
    await ledger.open(opened("a", at_us=at, tier="swift"))
    await ledger.close(closed("a", 123, at_us=at))
    await ledger.shutdown()
    arguments = ["--once", "--json", "--window", "3600", "--db", url]
    result = CliRunner().invoke(top.command, arguments, catch_exceptions=False)
    found = json.loads(result.output)
    assert (found["calls"], found["spend_pico"], found["gateway"]) == (1, 123, None)
    assert [(line["tier"], line["share"]) for line in found["tiers"]] == [("swift", 1.0)]
    assert [call["exchange"] for call in found["last"]] == ["ex_a"]
    plain = CliRunner().invoke(top.command, ["--once", "--db", url], catch_exceptions=False)
    assert "calls that ended in the last 60 s" in plain.output
    with pytest.raises(click.UsageError, match="no URL of a control port"):
        top.gateway(url, "file:///etc/passwd")


@pytest.mark.parametrize(
    ("share", "drawn"), [(0, ""), (1e-9, "▏"), (0.5, "█████"), (0.55, "█████▌"), (1.0, "█" * 10)]
)
def test_bars(share: float, drawn: str) -> None:
    assert bar(share, 10) == drawn


def test_sparklines() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "  "
    assert sparkline([0, 1, 4, 8]) == " ▁▄█"
