"""`[[price]]` rows: what each class of service costs, and what no price can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.costing import cost
from tierwise.errors import ConfigError
from tierwise.nouns import Price, Usage
from unit.config.test_load import AGGREGATOR, PRICE, settings_of


def price_of(folder: Path, row: str) -> Price:
    catalog = settings_of(folder, AGGREGATOR + f'[[price]]\nmodel = "claude-haiku-4"\n{row}\n').catalog
    return catalog.models["agg/anthropic/claude-haiku-4"].prices[0]


def test_each_class_of_service_has_its_ratio(tmp_path: Path) -> None:
    tiers = "service_tiers = {flex = 0.5, Priority = 2, 'flex/cache_read' = 0.25}"
    price = price_of(tmp_path, f"input = 1\ncache_read = 0.1\noutput = 5\n{tiers}")
    usage = Usage(8, 100, output=2, service_tier="priority")
    assert cost(usage, price).pico == 2 * (8 * 10**6 + 100 * 10**5 + 2 * 5 * 10**6)
    usage = Usage(8, 100, output=2, service_tier="flex")
    assert cost(usage, price).pico == 4 * 10**6 + 100 * 25_000 + 5 * 10**6
    batches = price_of(
        tmp_path, "input = 1\ncache_read = 1\nbatch = 0.5\nservice_tiers = {'batch/cache_read' = 0.25}"
    )
    assert cost(Usage(8, 100), batches, batch=True).pico == 4 * 10**6 + 25 * 10**6
    assert "'scale'" in cost(Usage(8, service_tier="scale"), price).unpriced
    assert "batch" in cost(Usage(8, service_tier="batch"), price).unpriced


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("service_tiers = {flex = 0}", ["service_tiers.flex", "0.5"]),
        ("service_tiers = {flex = -0.5}", ["service_tiers.flex", "-0.5"]),
        ("service_tiers = {flex = inf}", ["service_tiers.flex"]),
        ("service_tiers = {priority = 1000}", ["service_tiers.priority", "1000"]),
        ("service_tiers = {default = 2}", ["no class of its own"]),
        ("service_tiers = {batch = 0.5}", ["see batch"]),
        ("service_tiers = {'flex/cache_rad' = 0.5}", ["'cache_rad'", "cache_read"]),
        ("steps = [{above = 0, input = 2}]", ["steps", "positive"]),
        ("steps = [{above = 9, input = 2}, {above = 9, input = 3}]", ["its own"]),
        ("steps = [{above = 9, input = -2}]", ["steps.input", "negative"]),
        ("extra = {web_search = -1}", ["extra.web_search", "-1"]),
        ("since = '2026-02-30'", ["since", "2026-02-30"]),
    ],
)
def test_what_no_price_can_be_is_named(tmp_path: Path, row: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, f"{PRICE}input = 1\n{row}\n")
    for word in words:
        assert word in caught.value.sentence()
