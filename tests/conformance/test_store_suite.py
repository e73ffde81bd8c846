"""What every store must do. A new store adds a line to stores.STORES and passes this file unchanged."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict

import pytest

import stores
from postgres import postgres  # noqa: F401  a fixture
from stores import Stores
from tierwise.errors import BadRequest, BudgetRefused, NotFound, StoreError, StoreLocked
from tierwise.nouns import Budget, Usage
from unit.ledger.made import NOON, closed, opened

place = stores.place

DAY_US = 86_400_000_000
HOSTILE = [
    "'; DROP TABLE open_rows; --",
    '"quoted" `tick` %s ? :name @x $y',
    "nul \x00 in the middle",
    "line\r\nbreak",
    "\ud800 half a pair",
    "𝕌𝕟𝕚𝕔𝕠𝕕𝕖 \u202e",
    "x" * 100_000,
]


async def test_an_open_and_its_close_are_exported_in_order_with_the_opens_identity(
    place: Stores,
) -> None:
    ledger = place.open()
    await ledger.open(
        opened(
            "a", 100, tags=("x", "y"), stream=True, asked="task/classify", route="by header", prefix="0f" * 8
        )
    )
    assert [row["event"] for row in place.read().rows()] == ["open"]
    await ledger.close(closed("a", 60, ttft_us=150_000, losses=("sampling.top_k",)))
    first, second = place.read().rows()
    assert (first["outcome"], first["usage"], first["cost_pico"], first["usage_source"]) == (None,) * 4
    assert second["usage"] == {
        "input": 10, "cache_read": 30, "cache_write_5m": 0, "cache_write_1h": 0, "output": 5, "reasoning": 0,
    }  # fmt: skip
    assert (second["event"], second["outcome"], second["cost_pico"], second["ttft_us"]) == (
        "close",
        "ok",
        60,
        150_000,
    )
    assert second["at"] == "2026-11-22T12:00:01.000000Z"
    assert second["losses"] == ["sampling.top_k"]
    identity = (
        "exchange",
        "attempt",
        "key",
        "task",
        "tier",
        "model",
        "provider",
        "dialect_in",
        "dialect_out",
    )
    for name in (
        *identity,
        "stream",
        "price_id",
        "reserved_pico",
        "tags",
        "route",
        "asked",
        "kind",
        "prefix",
    ):
        assert first[name] == second[name]
    assert first["prefix"] == "0f" * 8
    assert first["tags"] == ["x", "y"]
    assert first["stream"] is True
    assert place.read().verify() == []


async def test_rows_of_one_tick_are_posted_together_and_one_refusal_leaves_the_others(
    place: Stores,
) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("task:t", 250))
    results = await asyncio.gather(
        *[ledger.open(opened(name, 100, "task:t")) for name in "abcd"],
        ledger.open(opened("e", 50, "task:t")),
        ledger.open(opened("f", 10**15)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [
        type(None), type(None), BudgetRefused, BudgetRefused, type(None), type(None),
    ]  # fmt: skip
    (balance,) = ledger.budgets()
    assert (balance.reserved_pico, balance.left_pico) == (250, 0)
    assert place.read().verify() == []


async def test_two_hundred_at_once_on_a_budget_for_ten(place: Stores) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))

    async def call(n: int) -> bool:
        try:
            await ledger.open(opened(f"a{n}", 100, "key:k"))
        except BudgetRefused:
            return False
        await asyncio.sleep(0)
        await ledger.close(closed(f"a{n}", 100))
        return True

    assert sum(await asyncio.gather(*[call(n) for n in range(200)])) == 10
    assert [(b.spent_pico, b.reserved_pico) for b in ledger.budgets()] == [(1000, 0)]
    assert place.read().verify() == []


async def test_a_refusal_on_the_second_scope_reserves_nothing_on_the_first(place: Stores) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))
    ledger.set_budget(Budget("project:p", 50))
    with pytest.raises(BudgetRefused, match="project:p") as refused:
        await ledger.open(opened("a", 100, "key:k", "project:p"))
    assert "raise the cap" in refused.value.hint
    assert [b.reserved_pico for b in ledger.budgets()] == [0, 0]
    assert list(place.read().rows()) == []


async def test_a_scope_named_twice_is_charged_once(place: Stores) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))
    await ledger.open(opened("a", 100, "key:k", "key:k"))
    assert ledger.budgets()[0].reserved_pico == 100
    await ledger.close(closed("a", 60))
    assert (ledger.budgets()[0].reserved_pico, ledger.budgets()[0].spent_pico) == (0, 60)


async def test_a_close_releases_the_reservation_and_may_cost_more_than_it(place: Stores) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 100))
    await ledger.open(opened("a", 100, "key:k"))
    await ledger.close(closed("a", 130))
    assert ledger.budgets()[0].left_pico == -30
    with pytest.raises(BudgetRefused):
        await ledger.open(opened("b", 0, "key:k"))


async def test_an_unpriced_close_spends_nothing_and_says_why(place: Stores) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 100))
    await ledger.open(opened("a", 10, "key:k"))
    await ledger.close(closed("a", None, unpriced="no price for cache_read"))
    *_, row = place.read().rows()
    assert (row["cost_pico"], row["unpriced"]) == (None, "no price for cache_read")
    assert ledger.budgets()[0].spent_pico == 0
    assert place.read().verify() == []


async def test_a_second_close_is_refused_and_never_written(place: Stores) -> None:
    ledger = place.open()
    await ledger.open(opened("a"))
    results = await asyncio.gather(
        ledger.close(closed("a")), ledger.close(closed("a", 99)), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), StoreError]
    with pytest.raises(StoreError, match="already closed"):
        await ledger.close(closed("a", 99))
    assert [row["event"] for row in place.read().rows()] == ["open", "close"]


async def test_a_close_without_open_and_a_second_open_are_refused(place: Stores) -> None:
    ledger = place.open()
    with pytest.raises(StoreError, match="never opened"):
        await ledger.close(closed("ghost"))
    await ledger.open(opened("a"))
    with pytest.raises(StoreError, match="already open"):
        await ledger.open(opened("a"))
    await ledger.close(closed("a"))
    results = await asyncio.gather(ledger.open(opened("a")), ledger.open(opened("b")), return_exceptions=True)
    assert [type(result) for result in results] == [StoreError, type(None)]
    assert place.read().verify() == []


async def test_what_a_crash_left_open_is_swept_at_its_reservation(place: Stores) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))
    await ledger.open(opened("a", 100, "key:k"))
    await ledger.open(opened("b", 0, "key:k", price_id=""))
    ledger = place.crash()
    a, b = [row for row in place.read().rows() if row["event"] == "close"]
    assert (a["outcome"], a["usage_source"], a["cost_pico"]) == ("swept", "estimated", 100)
    assert (b["outcome"], b["cost_pico"]) == ("swept", None)
    assert b["unpriced"]
    assert [(x.reserved_pico, x.spent_pico) for x in ledger.budgets()] == [(0, 100)]
    assert place.read().verify() == []


async def test_a_late_close_of_a_swept_attempt_is_one_correction_by_the_difference(
    place: Stores,
) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))
    await ledger.open(opened("a", 100, "key:k"))
    ledger = place.crash()
    await ledger.close(closed("a", 60))
    with pytest.raises(StoreError, match="already closed"):
        await ledger.close(closed("a", 60))
    rows = list(place.read().rows())
    assert [row["event"] for row in rows] == ["open", "close", "correction"]
    assert rows[2]["cost_pico"] == -40
    assert sum(row["cost_pico"] or 0 for row in rows) == ledger.budgets()[0].spent_pico == 60
    assert place.read().verify() == []


async def test_sweep_closes_only_what_is_older(place: Stores) -> None:
    ledger = place.open()
    await ledger.open(opened("old", at_us=NOON))
    await ledger.open(opened("new", at_us=NOON + 10))
    assert await ledger.sweep(NOON + 10) == 1
    assert [row["attempt"] for row in place.read().rows() if row["event"] == "close"] == ["old"]
    await ledger.close(closed("new"))
    assert place.read().verify() == []


async def test_a_sweep_and_the_close_it_races_with_give_one_close_and_one_correction(
    place: Stores,
) -> None:
    ledger = place.open()
    await ledger.open(opened("a", 100))
    sweeping = asyncio.ensure_future(ledger.sweep(NOON + 10))
    await asyncio.sleep(0)
    await asyncio.gather(sweeping, ledger.close(closed("a", 70)))
    rows = list(place.read().rows())
    assert [row["event"] for row in rows] == ["open", "close", "correction"]
    assert sum(row["cost_pico"] or 0 for row in rows) == 70


async def test_a_daily_cap_starts_anew_at_local_midnight_and_a_close_is_booked_on_its_opens_day(
    place: Stores,
) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 100, "day", "Asia/Tokyo"))
    midnight = NOON + 3 * 3_600_000_000  # 15:00Z is midnight in Tokyo
    await ledger.open(opened("a", 100, "key:k", at_us=midnight - 1))
    with pytest.raises(BudgetRefused) as refused:
        await ledger.open(opened("b", 100, "key:k", at_us=midnight - 1))
    assert "2026-11-23T00:00:00+09:00" in refused.value.hint
    await ledger.open(opened("b", 100, "key:k", at_us=midnight))
    await ledger.close(closed("a", 90, at_us=midnight + 5))
    with pytest.raises(BudgetRefused):
        await ledger.open(opened("c", 11, "key:k", at_us=midnight - 1))
    await ledger.open(opened("c", 10, "key:k", at_us=midnight - 1))
    await ledger.open(opened("d", 100, "key:k", at_us=midnight + DAY_US))
    assert place.read().verify() == []
    ledger = place.crash()
    with pytest.raises(BudgetRefused):
        await ledger.open(opened("e", 1, "key:k", at_us=midnight - 1))
    assert place.read().verify() == []


async def test_a_lower_cap_is_taken_and_refuses_and_a_higher_one_lets_go_on(place: Stores) -> None:
    ledger = place.open()
    assert ledger.set_budget(Budget("key:k", 100)) == ""
    await ledger.open(opened("a", 80, "key:k"))
    await ledger.close(closed("a", 80))
    assert "calls are refused" in ledger.set_budget(Budget("key:k", 50))
    with pytest.raises(BudgetRefused):
        await ledger.open(opened("b", 1, "key:k"))
    assert ledger.set_budget(Budget("key:k", 81)) == ""
    await ledger.open(opened("b", 1, "key:k"))
    assert place.read().verify() == []


async def test_a_reservation_is_released_where_it_was_made_though_the_budgets_period_changed(
    place: Stores,
) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 100))
    await ledger.open(opened("a", 80, "key:k"))
    ledger.set_budget(Budget("key:k", 100, "month"))
    await ledger.open(opened("b", 90, "key:k"))
    await ledger.close(closed("a", 70))
    assert place.read().verify() == []
    ledger.set_budget(Budget("key:k", 100))
    assert ledger.budgets()[0].spent_pico == 70


async def test_budgets_and_sums_go_beyond_64_bits(place: Stores) -> None:
    ledger = place.open()
    much = 9 * 10**18
    ledger.set_budget(Budget("project:p", 10 * much))
    for n in range(4):
        await ledger.open(opened(f"a{n}", much, "project:p"))
        await ledger.close(closed(f"a{n}", much, asked_pico=much, reference_pico=much))
    assert ledger.budgets()[0].spent_pico == 4 * much
    report = place.read().report("task")
    assert (report.all.spend_pico, report.all.reference.baseline_pico) == (4 * much, 4 * much)
    assert place.read().verify() == []
    ledger = place.crash()
    assert ledger.budgets()[0].spent_pico == 4 * much


@pytest.mark.parametrize("amount", [-1, 2**63])
async def test_an_absurd_reservation_is_refused_in_words(place: Stores, amount: int) -> None:
    ledger = place.open()
    with pytest.raises(BadRequest, match="more than one call can reserve"):
        await ledger.open(opened("a", amount))
    assert list(place.read().rows()) == []


@pytest.mark.parametrize(
    "said",
    [
        {"cost": 10**30},
        {"cost": -5},
        {"usage": Usage(output=10**40)},
        {"usage": Usage(input=-3)},
    ],
)
async def test_an_absurd_close_is_kept_as_unpriced_so_that_no_attempt_stays_open(
    place: Stores, said: dict[str, object]
) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))
    await ledger.open(opened("a", 100, "key:k"))
    said = dict(said)
    await ledger.close(closed("a", said.pop("cost", 60), **said))
    *_, row = place.read().rows()
    assert (row["event"], row["cost_pico"]) == ("close", None)
    assert "out of range" in row["unpriced"]
    assert (ledger.budgets()[0].reserved_pico, ledger.budgets()[0].spent_pico) == (0, 0)
    assert place.read().verify() == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_only_text(place: Stores, text: str) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("key:k", 1000))
    row = opened(
        "a", 1, "key:k", text, key=text, task=text, tier=text, model=text, provider=text, tags=(text, "t"),
        route=text, session=text, asked=text, price_id=text,
    )  # fmt: skip
    bystander = ledger.open(opened("b", 1, "key:k"))
    await ledger.open(row)
    await bystander
    await ledger.close(closed("a", 1, error=text, served_model=text, losses=(text,), unpriced=text))
    written = text.encode("utf-8", "backslashreplace").decode()
    first, _, last = place.read().rows()
    if first["attempt"] == "b":
        first = _
    for name in ("key", "task", "tier", "model", "provider", "route", "session", "asked", "price_id"):
        assert first[name] == written
    assert first["tags"] == [written, "t"]
    assert (last["losses"], last["served_model"]) == ([written], written)
    assert last["error"] == written[:4000]
    assert place.read().verify() == []
    assert len(place.read().report("tag").lines) == 2
    assert ledger.find(text) is None
    assert ledger.find(ledger.digest_of(text)) is None


async def test_keys_survive_and_are_found_by_digest_until_revoked(place: Stores) -> None:
    ledger = place.open()
    key, secret = ledger.create_key("team", project="acme", rpm=5, tpm=6, max_concurrent=7, budget_pico=10)
    ledger = place.crash()
    assert ledger.find(ledger.digest_of(secret)) == key
    assert (key.project, key.rpm, key.tpm, key.max_concurrent) == ("acme", 5, 6, 7)
    assert [b.budget for b in ledger.budgets()] == [Budget(f"key:{key.id}", 10)]
    ledger.revoke_key("team")
    assert ledger.find(ledger.digest_of(secret)) is None
    ledger = place.crash()
    assert ledger.find(ledger.digest_of(secret)) is None
    assert place.read().keys()[0].revoked_us is not None


async def test_a_second_owner_is_refused_and_readers_are_not(place: Stores) -> None:
    if place.shared:
        pytest.skip("several processes may write this store")
    ledger = place.open()
    with pytest.raises(StoreLocked, match=r"rocess \d+ is writing"):
        place.open()
    await ledger.open(opened("a"))
    assert len(list(place.read().rows())) == 1


async def test_after_shutdown_nothing_is_taken_and_everything_is_there(place: Stores) -> None:
    ledger = place.open()
    await ledger.open(opened("a"))
    waiting = ledger.close(closed("a"))
    await ledger.shutdown()
    await waiting
    for late in (ledger.open(opened("b")), ledger.close(closed("a"))):
        with pytest.raises(StoreError, match="shut down"):
            await late
    await ledger.shutdown()
    assert [row["event"] for row in place.read().rows()] == ["open", "close"]
    assert place.read().verify() == []


async def test_every_store_reports_what_the_rows_say(place: Stores) -> None:
    """By every grouping, against sums taken here."""
    ledger, rng = place.open(), random.Random(5)
    key, _ = ledger.create_key("team", project="acme")
    costs: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    for n in range(120):
        day, task, tags = rng.randrange(3), rng.choice("xyz"), rng.sample(["p", "q", "r"], rng.randrange(3))
        cost, who = rng.choice([None, rng.randrange(1000)]), rng.choice([key.id, "key_gone"])
        at_us = NOON + day * DAY_US
        await ledger.open(opened(f"a{n}", 10, task=task, tags=tuple(tags), key=who, at_us=at_us))
        await ledger.close(
            closed(
                f"a{n}", cost, unpriced="" if cost is not None else "?", at_us=at_us, total_us=n, ttft_us=n
            )
        )
        date = f"2026-11-{22 + day}"
        for by, group in (
            ("task", task), ("day", date), ("key", who), ("project", "acme" if who == key.id else ""),
            *(("tag", tag) for tag in tags), ("tier", "swift"), ("model", "agg/haiku"), ("kind", "call"),
        ):  # fmt: skip
            costs[by].append((group, cost))
    for by, rows in costs.items():
        report = place.read().report(by)
        found = {line.group: (line.calls, line.spend_pico, line.unpriced) for line in report.lines}
        assert found == {
            group: (
                sum(1 for name, _ in rows if name == group),
                sum(cost or 0 for name, cost in rows if name == group),
                sum(1 for name, cost in rows if name == group and cost is None),
            )
            for group, _ in rows
        }
        assert (report.all.calls, report.all.total.p50, report.all.total.p95) == (120, 59, 113)
        assert (report.all.ttft.n, report.all.total.p99) == (120, None)
    (line,) = place.read().report("day", NOON + DAY_US, NOON + 2 * DAY_US).lines
    assert line.group == "2026-11-23"
    names = {line.group: line.label for line in place.read().report("key").lines}
    assert names == {key.id: "team", "key_gone": "key_gone"}
    since = list(place.read().rows(NOON + DAY_US, NOON + 2 * DAY_US))
    assert {row["at"][:10] for row in since} == {"2026-11-23"}
    assert len(since) == 2 * line.calls


async def test_a_correction_takes_back_what_the_sweep_said_in_reports_too(place: Stores) -> None:
    ledger = place.open()
    await ledger.open(opened("a", 100))
    ledger = place.crash()
    assert (place.read().report("task").all.swept, place.read().report("task").all.spend_pico) == (1, 100)
    await ledger.close(closed("a", 60, asked_pico=70))
    total = place.read().report("task").all
    assert (total.calls, total.swept, total.estimated, total.spend_pico) == (1, 0, 0, 60)
    assert (total.asked.calls, total.asked.cost_pico, total.usage.input) == (1, 60, 10)


async def test_a_removed_budget_refuses_nothing_and_its_window_counts_on_when_it_is_set_again(
    place: Stores,
) -> None:
    ledger = place.open()
    ledger.set_budget(Budget("project:p", 100))
    await ledger.open(opened("a", 100, "project:p"))
    with pytest.raises(BudgetRefused):
        await ledger.open(opened("b", 1, "project:p"))
    ledger.remove_budget("project:p")
    assert ledger.budgets() == place.read().balances() == []
    await ledger.open(opened("b", 500, "project:p"))
    await ledger.close(closed("a", 60))
    with pytest.raises(NotFound):
        ledger.remove_budget("project:p")
    assert "calls are refused" in ledger.set_budget(Budget("project:p", 60))
    assert [(b.spent_pico, b.reserved_pico) for b in ledger.budgets()] == [(60, 0)]
    with pytest.raises(BudgetRefused):
        await ledger.open(opened("c", 1, "project:p"))
    assert place.read().verify() == []


async def test_every_writer_of_a_shared_ledger_learns_that_a_budget_is_gone(place: Stores) -> None:
    if not place.shared:
        pytest.skip("this store has one writer")
    one, other = place.open(), place.open()
    one.set_budget(Budget("project:p", 0))
    with pytest.raises(BudgetRefused):
        await other.open(opened("a", 1, "project:p"))
    one.remove_budget("project:p")
    await other.open(opened("b", 1, "project:p"))
    one.set_budget(Budget("project:p", 0))
    with pytest.raises(BudgetRefused):
        await other.open(opened("c", 1, "project:p"))
    assert place.read().verify() == []
