"""Every example of docs/accounting.md and docs/caching.md runs and prints what the page shows."""

from __future__ import annotations

import asyncio
import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import live
from tierwise.costing.edits import SeenEdit
from tierwise.ledger import open_ledger, read_ledger
from tierwise.ledger.parquet import write_parquet
from tierwise.nouns import Price, PriceStep, Source, Usage
from unit.ledger.made import closed, opened

DOCS = live.ROOT / "docs"
PAGES = ("accounting.md", "caching.md")
NOON = 1_795_176_000_000_000
"""2026-11-20T12:00:00Z."""
SECOND, M = 1_000_000, 10**6
RUN = re.compile(r"```sh\n\$ (tierwise [^\n]+)\n(.*?)```", re.S)
FILE = re.compile(r"`([\w.-]+)`:\n\n```(?:csv|json|toml)\n(.*?)```", re.S)
SHOWN = [(page, *found) for page in PAGES for found in RUN.findall((DOCS / page).read_text())]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger the pages speak of, and the files they show."""
    place = tmp_path_factory.mktemp("docs")
    for page in PAGES:
        for name, text in FILE.findall((DOCS / page).read_text()):
            (place / name).write_text(text)
    asyncio.run(fill(f"sqlite:///{place}/tierwise.db"))
    asyncio.run(fill_prompts(f"sqlite:///{place}/prompts.db"))
    return place


async def fill(url: str) -> None:
    """Thirty tickets at haiku, one interrupted, one that opus answered, one of a model without a price; and a
    session that writes its cache twice and reads it six times.
    """
    ledger = open_ledger(url, {})

    async def one(name: str, seconds: int, said: dict[str, object], **end: object) -> None:
        terms = {"provider": "anthropic", "model": "anthropic/claude-haiku-4-5", "task": "tickets", **said}
        await ledger.open(opened(name, at_us=NOON + seconds * SECOND, **terms))
        await ledger.close(closed(name, at_us=NOON + (seconds + 1) * SECOND, **{"cost": None, **end}))

    ticket = 800 * M + 50 * 5 * M
    usage = Usage(800, output=50)
    for n in range(30):
        terms = {"reference_pico": 5 * ticket, "usage": usage, "cost": ticket}
        await one(f"at_{n:02}", n * 40, {}, **terms)
    cut = Usage(800, output=20, source="partial")
    await one("at_cut", 1300, {}, usage=cut, cost=800 * M + 20 * 5 * M, outcome="cancelled")
    opus = {"model": "anthropic/claude-opus-4-7"}
    await one("at_opus", 1400, opus, usage=usage, cost=5 * ticket, reference_pico=5 * ticket)
    nobody = {"model": "lab/own-model", "provider": "lab"}
    await one("at_own", 1500, nobody, usage=usage, unpriced="no price is known for this model")
    await one("at_judge", 1600, {"kind": "judge"}, usage=usage, cost=ticket)
    for n, gap in enumerate((0, 60, 120, 180, 2000, 2060, 2120, 2180)):
        write = gap in (0, 2000)
        wrote = Usage(20, cache_write_5m=10_000) if write else Usage(20, 10_000)
        pico = 20 * M + (10_000 * 1_250_000 if write else 10_000 * 100_000)
        await one(f"at_s{n}", 86_400 + gap, {"session": "s1", "task": "chat"}, usage=wrote, cost=pico)
    await ledger.shutdown()


async def fill_prompts(url: str) -> None:
    """Twelve calls whose system text tells the time, all written to the cache; then twelve that share theirs,
    written once and read. One write an hour later is read by nobody.
    """
    ledger = open_ledger(url, {})
    wrote, read = Usage(20, cache_write_5m=6000), Usage(20, 6000)
    for n in range(24):
        clock, later = n < 12, n == 23
        usage = wrote if clock or n == 12 or later else read
        pico = 20 * M + usage.cache_write_5m * 1_250_000 + usage.cache_read * 100_000
        at_us = NOON + (n * 30 + 3600 * later) * SECOND
        terms = {"provider": "anthropic", "model": "anthropic/claude-haiku-4-5"}
        terms |= {"task": "tickets" if clock else "chat", "prefix": f"{n if clock else 99:016x}"}
        await ledger.open(opened(f"p_{n:02}", at_us=at_us, **terms))
        await ledger.close(closed(f"p_{n:02}", pico, at_us=at_us + SECOND, usage=usage))
    at = "2026-11-20T12:05:30.000000Z"
    edit = ("system", 24, "time", "xx xx 0000-00-00 00:00:00. xxx x", "xx xx 0000-00-00 00:00:00. xxx x")
    terms = ("key_1", "tickets", "anthropic/claude-haiku-4-5", *edit)
    ledger.keep_edits([SeenEdit(*terms, 11, at, at, "ex_p_11")])
    await ledger.shutdown()


@pytest.mark.parametrize(("page", "command", "shown"), SHOWN, ids=[each[1] for each in SHOWN])
def test_a_command_prints_what_the_page_shows(folder: Path, page: str, command: str, shown: str) -> None:
    words = command.split()
    environ = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", *words[1:]],
        cwd=folder, capture_output=True, text=True, timeout=240, env={**environ, "COLUMNS": "80"},
    )  # fmt: skip
    status = re.search(r"^# exit (\d+)\n", shown, re.M)
    expected = shown.replace(status[0], "") if status else shown
    assert [line.rstrip() for line in done.stdout.splitlines()] == expected.splitlines(), done.stderr
    assert done.returncode == (int(status[1]) if status else 0)


@pytest.mark.parametrize("page", PAGES)
def test_python_examples(page: str) -> None:
    names = {"Price": Price, "PriceStep": PriceStep, "Source": Source, "Usage": Usage}
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.S))
    test = doctest.DocTestParser().get_doctest(blocks, names, page, page, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_the_pages_have_examples() -> None:
    assert len(SHOWN) >= 5


def test_the_query_over_the_parquet_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By DuckDB where it is installed; else the same sums by pyarrow."""
    arrow = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    monkeypatch.chdir(folder)
    [query] = re.findall(r"```sql\n(.*?)```", (DOCS / "accounting.md").read_text(), re.S)
    reader = read_ledger(f"sqlite:///{folder}/tierwise.db")
    write_parquet(reader.rows(), folder / "ledger.parquet")
    told = {line.group: (line.calls, line.spend_pico) for line in reader.report("model").lines}
    try:
        import duckdb
    except ImportError:
        assert "'ledger.parquet'" in query
        found: dict[str, tuple[int, int]] = {}
        for row in arrow.read_table("ledger.parquet").to_pylist():
            if row["event"] != "open":
                calls, pico = found.get(row["model"], (0, 0))
                found[row["model"]] = (calls + (row["event"] == "close"), pico + (row["cost_pico"] or 0))
        assert found == told
    else:
        rows = duckdb.sql(query).fetchall()
        assert {row[0]: row[1] for row in rows} == {model: calls for model, (calls, _) in told.items()}
        assert {row[0]: round((row[2] or 0) * 1e12) for row in rows} == {
            model: pico for model, (_, pico) in told.items()
        }
