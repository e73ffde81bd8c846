"""A small catalog: three tiers at one provider, one provider that passes any model id on, the usual tasks."""

import pytest

from tierwise.nouns import (
    Abilities,
    Catalog,
    Ladder,
    Model,
    Policy,
    Price,
    Provider,
    Rule,
    Source,
    Task,
    Tier,
)
from tierwise.routing import Table

STARTS = {
    "classification": "haiku", "summarization": "haiku", "extraction": "haiku", "qa": "haiku",
    "moderation": "haiku",
    "coding": "sonnet", "reasoning": "sonnet", "agent": "sonnet", "vision": "opus",
}  # fmt: skip
SOURCE = Source("test", "2026-04-01")


def model(name: str, dollars: tuple[int, int] | None, **abilities: object) -> Model:
    """A Model with `dollars` per million tokens of input and output."""
    provider, _, identifier = name.partition("/")
    price = dollars and Price(name, SOURCE, input=dollars[0] * 10**6, output=dollars[1] * 10**6)
    known = Abilities(
        **{"vision": True, "tools": True, "context": 200_000, "max_output": 64_000, **abilities}
    )
    return Model(name, provider, identifier, known, (price,) if price else ())


def catalog_of(**abilities: dict[str, object]) -> Catalog:
    """The catalog, with abilities of a tier's model changed as said."""
    prices = {"haiku": (1, 5), "sonnet": (3, 15), "opus": (5, 25)}
    models = [model(f"agg/{tier}-1", usd, **abilities.get(tier, {})) for tier, usd in prices.items()]
    models.append(model("other/mystery", None))
    return Catalog(
        providers={
            "agg": Provider("agg", "openai_chat", "http://agg", models=("haiku-1", "sonnet-1", "opus-1")),
            "other": Provider("other", "openai_chat", "http://other", models=("mystery",)),
            "open": Provider("open", "openai_chat", "http://open"),
        },
        models={each.name: each for each in models},
        tiers={tier: Tier(tier, f"agg/{tier}-1") for tier in prices},
        ladder=Ladder(tuple(prices), "opus"),
        aliases={"big": "agg/opus-1", "vendor/haiku": "agg/haiku-1", "dangling": "agg/none"},
    )


@pytest.fixture
def policy() -> Policy:
    return Policy(
        rules={task: Rule(task, (tier,)) for task, tier in STARTS.items()},
        tasks={task: Task(task, start=tier) for task, tier in STARTS.items()},
        safe_middle="sonnet",
    )


@pytest.fixture
def make_table(policy):
    """make_table(opus={"vision": False}) → the Table of a catalog with that ability changed."""
    return lambda **abilities: Table(catalog_of(**abilities), policy)


@pytest.fixture
def catalog() -> Catalog:
    return catalog_of()


@pytest.fixture
def table(make_table) -> Table:
    return make_table()
