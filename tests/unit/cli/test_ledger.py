from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tierwise.cli import ledger as cli
from tierwise.cli.values import instant
from tierwise.errors import BadRequest, ConfigError, StoreError
from tierwise.ledger import open_ledger
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger of 5 calls: one unpriced, one swept, tasks with names made to break a table."""
    made = f"sqlite:///{tmp_path}/ledger.db"

    async def fill() -> None:
        ledger = open_ledger(made, {})
        for n, task in enumerate(["classify", "classify", "[bold red]x[/] " + "long " * 30, "a\x1b[31m\nb"]):
            cost = None if n == 1 else 123_456_789_012
            await ledger.open(opened(f"a{n}", 200, task=task, at_us=NOON + n))
            await ledger.close(
                closed(
                    f"a{n}", cost, unpriced="no price" if n == 1 else "", reference_pico=10**12, ttft_us=1500
                )
            )
        await ledger.open(opened("gone", 7))
        await ledger.sweep(2**62)
        await ledger.shutdown()

    asyncio.run(fill())
    return made


def run(*arguments: str) -> str:
    """What the command prints; raises what it raises."""
    result = CliRunner().invoke(cli.command, arguments, catch_exceptions=False, standalone_mode=False)
    return result.output


def test_export_writes_one_object_a_row(url: str) -> None:
    rows = [json.loads(line) for line in run("export", "--jsonl", "--db", url).splitlines()]
    assert [row["event"] for row in rows] == ["open", "close"] * 5
    assert list(rows[1])[:22] == [
        "event", "exchange", "attempt", "at", "key", "task", "tier", "model", "provider", "dialect_in",
        "dialect_out", "stream", "outcome", "usage", "usage_source", "price_id", "cost_pico", "reserved_pico",
        "ttft_us", "total_us", "upstream_us", "tags",
    ]  # fmt: skip
    assert run("export", "--db", url) == run("export", "--jsonl", "--db", url)
    assert run("export", "--until", "2026-11-22T12:00:00Z", "--db", url) == ""


def test_verify_says_that_it_holds_or_names_the_first_bad_row(url: str) -> None:
    result = CliRunner().invoke(cli.command, ["verify", "--db", url])
    assert (result.exit_code, result.output) == (0, "ledger holds\n")
    database = sqlite3.connect(url.removeprefix("sqlite:///"))
    database.execute("UPDATE close_rows SET cost_pico = 1 WHERE seq = 6")
    database.commit()
    database.close()
    result = CliRunner().invoke(cli.command, ["verify", "--db", url])
    assert result.exit_code == 1
    assert result.output.startswith("bad: event 6 (close of attempt a2)")


def test_report_fits_80_columns_and_prints_no_control_characters(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = run("report", "--db", url)
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in said
    assert "[bold red]" in said
    assert "$0.370370" in said
    assert "unpriced: 1 call of no known price" in said
    assert "p99 n/a (n < 400)" in said
    assert "$2.629630 less than the reference tier ($3.000000; 3 of 5 calls)" in said
    assert "swept: 1" in said


def test_a_day_is_told_whole_beside_large_amounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = f"sqlite:///{tmp_path}/ledger.db"

    async def fill() -> None:
        ledger = open_ledger(made, {})
        for n, cost in enumerate((1_000_123_456_000_000, None)):
            await ledger.open(opened(f"a{n}", stream=True))
            used = Usage(input=10**9, output=5)
            await ledger.close(closed(f"a{n}", cost, unpriced="" if cost else "no price", usage=used))
        await ledger.shutdown()

    asyncio.run(fill())
    monkeypatch.setenv("COLUMNS", "80")
    said = run("report", "--by", "day", "--db", made)
    assert max(map(len, said.splitlines())) <= 80
    assert said.splitlines()[1].startswith("2026-11-22 "), said
    assert "$1,000.123456*" in said


def test_report_as_json_has_every_figure_exactly(url: str) -> None:
    made = json.loads(run("report", "--by", "model", "--db", url, "--json"))
    assert made["by"] == "model"
    (line,) = made["lines"]
    assert (line["group"], line["calls"], line["unpriced"], line["swept"]) == ("agg/haiku", 5, 1, 1)
    assert line["spend_pico"] == 3 * 123_456_789_012 + 7
    assert line["spend_usd"] == "0.370370367043"
    assert line["reference"]["saved_pico"] == 3 * 10**12 - 3 * 123_456_789_012
    assert line["asked"] == {"calls": 0, "baseline_pico": 0, "cost_pico": 0, "saved_pico": None}
    assert line["ttft"] == {"n": 4, "p50": None, "p95": None, "p99": None}
    assert made["total"]["calls"] == 5


def test_the_ledger_is_that_of_the_configuration_which_serve_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tierwise.toml").write_text('[server]\ndb = "sqlite:///here.db"\n')
    (tmp_path / "named.toml").write_text('[server]\ndb = "sqlite:///named.db"\n')
    assert cli.database_url(None, None) == "sqlite:///here.db"
    monkeypatch.setenv("TIERWISE_CONFIG", "named.toml")
    assert cli.database_url(None, None) == "sqlite:///named.db"
    assert cli.database_url(None, Path("tierwise.toml")) == "sqlite:///here.db"
    monkeypatch.setenv("TIERWISE_CONFIG", "gone.toml")
    with pytest.raises(ConfigError, match="There is no gone"):
        cli.database_url(None, None)


def test_times_and_places_not_understood_are_said(url: str, tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="no time"):
        run("report", "--since", "yesterday", "--db", url)
    with pytest.raises(click.UsageError, match="it is empty"):
        run("report", "--db", "")
    with pytest.raises(click.UsageError, match="is not after --since 2026-11-23"):
        run("report", "--since", "2026-11-23", "--until", "2026-11-22", "--db", url)
    with pytest.raises(StoreError, match="no ledger at"):
        run("verify", "--db", f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(ConfigError, match="There is no"):
        run("verify", "--config", str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError, match="cannot be read"):
        run("verify", "--config", str(tmp_path / "bad.toml"))
    (tmp_path / "odd.toml").write_text("[server]\ndb = 3")
    with pytest.raises(ConfigError, match="is not text"):
        run("verify", "--config", str(tmp_path / "odd.toml"))


def test_the_working_folders_configuration_is_used_unless_db_is_given(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.database_url(None, None) == "sqlite:///tierwise.db"
    Path("tierwise.toml").write_text(f'[server]\ndb = "{url}"\n')
    assert cli.database_url(None, None) == url
    assert cli.database_url("sqlite:///x.db", None) == "sqlite:///x.db"


def test_instants() -> None:
    assert instant(None) is None
    assert instant("2026-11-22T12:00:00Z") == instant("2026-11-22T13:00:00+01:00") == NOON
    assert instant("2026-11-22") == NOON - 12 * 3_600_000_000
    assert instant("2026-11-22T12:00:00.250001Z") == NOON + 250_001
    week, day = instant("7d"), instant("24h")
    assert week is not None
    assert day is not None
    assert 5 * 86_400_000_000 < day - week < 7 * 86_400_000_000


@pytest.mark.parametrize("name", ["export", "verify", "report"])
def test_help_shows_an_example(name: str) -> None:
    assert f"Example: tierwise ledger {name}" in CliRunner().invoke(cli.command, [name, "--help"]).output


def test_the_reports_bars_fit_80_columns_and_are_plain_text_in_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    url = f"sqlite:///{tmp_path}/ledger.db"
    day_us = 86_400_000_000

    async def fill() -> None:
        ledger = open_ledger(url, {})
        for n in range(24):
            tier = "swift" if n % 4 else "a tier of a very long name indeed"
            await ledger.open(opened(f"a{n}", tier=tier, at_us=NOON + n % 3 * day_us))
            await ledger.close(closed(f"a{n}", 10**12 * (1 + n % 3), at_us=NOON + n % 3 * day_us))
        await ledger.shutdown()

    asyncio.run(fill())
    said = run("report", "--by", "tier", "--db", url)
    assert "\x1b" not in said
    assert max(map(len, said.splitlines())) <= 80
    assert [line for line in said.splitlines() if "█" in line or "day" in line] == [
        f"{'swift':<22} {'█' * 27:<36} 75.0%    $36.000000",
        f"{'a tier of a very long…':<22} {'█' * 9:<36} 25.0%    $12.000000",
        "by day ▃▆█",
        "2026-11-22 to 2026-11-24, at most $24.000000 a day",
    ]
    assert "share of the spend" not in run("report", "--by", "day", "--db", url)
    assert "█" not in run("report", "--until", "2020-01-01", "--db", url)


def test_export_to_parquet_and_backup(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    path = tmp_path / "l.parquet"
    assert run("export", "--parquet", str(path), "--since", "2026-11-22", "--db", url).startswith("10 rows")
    assert arrow.ParquetFile(path).metadata.num_rows == 10
    with pytest.raises(click.UsageError, match="two formats"):
        run("export", "--jsonl", "--parquet", str(path), "--db", url)
    monkeypatch.chdir(tmp_path)
    assert "10 events are in copy.db" in run("backup", "copy.db", "--db", url)
    assert run("report", "--json", "--db", "sqlite:///copy.db") == run("report", "--json", "--db", url)
    Path("next-batches.db").touch()
    with pytest.raises(BadRequest, match=r"next-batches\.db exists"):
        run("backup", "next.db", "--db", url)
    assert not Path("next.db").exists()  # half a backup would refuse the next try


def test_models_with_long_names_stay_apart_and_what_has_no_price_costs_no_zero(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"

    async def fill() -> None:
        ledger = open_ledger(url, {})
        for n, model in enumerate(("claude-haiku-4", "claude-opus-4.7", "nobody-knows-1")):
            cost = 10**12 if n < 2 else None
            await ledger.open(opened(f"a{n}", model=f"aggregator/anthropic/{model}"))
            await ledger.close(closed(f"a{n}", cost, unpriced="no price" if cost is None else ""))
        await ledger.shutdown()

    asyncio.run(fill())
    table, bars = run("report", "--by", "model", "--db", url).split("share of the spend")
    for said in (table, bars):
        assert "haiku-4 " in said
        assert "opus-4.7 " in said
    assert "$0.000000" not in table
    (line,) = [line for line in table.splitlines() if "knows-1" in line]
    assert "unpriced" in line
    assert "knows-1" not in bars
