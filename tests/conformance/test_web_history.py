"""Rollup and History against real ledgers of either kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from postgres import postgres  # noqa: F401  a fixture
from stores import STORES, Stores, rolled
from tierwise.clock import new_id, now_us
from tierwise.errors import StoreError
from tierwise.ledger import Ledger, read_ledger
from tierwise.ledger.rollups import step as steps
from tierwise.nouns import OUTPUT_LIMIT, Close, Open, Usage
from tierwise.web import rollup as rollups
from tierwise.web.history import History, Wanted
from tierwise.web.rollup import DAY_US, Rollup, total


@pytest.fixture(params=sorted(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Stores:
    return STORES[request.param](tmp_path, request)


def opened(number: int, at_us: int, **other: object) -> Open:
    exchange = new_id("ex", at_us)
    fields: dict[str, object] = {
        "exchange": exchange, "attempt": f"{exchange}-1", "at_us": at_us, "key": f"key_{number % 3}",
        "task": "qa" if number % 2 else "coding", "tier": "haiku", "model": "a/haiku", "provider": "a",
        "dialect_in": "openai_chat", "dialect_out": "openai_chat", "stream": False, "price_id": "p",
        "reserved_pico": 500,
    }  # fmt: skip
    return Open(**{**fields, **other})  # type: ignore[arg-type]


def closed(row: Open, at_us: int, cost: int | None = 100, outcome: str = "ok") -> Close:
    return Close(
        row.exchange, row.attempt, at_us, outcome, 200, Usage(input=10, cache_read=5, output=2), cost,
        unpriced="" if cost is not None else "no price", ttft_us=1000, total_us=5000, reference_pico=300,
    )  # type: ignore[arg-type]  # fmt: skip


async def filled(ledger: Ledger, calls: int, at_us: int) -> list[Open]:
    rows = [opened(number, at_us) for number in range(calls)]
    for number, row in enumerate(rows):
        await ledger.open(row)
        await ledger.close(
            closed(row, at_us + 10, None if number == 0 else 100, "error" if number == 1 else "ok")
        )
    return rows


async def test_sums_agree_with_the_report_in_pieces_and_after_more(
    place: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollups, "PIECE", 7)
    monkeypatch.setattr(steps, "SLICE", 16)
    url = place.url
    ledger = place.open()
    at = now_us()
    await filled(ledger, 20, at)
    rollup = Rollup(History(url))
    rollup.refresh(5.0)
    assert total(rollup.slots(0))[0] == 20
    await filled(ledger, 5, at + 1000)
    rollup.refresh(5.0)
    assert total(rollup.slots(0))[0] == 25
    for _ in range(3):
        await rolled(ledger, 1)
        assert total(rollup.slots(0))[0] == 25
    assert rollup._rolled == 48
    sums = total(rollup.slots(at - at % DAY_US))
    line = read_ledger(url).report("task").all
    assert sums[0] == line.calls == 25
    assert sums[1] == line.unpriced == 2
    assert sums[3:5] == [line.usage.input, line.usage.cache_read]
    assert sums[8] == line.spend_pico
    assert sums[9:12] == [line.reference.calls, line.reference.baseline_pico, line.reference.cost_pico]
    assert rollup.complete
    assert sum(sums[0] for _, sums in rollup.key_slots(0)) == 25
    await ledger.shutdown()


async def test_ranges_of_hours_that_are_gone_are_forgotten(
    place: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two slices of a quiet gateway lie days, in which every hour has another range of 24 hours."""
    monkeypatch.setattr(steps, "SLICE", 8)
    ledger = place.open()
    at = now_us()
    await filled(ledger, 10, at)
    await rolled(ledger, 2)
    rollup = Rollup(History(place.url))
    for hour in range(50):
        assert total(rollup.slots(at - hour * 3_600_000_000, hourly=True))[0] in (0, 10)
    assert 0 < len(rollup._kept) <= 12
    assert total(rollup.slots(0))[0] == 10
    await ledger.shutdown()


