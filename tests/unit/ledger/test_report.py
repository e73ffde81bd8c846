from __future__ import annotations

import pytest

from tierwise.errors import BadRequest
from tierwise.ledger import Ledger, Reader
from tierwise.ledger.report import Line, Quantiles, quantiles
from tierwise.ledger.sqlite import reader as sqlite_reader
from tierwise.nouns import Usage
from unit.ledger.made import NOON, closed, opened

DAY_US = 86_400_000_000


async def call(ledger: Ledger, name: str, cost: int | None = 60, **said: object) -> None:
    on_open = {"task", "tier", "model", "key", "tags", "kind", "at_us", "price_id"} & said.keys()
    opening = {field: said.pop(field) for field in on_open}
    if "at_us" in opening:
        said["at_us"] = opening["at_us"]
    await ledger.open(opened(name, 100, **opening))
    await ledger.close(closed(name, cost, **said))


def by_group(lines: tuple[Line, ...]) -> dict[str, Line]:
    return {line.group: line for line in lines}


async def test_groups_and_the_total_add_up(ledger: Ledger, reader: Reader) -> None:
    await call(ledger, "a", 60, task="classify", asked_pico=100, reference_pico=200)
    await call(ledger, "b", 40, task="classify", asked_pico=10, outcome="error", status=500)
    await call(ledger, "c", None, task="draft", unpriced="no price", usage=Usage(input=7, source="estimated"))
    await call(ledger, "d", 5, task="draft", outcome="cancelled")
    await ledger.open(opened("still open", task="draft"))
    report = reader.report("task")
    assert [line.group for line in report.lines] == ["classify", "draft"]
    first, second = report.lines
    assert (first.calls, first.errors, first.spend_pico, first.unpriced) == (2, 1, 100, 0)
    assert (second.calls, second.cancelled, second.spend_pico, second.unpriced, second.estimated) == (
        2,
        1,
        5,
        1,
        1,
    )
    assert first.usage == Usage(input=20, cache_read=60, output=10)
    assert first.cache_share == 0.75
    assert (first.asked.calls, first.asked.saved_pico) == (2, 10)
    assert (first.reference.calls, first.reference.baseline_pico, first.reference.saved_pico) == (1, 200, 140)
    assert (second.asked.calls, second.asked.saved_pico) == (0, None)
    assert (report.all.calls, report.all.spend_pico, report.all.label) == (4, 105, "all")


async def test_an_empty_ledger_reports_nothing_and_undefined_is_none(ledger: Ledger, reader: Reader) -> None:
    report = reader.report("model")
    assert report.lines == ()
    assert (report.all.calls, report.all.cache_share, report.all.ttft.p50) == (0, None, None)
    assert report.all.asked.saved_pico is None


async def test_a_correction_takes_back_what_the_sweep_said(ledger: Ledger, reader: Reader) -> None:
    await ledger.open(opened("a", 100))
    await ledger.open(opened("b", 0, price_id=""))
    await ledger.sweep(NOON + 1)
    swept = reader.report("tier").all
    assert (swept.calls, swept.swept, swept.estimated, swept.unpriced, swept.spend_pico) == (2, 2, 2, 1, 100)
    await ledger.close(closed("a", 60, asked_pico=70))
    await ledger.close(closed("b", 3))
    fixed = reader.report("tier").all
    assert (fixed.calls, fixed.swept, fixed.estimated, fixed.unpriced, fixed.spend_pico) == (2, 0, 0, 0, 63)
    assert (fixed.asked.calls, fixed.asked.saved_pico) == (1, 10)
    assert fixed.usage.output == 10


async def test_a_correction_that_cannot_be_priced_is_unpriced(ledger: Ledger, reader: Reader) -> None:
    await ledger.open(opened("a", 100))
    await ledger.sweep(NOON + 1)
    await ledger.close(closed("a", None))
    line = reader.report("tier").all
    assert (line.unpriced, line.spend_pico) == (1, 0)


async def test_every_grouping(ledger: Ledger, reader: Reader) -> None:
    key, _ = ledger.create_key("team [red]", project="acme")
    await call(ledger, "a", 1, key=key.id, tags=("x", "y"), kind="call", tier="swift", model="m1")
    await call(ledger, "b", 2, at_us=NOON + DAY_US, kind="shadow", tier="", model="m2")
    assert by_group(reader.report("key").lines)[key.id].label == "team [red]"
    assert {g: line.spend_pico for g, line in by_group(reader.report("project").lines).items()} == {
        "acme": 1,
        "": 2,
    }
    assert {g: line.spend_pico for g, line in by_group(reader.report("tag").lines).items()} == {
        "x": 1,
        "y": 1,
    }
    assert reader.report("tag").all.spend_pico == 3
    assert [line.group for line in reader.report("day").lines] == ["2026-11-22", "2026-11-23"]
    assert set(by_group(reader.report("kind").lines)) == {"call", "shadow"}
    for kind, spent, model in (("call", 1, "m1"), ("shadow", 2, "m2")):
        found = reader.report("model", kind=kind)
        assert (found.all.spend_pico, [line.group for line in found.lines]) == (spent, [model])
    assert set(by_group(reader.report("tier").lines)) == {"swift", ""}
    assert set(by_group(reader.report("model").lines)) == {"m1", "m2"}
    with pytest.raises(BadRequest, match="no report by"):
        reader.report("1; DROP TABLE keys")  # type: ignore[arg-type]


async def test_since_and_until_cut_reports_and_rows(ledger: Ledger, reader: Reader) -> None:
    for n in range(3):
        await call(ledger, f"a{n}", 1, at_us=NOON + n * DAY_US)
    assert reader.report("task", NOON + DAY_US).all.calls == 2
    assert reader.report("task", NOON + DAY_US, NOON + 2 * DAY_US).all.calls == 1
    assert reader.report("task", None, NOON).all.calls == 0
    assert len(list(reader.rows(NOON + DAY_US, NOON + 2 * DAY_US))) == 2


async def test_rows_come_whole_over_many_pages(
    ledger: Ledger, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_reader, "PAGE", 100)
    for n in range(210):
        ledger.open(opened(f"a{n}"))
    for n in range(210):
        ledger.close(closed(f"a{n}"))
    await ledger.open(opened("last"))
    rows = list(reader.rows())
    assert [row["event"] for row in rows] == ["open"] * 210 + ["close"] * 210 + ["open"]
    assert [row["attempt"] for row in rows[:210]] == [f"a{n}" for n in range(210)]


async def test_latency_is_of_calls_that_ended_well(ledger: Ledger, reader: Reader) -> None:
    for n in range(8):
        await call(ledger, f"a{n}", 1, ttft_us=n + 1, total_us=10 * (n + 1))
    await call(ledger, "bad", 1, outcome="error", ttft_us=10**9, total_us=10**9)
    line = reader.report("task").all
    assert (line.ttft, line.total) == (Quantiles(8, 4, None, None), Quantiles(8, 40, None, None))


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, Quantiles(0)),
        (7, Quantiles(7)),
        (8, Quantiles(8, 4)),
        (79, Quantiles(79, 40)),
        (80, Quantiles(80, 40, 76)),
        (399, Quantiles(399, 200, 380)),
        (400, Quantiles(400, 200, 380, 396)),
        (1000, Quantiles(1000, 500, 950, 990)),
    ],
)
def test_quantiles_are_nearest_rank_and_none_below_enough_samples(n: int, expected: Quantiles) -> None:
    assert quantiles(range(n, 0, -1)) == expected
