"""The page of prompt caches: what reads and writes saved, as they were billed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from tierwise.config import published
from tierwise.nouns import Abilities, Model
from tierwise.web.rollup import SUMS, Slot
from tierwise.web.views.caching import Caching, caching
from tierwise.web.views.ranges import Ranged

PRICE = published().models["anthropic/claude-haiku-4"].price


def used(kind: str, task: str = "faq", **tokens: int) -> tuple[Slot, list[int]]:
    return Slot(0, "t", "p/haiku", task, kind, "ok"), [tokens.get(name, 0) for name in SUMS]


def saved(*groups: tuple[Slot, list[int]]) -> int | None:
    return shown(*groups).saved_pico


def shown(*groups: tuple[Slot, list[int]]) -> Caching:
    rollup = SimpleNamespace(complete=True, progress=1.0, slots=lambda since, hourly: iter(groups))
    model = Model("p/haiku", "p", "haiku", Abilities(), (PRICE,))
    catalog = SimpleNamespace(models={model.name: model}, providers={"p": None}, tiers={})
    site = cast(Any, SimpleNamespace(rollup=rollup, catalog=catalog))
    return caching(site, Ranged())


def test_a_batch_saves_half() -> None:
    tokens = {"calls": 2, "cache_read": 1000, "cache_write_5m": 400, "cache_write_1h": 10}
    whole = 1000 * 900_000 - 400 * 250_000 - 10 * 1_000_000
    assert saved(used("call", **tokens)) == whole
    assert saved(used("call", **tokens), used("batch", **tokens)) == whole + whole // 2


def test_what_is_saved_counts_the_tasks_that_are_not_listed() -> None:
    found = shown(*(used("call", f"task{n}", calls=1, cache_read=1000) for n in range(130)))
    assert (len(found.lines), found.more, found.saved_pico) == (100, 30, 130 * 1000 * 900_000)
