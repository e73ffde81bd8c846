"""The reservation before a call."""

from __future__ import annotations

import pytest
from msgspec import structs

from tierwise.costing import OUTPUT_TOKENS_UNSAID, PricedModel, cautious_size, estimate_tokens
from tierwise.costing.bound import batch_share, upper_bound
from tierwise.nouns import Abilities, Model, Outline, Price, Source

PRICE = Price(
    "p",
    Source("test", "2026-11-22"),
    input=10,
    cache_read=1,
    cache_write_5m=12,
    cache_write_1h=20,
    output=50,
    service_tiers={"priority": (5, 2), "flex": (1, 2)},
)


def bound(
    outline: Outline, default: int | None = None, max_output: int | None = None, prompt: int = 100
) -> int:
    model = Model("a/b", "a", "b", Abilities(max_output=max_output), (PRICE,))
    return PricedModel(model).upper_bound(prompt, outline, 0, default)


@pytest.mark.parametrize(
    ("text", "size"), [("", 0), ("plain", 5), ("é", 5), ("类别", 14), ("a类", 8), ("\ud800", 7)]
)
def test_what_is_beyond_ascii_is_reckoned_at_more_where_too_little_would_pass_a_limit(
    text: str, size: int
) -> None:
    assert cautious_size(text) == size


@pytest.mark.parametrize(("size", "tokens"), [(0, 0), (1, 1), (7, 2), (8, 3), (3500, 1000)])
def test_tokens_are_bytes_over_three_and_a_half_rounded_up(size: int, tokens: int) -> None:
    assert estimate_tokens(size) == tokens


@pytest.mark.parametrize(
    ("outline", "default", "max_output", "output"),
    [
        (Outline("m", max_output=7), 9, 11, 7),
        (Outline("m", max_output=70), 9, 11, 11),
        (Outline("m"), 9, 11, 9),
        (Outline("m"), None, 11, 11),
        (Outline("m"), None, None, OUTPUT_TOKENS_UNSAID),
        (Outline("m", max_output=7, choices=3), None, None, 21),
    ],
    ids=["as asked", "never above the model's", "task's default", "model's limit", "unsaid", "choices"],
)
def test_output_is_bounded_by_the_first_that_is_known(
    outline: Outline, default: int | None, max_output: int | None, output: int
) -> None:
    assert bound(outline, default, max_output) == 100 * 10 + output * 50


def test_a_marked_prefix_is_reckoned_at_the_dearest_write() -> None:
    marked = Outline("m", max_output=0, cache_marks=True)
    assert bound(marked) == 100 * 20
    for unknown, dearest in (("cache_write_5m", 20), ("cache_write_1h", 12)):
        assert upper_bound(100, 0, structs.replace(PRICE, **{unknown: None}), marked) == 100 * dearest


def test_a_dearer_service_tier_counts_and_a_cheaper_one_does_not() -> None:
    # 2.5 × (99 × 10 + 5) = 2487.5: what is reserved is never less
    odd = structs.replace(PRICE, output=5)
    assert upper_bound(99, 1, odd, Outline("m", service_tier="Priority")) == 2488
    for tier in ("flex", "auto", "unheard-of"):
        assert bound(Outline("m", max_output=1, service_tier=tier)) == bound(Outline("m", max_output=1))


@pytest.mark.parametrize(
    ("batch", "share"), [((1, 2), 501), ((3, 4), 751), ((2, 1), 2002), (None, 1001)],
    ids=["half", "rounded up", "dearer", "no batch price"],
)  # fmt: skip
def test_a_batch_reserves_its_share(batch: tuple[int, int] | None, share: int) -> None:
    assert batch_share(1001, structs.replace(PRICE, batch=batch)) == share
    assert batch_share(1001, None) == 1001


def test_an_unpriced_model_reserves_nothing() -> None:
    assert PricedModel(Model("a/b", "a", "b")).upper_bound(100, Outline("m"), 0) == 0


def test_a_vendor_that_writes_its_cache_unasked_may_charge_the_write() -> None:
    """OpenAI's cache has one lifetime and needs no mark; Anthropic's has two and writes what is marked."""
    plain, source = Outline("m", max_output=10), Source("list", "2026-11-22")
    unasked = Price("openai", source, input=4, cache_write_5m=5, output=20)
    marked = Price("anthropic", source, input=4, cache_write_5m=5, cache_write_1h=8, output=20)
    for price, expected in ((unasked, 100 * 5 + 10 * 20), (marked, 100 * 4 + 10 * 20)):
        model = Model("p/m", "p", "m", prices=(price,))
        assert PricedModel(model).upper_bound(100, plain, 0) == expected


def test_a_kind_of_tokens_that_is_dearer_than_its_class_is_reserved_at_that() -> None:
    tiers = {**PRICE.service_tiers, "priority/output": (3, 1), "flex/input": (2, 1)}
    price = structs.replace(PRICE, service_tiers=tiers)
    outline = Outline(model="a", service_tier="priority")
    assert upper_bound(100, 7, price, outline) == 3 * (100 * 10 + 7 * 50)
    assert upper_bound(100, 7, price, structs.replace(outline, service_tier="flex")) == 2 * (1000 + 350)
