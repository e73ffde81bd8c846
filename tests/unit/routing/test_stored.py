"""What a request only names, since its vendor keeps it: only that vendor's dialect can look it up."""

from __future__ import annotations

import pytest
from msgspec import structs

from tierwise.errors import ResponseUnknown, Unfit
from tierwise.nouns import Catalog, Model, Outline, Policy, Provider, Route, Stored, Tier
from tierwise.routing import Question, Table, choose

PREVIOUS = Stored("previous_response_id", "resp_1", "openai_responses")
CACHED = Stored("cachedContent", "cachedContents/1", "gemini")


@pytest.fixture
def mixed(catalog: Catalog, policy: Policy) -> Table:
    """The usual ladder, whose dearest tier is at a provider that speaks openai_responses."""
    there = Provider("there", "openai_responses", "http://there")
    model = Model("there/m", "there", "m")
    catalog = structs.replace(
        catalog,
        providers={**catalog.providers, "there": there},
        models={**catalog.models, model.name: model},
        tiers={**catalog.tiers, "opus": Tier("opus", model.name)},
    )
    return Table(catalog, policy)


def route(table: Table, model: str, stored: Stored = PREVIOUS, **more: object) -> Route:
    return choose(Question(Outline(model, stored=stored, **more)), table)  # type: ignore[arg-type]


@pytest.mark.parametrize("model", ["auto", "task/classification", "tier/haiku", "task/unknown"])
def test_a_tier_that_can_look_it_up_serves_and_the_reason_says_why(mixed: Table, model: str) -> None:
    found = route(mixed, model)
    assert [each.tier for each in found.candidates] == ["opus"]
    assert "cannot look up previous_response_id" in found.reason


def test_a_session_leaves_its_tier_for_one_that_can_look_it_up(mixed: Table) -> None:
    found = choose(Question(Outline("task/qa", stored=PREVIOUS), pinned_tier="sonnet"), mixed)
    assert [each.tier for each in found.candidates] == ["opus"]
    assert "session leaves sonnet: cannot look up previous_response_id" in found.reason


@pytest.mark.parametrize("model", ["agg/haiku-1", "big", "other/mystery", "tier/haiku", "auto"])
def test_where_nobody_can_it_is_not_found(table: Table, model: str) -> None:
    with pytest.raises(ResponseUnknown) as caught:
        route(table, model)
    error = caught.value
    assert (error.status, error.kind, error.param) == (400, "previous_response_not_found", PREVIOUS.field)
    assert error.message.startswith("Previous response with id 'resp_1' not found")
    assert "cannot look up previous_response_id" in error.message
    assert "whole conversation" in error.hint


def test_a_named_model_that_can_is_served_as_asked(mixed: Table) -> None:
    assert route(mixed, "there/any").candidates[0].model == "there/any"


def test_the_callers_fallback_serves_where_the_model_named_cannot(mixed: Table) -> None:
    found = route(mixed, "agg/haiku-1", fallback=("other/mystery", "there/m"))
    assert [each.model for each in found.candidates] == ["there/m"]
    assert "agg/haiku-1: cannot look up" in found.reason


def test_another_dialects_names_are_no_ones_either(mixed: Table) -> None:
    with pytest.raises(Unfit) as caught:
        route(mixed, "there/m", CACHED)
    assert (caught.value.kind, caught.value.param) == ("unfit", "cachedContent")
    assert "cachedContents/1" in caught.value.message
