"""Properties of choosing: deterministic, only what fits, nothing cheaper unasked, header-safe reasons."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from tierwise.errors import NoTier, Unfit, UnknownModel
from tierwise.nouns import (
    Abilities,
    Catalog,
    Ladder,
    Model,
    Outline,
    Policy,
    Price,
    Provider,
    Rule,
    Source,
    Task,
    Tier,
    TierHealth,
)
from tierwise.routing import Again, Failure, GiveUp, Plan, Question, Table, Try, choose, decide, doubt, misfit

TIERS = ("small", "middle", "large")
flag = st.sampled_from([None, True, False])
abilities = st.builds(
    Abilities, vision=flag, documents=flag, tools=flag, forced_tools=flag, structured_output=flag,
    context=st.sampled_from([None, 1000, 100_000]), max_output=st.sampled_from([None, 100, 5000]),
)  # fmt: skip
prices = st.one_of(
    st.none(), st.integers(0, 10**7).map(lambda p: Price("p", Source("t", ""), input=p, output=p))
)
text = st.text(max_size=300)


@st.composite
def catalogs(draw):
    served = draw(st.sets(st.sampled_from(TIERS), min_size=1))
    models = {}
    for tier in TIERS:
        price = draw(prices)
        models[f"p/{tier}"] = Model(f"p/{tier}", "p", tier, draw(abilities), (price,) if price else ())
    return Catalog(
        providers={
            "p": Provider("p", "openai_chat", "http://p", models=TIERS),
            "q": Provider("q", "gemini", "http://q"),
        },
        models=models,
        tiers={tier: Tier(tier, f"p/{tier}") for tier in TIERS if tier in served},
        ladder=Ladder(TIERS, "large"),
    )


rules = st.dictionaries(text.filter(bool), st.sampled_from(TIERS), max_size=3)
policies = st.builds(
    lambda starts, evidence, middle: Policy(
        {task: Rule(task, (tier,), evidence=evidence) for task, tier in starts.items()},
        {task: Task(task, start=tier) for task, tier in starts.items()},
        middle,
    ),
    rules.map(lambda more: {"coding": "middle", "vision": "large", "qa": "small", **more}),
    text,
    st.sampled_from(TIERS),
)
names = st.one_of(
    st.sampled_from(
        ["auto", "task/qa", "task/coding", "tier/small", "tier/large", "p/small", "q/any", "small", ""]
    ),
    text,
)
outlines = st.builds(
    Outline,
    names,
    stream=st.booleans(),
    images=st.booleans(),
    documents=st.booleans(),
    tools=st.integers(0, 2),
    forced_tool=st.booleans(),
    tool_loop=st.booleans(),
    thinking=st.booleans(),
    json=st.booleans(),
    output_schema=st.sampled_from([None, {"enum": [1]}, {"properties": {"a": {}, "b": {}}}]),
    max_output=st.sampled_from([None, 50, 1000]),
    task=st.one_of(st.none(), text),
    fallback=st.lists(st.sampled_from(["tier/small", "p/large", "q/other", "task/qa"])).map(tuple),
    preference=st.sampled_from([None, "priority", "cost", "latency", "balanced"]),
)
questions = st.builds(
    Question, outlines, task=st.one_of(st.none(), text),
    pinned_tier=st.one_of(st.none(), st.sampled_from(TIERS)),
    prompt_tokens=st.one_of(st.none(), st.integers(0, 200_000)),
)  # fmt: skip
healths = st.dictionaries(
    st.sampled_from([*(f"p/{tier}" for tier in TIERS), "q/other"]),
    st.builds(TierHealth, open=st.booleans(), reason=text, ttft_ms=st.one_of(st.none(), st.floats(0, 1e6))),
)


def decided(question, catalog, policy, health):
    try:
        return choose(question, Table(catalog, policy), health)
    except (UnknownModel, NoTier, Unfit) as error:
        return error


@settings(max_examples=400, deadline=None)
@given(questions, catalogs(), policies, healths)
def test_a_route_is_sound(question, catalog, policy, health):
    route = decided(question, catalog, policy, health)
    if isinstance(route, Exception):
        assert isinstance(route, UnknownModel) or route.kind in ("no_tier", "unfit")
        return
    assert route == decided(question, catalog, policy, health), (
        "the same question is decided the same way again"
    )
    assert len(set(route.candidates)) == len(route.candidates) >= 1
    assert 0 < len(route.reason) <= 200
    assert route.reason.isascii()
    assert route.reason.isprintable()
    assert route.reason == route.reason.strip()
    assert 0 < len(route.task) <= 64 or route.task in policy.tasks
    for candidate in route.candidates:
        pinned = route.how == "pinned" and candidate.model == question.outline.model
        if candidate.model in catalog.models and not pinned:
            able = catalog.models[candidate.model].abilities
            assert not misfit(able, question.outline, question.tokens())
    shut = [health.get(each.model, TierHealth()).open for each in route.candidates]
    assert shut == sorted(shut), "open circuits stand at the end"


@settings(max_examples=200, deadline=None)
@given(questions, catalogs(), policies)
def test_no_cheaper_tier_than_the_start_unless_the_caller_says_so(question, catalog, policy):
    if question.outline.fallback or question.pinned_tier:
        question = Question(Outline("task/coding", images=question.outline.images), prompt_tokens=10)
    route = decided(question, catalog, policy, {})
    if isinstance(route, Exception) or route.how != "task":
        return
    start = policy.rules[route.task].tiers[0]
    dear_enough = TIERS[TIERS.index(start) :]
    if any(tier in catalog.tiers for tier in dear_enough):
        assert {each.tier for each in route.candidates} <= set(dear_enough)


@settings(max_examples=200, deadline=None)
@given(outlines, abilities, st.integers(0, 10**6))
def test_nothing_known_never_excludes_and_more_ability_never_hurts(outline, able, tokens):
    assert misfit(Abilities(), outline, tokens) == doubt(Abilities(), outline, tokens) == ""
    full = Abilities(True, True, True, True, True, True, context=10**9, max_output=10**9)
    assert misfit(full, outline, tokens) == doubt(full, outline, tokens) == ""
    assert (misfit(able, outline, tokens) == "") >= (misfit(able, outline, tokens + 1) == "")


failures = st.builds(
    Failure, st.sampled_from(["connect", "sent", "status", "held", "content"]),
    st.sampled_from([None, 400, 401, 403, 404, 408, 429, 500, 503, 529]),
    st.one_of(st.none(), st.floats(0, 1000)), st.booleans(),
)  # fmt: skip
plans = st.lists(st.sampled_from(["a/1", "a/2", "b/1", "c/1"]), min_size=1, max_size=5).map(
    lambda models: Plan(tuple(models), tuple(each[0] for each in models), deadline_s=60.0)
)


@settings(max_examples=400, deadline=None)
@given(plans, st.lists(failures, min_size=1, max_size=12), st.sets(st.sampled_from("abc")))
def test_every_conversation_ends_and_keeps_the_rules(plan, script, broke):
    tries, now, index = [], 0.0, 0
    for failure in [*script, *[script[-1]] * 12]:
        tries.append(Try(index, failure, now))
        step = decide(plan, tries, now, broke)
        assert step == decide(plan, tries, now, broke)
        if isinstance(step, GiveUp):
            return
        assert isinstance(step, Again)
        assert failure.moment != "content"
        assert math.isfinite(step.after_s)
        assert 0 <= step.after_s <= plan.longest_wait_s
        assert now + step.after_s < plan.deadline_s
        assert plan.providers[step.index] not in {*broke, *step.alarm}
        now += step.after_s
        index = step.index
    raise AssertionError("it never gave up")
