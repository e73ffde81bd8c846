"""Tables on a terminal narrower than they are: lines that the terminal wraps, with every column in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click import Command
from click.testing import CliRunner
from rich.cells import cell_len

from tierwise.cli import estimate, keys, models
from tierwise.cli.ledger_table import print_table

KEY = {"ANTHROPIC_API_KEY": "none"}
HEADS = ("scope", "cap", "spent", "reserved", "left", "resets")


@pytest.mark.parametrize("columns", ["20", "40", "60"])
def test_no_column_is_left_out(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    print_table(HEADS, [("project:web", "$25.00 month", "$1.2500", "$0.0000", "$23.7500", "never")])
    heads, row = capsys.readouterr().out.splitlines()
    assert heads.split() == [*HEADS]
    assert row.split() == ["project:web", "$25.00", "month", "$1.2500", "$0.0000", "$23.7500", "never"]


def test_amounts_wider_than_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    amount = "$99,999,999,999,999.0000"
    print_table(HEADS, [("project:web", amount, amount, amount, amount, "never")])
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["project:w…", amount, amount, amount, amount, "never"]


def test_no_amount_of_a_key_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    db = f"--db=sqlite:///{tmp_path}/ledger.db"

    def said(*arguments: str) -> str:
        return CliRunner().invoke(keys.command, [*arguments, db], catch_exceptions=False).stdout

    said("create", "a-name-longer-than-its-column", "--budget-usd", "123456789.123456", "--period", "month")
    heads, *rows = said("list").splitlines()
    folded = "".join(row[heads.index("budget left") :].strip() for row in rows)
    assert folded.replace(" ", "") == "$123,456,789.123456of$123,456,789.123456month"


def test_a_long_table_needs_no_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes half a millisecond a row: a report by tag may have a hundred thousand."""
    monkeypatch.setattr("rich.table.Table.add_row", None)
    rows = [(f"user:{n}", f"${n}.00", "$0.00", "$0.00", "$0.00", "never") for n in range(5000)]
    print_table(HEADS, [*rows, ("漢字 all", "$1.00", "$0.00", "$0.00", "$0.00", "never")], total=True)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5002
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}
    assert lines[5000].split() == [*rows[-1]]


@pytest.mark.parametrize("command", [models.command, estimate.command])
def test_no_price_is_cut(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on 80 columns, on a terminal of 40."""
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    seen = []
    for columns in ("40", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        seen.append(CliRunner().invoke(command, [], env=KEY, catch_exceptions=False).stdout)
    assert seen[0] == seen[1]
    assert "…" not in seen[0]
