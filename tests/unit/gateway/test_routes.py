"""Routes: remembering never changes what `choose` would say."""

import itertools

import pytest
from msgspec import structs

from tierwise.errors import NoTier, Unfit, UnknownModel
from tierwise.gateway.routes import Routes
from tierwise.nouns import (
    Abilities,
    Catalog,
    Ladder,
    Model,
    Outline,
    Policy,
    Provider,
    Rule,
    Tier,
)
from tierwise.routing import Failure, Question, Table, choose
from tierwise.upstream import Health

SMALL = Model("p/small", "p", "small", Abilities(vision=False, tools=False, context=1000, max_output=100))
LARGE = Model("p/large", "p", "large", Abilities(context=100_000, max_output=5000))
CATALOG = Catalog(
    providers={
        "p": Provider("p", "openai_chat", "https://p.example/v1", models=("small", "large")),
        "any": Provider("any", "openai_chat", "https://any.example/v1"),
    },
    models={model.name: model for model in (SMALL, LARGE)},
    tiers={"low": Tier("low", "p/small"), "high": Tier("high", "p/large")},
    ladder=Ladder(("low", "high"), "high"),
    aliases={"little": "p/small"},
)
POLICY = Policy(rules={"coding": Rule("coding", ("low",))}, tasks={}, safe_middle="low")
FEATURES = (
    {}, {"images": True}, {"documents": True}, {"audio": True}, {"tools": 1},
    {"tools": 1, "forced_tool": True},
    {"tool_loop": True}, {"thinking": True}, {"thinking_history": True}, {"json": True},
    {"output_schema": {"type": "object"}}, {"fallback": ("tier/high",)}, {"preference": "cost"},
)  # fmt: skip


@pytest.fixture
def table():
    return Table(CATALOG, POLICY)


def told(decide, *given):
    try:
        return decide(*given)
    except (NoTier, Unfit, UnknownModel) as error:
        return (error.message, error.hint)


def questions():
    for model, task, features in itertools.product(
        ("auto", "p/small", "little", "any/thing", "tier/low", "task/coding", "task/odd", "nothing"),
        (None, "coding", "odd"),
        FEATURES,
    ):
        for tokens, output, session in (
            (10, None, None), (10, 50, None), (900, 50, None), (1200, 50, None), (2000, 101, None),
            (990, 11, None), (10, 50, "high"), (10, 50, "low"),
        ):  # fmt: skip
            outline = Outline(model, max_output=output, task="coding" if output == 50 else None, **features)
            yield Question(outline, task, session, tokens)


def test_the_answer_is_that_of_choose_in_any_order_and_again(table):
    routes, health = Routes(table), Health()
    for question in [*questions(), *reversed([*questions()])]:
        assert told(routes.choose, question, health) == told(choose, question, table), question


def test_it_is_remembered_only_where_names_decide(table):
    routes, health = Routes(table), Health()
    plain = Question(Outline("tier/low"), prompt_tokens=10)
    assert routes.choose(plain, health) is routes.choose(plain, health)
    special = structs.replace(plain, outline=Outline("tier/low", json=True))
    assert routes.choose(special, health) is not routes.choose(special, health)


def test_an_open_circuit_is_seen_although_the_route_was_remembered(table):
    routes, health = Routes(table), Health()
    question = Question(Outline("tier/low"), prompt_tokens=10)
    assert routes.choose(question, health).candidates[0].tier == "low"
    for _ in range(5):
        health.failed("p/small", Failure("sent", 500))
    assert routes.choose(question, health).candidates[0].tier == "high"
    health.answered("p/small", 1, 1)
    assert routes.choose(question, health).candidates[0].tier == "low"


def test_names_that_callers_make_up_do_not_fill_the_memory(table):
    routes, health = Routes(table), Health()
    for number in range(1500):
        routes.choose(Question(Outline(f"task/{number}"), prompt_tokens=10), health)
    routes.choose(Question(Outline("task/" + "x" * 1000), prompt_tokens=10), health)
    assert len(routes._kept) <= 1024
    assert all(len(model) <= 400 for model, _, _ in routes._kept)