async def test_a_correction_takes_the_sweep_back(place: Stores) -> None:
    url = place.url
    ledger = place.open()
    at = now_us()
    row = opened(1, at)
    await ledger.open(row)
    assert await ledger.sweep(at + 1) == 1
    rollup = Rollup(History(url))
    rollup.refresh()
    assert total(rollup.slots(0))[8] == 500
    await ledger.close(closed(row, at + 20, 120))
    rollup.refresh()
    groups = list(rollup.slots(0))
    assert total(iter(groups))[0] == 1
    assert total(iter(groups))[8] == 120 == read_ledger(url).report("task").all.spend_pico
    assert {slot.outcome: sums[0] for slot, sums in groups if sums[0]} == {"ok": 1}
    [attempt] = History(url).attempts(row.exchange)
    assert (attempt["outcome"], attempt["cost_pico"], attempt["input"]) == ("ok", 120, 10)
    for wanted in (Wanted(), Wanted(id=row.exchange), Wanted(outcome="ok")):
        assert History(url).search(wanted).rows == [attempt]
    assert History(url).search(Wanted(outcome="swept")).rows == []
    await ledger.shutdown()


async def test_search(place: Stores) -> None:
    url = place.url
    ledger = place.open()
    rows = await filled(ledger, 12, now_us())
    late = opened(99, now_us(), task="it's 100 % <b>'; DROP TABLE open_rows")
    await ledger.open(late)
    history = History(url)
    found = history.search(Wanted(limit=5))
    assert found.rows[0]["exchange"] == late.exchange
    assert found.rows[0]["outcome"] is None
    assert found.older
    rest = history.search(Wanted(limit=50, before=found.older))
    assert len(found.rows) + len(rest.rows) == 13
    assert rest.older == 0
    assert len(history.search(Wanted(task="qa")).rows) == 6
    assert len(history.search(Wanted(keys=("key_1",), outcome="ok")).rows) == 3
    assert len(history.search(Wanted(keys=("key_1", "key_2"))).rows) == 8
    assert [row["outcome"] for row in history.search(Wanted(outcome="running")).rows] == [None]
    assert [row["exchange"] for row in history.search(Wanted(task=late.task)).rows] == [late.exchange]
    for id_ in (rows[3].exchange, rows[3].attempt, rows[3].exchange[:-4]):
        assert rows[3].exchange in [row["exchange"] for row in history.search(Wanted(id=id_)).rows]
    assert history.search(Wanted(id="ex_'; DROP TABLE")).rows == []
    assert history.attempts("ex_unknown") == []
    await ledger.shutdown()


async def test_calls_are_found_and_counted_where_the_clock_jumped(
    place: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "SLICE", 8)
    ledger = place.open()
    at = now_us()
    made = []
    for day in (0, 0, 1, 1, -2, -2, 0, 0, 0):
        row = opened(0, at + day * DAY_US)
        await ledger.open(row)
        short = structs.replace(closed(row, row.at_us + 10), error=OUTPUT_LIMIT)
        await ledger.close(short)
        made.append(row)
    await rolled(ledger, 2)
    history = History(place.url)
    for row in made:
        assert [each["attempt"] for each in history.attempts(row.exchange)] == [row.attempt]
        for beginning in (row.exchange[:12], row.attempt):
            found = history.search(Wanted(id=beginning)).rows
            assert row.exchange in [each["exchange"] for each in found]
    assert history.cut_short(at - DAY_US) == (7, 700)
    assert history.cut_short(at + DAY_US // 2) == (2, 200)
    await ledger.shutdown()


def test_an_empty_ledger_has_nothing_and_a_long_question_is_cut(place: Stores) -> None:
    ledger = place.open()
    history = History(place.url)
    rollup = Rollup(history)
    rollup.refresh()
    assert list(rollup.slots(0)) == []
    assert rollup.progress == 1.0
    assert history.search(Wanted()).rows == []
    endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c"
    with pytest.raises(StoreError, match="did not answer"), history.asking(0.05) as ask:
        ask(endless, {})
    ledger._store.release()


def test_a_ledger_that_is_away_is_told_without_its_password() -> None:
    with pytest.raises(StoreError) as refused:
        History("postgres://user:hunter2@127.0.0.1:1/db")
    assert "hunter2" not in refused.value.sentence()
