"""choose: what is named decides, fit comes first, and the reason says so."""

import pytest
from msgspec import structs

from tierwise.errors import NoTier, Unfit, UnknownModel
from tierwise.nouns import Ladder, Model, Outline, Policy, Rule, Skipped, Task, Tier, TierHealth
from tierwise.routing import Question, Table, choose, model_of

IMAGE = Outline("auto", images=True, media=1)


def tiers(route):
    return [candidate.tier or candidate.model for candidate in route.candidates]


def ask(model, table, health=None, task=None, tokens=None, **outline):
    question = Question(Outline(model, **outline), task=task, prompt_tokens=tokens)
    return choose(question, table, health)


@pytest.mark.parametrize(
    ("task", "tier"),
    [
        ("classification", "haiku"), ("summarization", "haiku"), ("extraction", "haiku"),
        ("coding", "sonnet"), ("reasoning", "sonnet"), ("agent", "sonnet"), ("vision", "opus"),
    ],
)  # fmt: skip
def test_three_ways_of_naming_a_task_lead_to_its_tier(table, task, tier):
    routes = [
        ask(f"task/{task}", table),
        ask("auto", table, task=task),
        choose(Question(Outline("auto", task=task)), table),
    ]
    for route in routes:
        assert (tiers(route)[0], route.task, route.how) == (tier, task, "task")
        assert f"task {task}" in route.reason
        assert f"-> {tier}: unmeasured (prior)" in route.reason


def test_the_header_outranks_metadata_and_the_model_field_outranks_both(table):
    both = Question(Outline("auto", task="coding"), task="vision")
    assert choose(both, table).task == "vision"
    named = structs.replace(both, outline=Outline("task/qa", task="coding"))
    assert choose(named, table).task == "qa"


def test_a_task_is_found_in_another_case_and_with_spaces(table):
    assert ask("auto", table, task=" Coding ").task == "coding"


def test_an_unknown_task_goes_to_the_safe_middle_and_the_nearest_known_is_named(table):
    route = ask("auto", table, task="poetry-slam")
    assert (tiers(route), route.task, route.how) == (["sonnet", "opus"], "poetry-slam", "safe_middle")
    assert "nearest known" in route.reason
    near = ask("task/sumarisation", table)
    assert "nearest known summarization, safe middle -> sonnet" in near.reason


def test_an_unknown_task_when_no_task_is_configured_at_all(catalog):
    route = ask("auto", Table(catalog, Policy({}, {}, "sonnet")), task="x")
    assert tiers(route)[0] == "sonnet"
    assert "nearest" not in route.reason


def test_auto_infers_the_task_and_says_by_what(table):
    route = choose(Question(IMAGE), table)
    assert (tiers(route)[0], route.task, route.how) == ("opus", "vision", "inferred")
    assert "image" in route.reason
    plain = ask("auto", table)
    assert (tiers(plain)[0], plain.task, plain.how) == ("sonnet", "unknown", "safe_middle")


def test_an_inferred_task_nobody_configured_goes_to_the_safe_middle(catalog):
    route = choose(Question(IMAGE), Table(catalog, Policy({}, {}, "sonnet")))
    assert (tiers(route)[0], route.how, route.task) == ("sonnet", "safe_middle", "vision")
    assert "not configured" in route.reason


def test_dearer_tiers_stand_behind_the_start_and_cheaper_ones_are_named_as_left_out(table):
    route = ask("task/coding", table)
    assert tiers(route) == ["sonnet", "opus"]
    assert [each.tier for each in route.skipped] == ["haiku"]
    assert "cheaper" in route.skipped[0].why


def test_tiers_the_policy_names_in_its_own_order_are_kept(catalog):
    policy = Policy({"qa": Rule("qa", ("opus", "haiku"), evidence="0.1 pp")}, {}, "sonnet")
    assert tiers(ask("task/qa", Table(catalog, policy))) == ["opus", "haiku"]


def test_a_rule_without_a_task_and_a_task_without_a_rule_both_route(catalog):
    policy = Policy({"a": Rule("a", ("haiku",))}, {"b": Task("b", start="opus"), "c": Task("c")}, "sonnet")
    table = Table(catalog, policy)
    assert [tiers(ask(f"task/{name}", table))[0] for name in "abc"] == ["haiku", "opus", "sonnet"]


def test_a_tasks_own_ladder_gives_its_fallbacks(catalog):
    policy = Policy({}, {"b": Task("b", ladder=("haiku", "opus"), start="haiku")}, "sonnet")
    assert tiers(ask("task/b", Table(catalog, policy))) == ["haiku", "opus"]


def test_an_expired_rule_says_so(catalog):
    policy = Policy({"a": Rule("a", ("haiku",), "expired", "-0.4 pp, n 800")}, {}, "sonnet")
    assert "expired: -0.4 pp, n 800" in ask("task/a", Table(catalog, policy)).reason


def test_a_tier_that_is_not_served_is_passed_over_upward(catalog, policy):
    fewer = structs.replace(catalog, tiers={"opus": catalog.tiers["opus"]})
    route = ask("task/qa", Table(fewer, policy))
    assert tiers(route) == ["opus"]
    assert Skipped("haiku", "not served here") in route.skipped
    assert "haiku is not served here" in route.reason


def test_when_nothing_from_the_start_on_is_served_whatever_there_is_serves(catalog, policy):
    fewer = structs.replace(catalog, tiers={"haiku": catalog.tiers["haiku"]})
    assert tiers(ask("task/vision", Table(fewer, policy))) == ["haiku"]
    own = structs.replace(
        catalog, tiers={"mine": Tier("mine", "agg/opus-1")}, ladder=Ladder(("mine",), "mine")
    )
    assert tiers(ask("task/coding", Table(own, policy))) == ["mine"]


def test_no_tier_at_all(catalog, policy):
    empty = structs.replace(catalog, tiers={}, ladder=Ladder((), ""))
    with pytest.raises(NoTier, match="sonnet: not served here"):
        ask("auto", Table(empty, policy))
    with pytest.raises(NoTier, match="none is configured"):
        ask("auto", Table(empty, Policy({}, {}, "")))


def test_a_policy_without_a_safe_middle_starts_at_the_bottom_of_the_ladder(catalog):
    route = ask("auto", Table(catalog, Policy({}, {}, "")))
    assert tiers(route) == ["haiku", "sonnet", "opus"]
    assert route.reason.endswith("safe middle -> haiku")


def test_tier_by_name(table):
    for name in ("haiku", "sonnet", "opus"):
        route = ask(f"tier/{name}", table)
        assert (tiers(route)[0], route.how) == (name, "tier")
    assert tiers(ask("tier/haiku", table)) == ["haiku", "sonnet", "opus"]


# Fit


def test_no_tier_that_lacks_vision(make_table):
    table = make_table(haiku={"vision": False}, sonnet={"vision": False})
    route = ask("tier/haiku", table, images=True)
    assert tiers(route) == ["opus"]
    assert "haiku: no vision; sonnet: no vision" in route.reason
    assert [each.tier for each in route.skipped] == ["haiku", "sonnet"]


@pytest.mark.parametrize(
    ("lacking", "outline", "why"),
    [
        ({"tools": False}, {"tools": 2}, "no tools"),
        ({"tools": False}, {"tool_loop": True}, "no tools"),
        ({"documents": False}, {"documents": True}, "no documents"),
        ({"audio": False}, {"audio": True}, "no audio"),
        ({"max_output": 8192}, {"max_output": 8193}, "output limit 8192, asked 8193"),
        ({"context": 1000}, {"tokens": 2000}, "context 1000, the prompt needs about 2000 tokens"),
        ({"context": 1000}, {"tokens": 1200}, "context 1000, needs about 1200 tokens"),
        ({"context": 1000}, {"tokens": 500, "max_output": 700}, "context 1000, needs about 1200 tokens"),
    ],
)
def test_no_tier_that_lacks_something_asked_for(make_table, lacking, outline, why):
    route = ask("task/qa", make_table(haiku=lacking), **outline)
    assert tiers(route)[0] == "sonnet"
    assert f"haiku: {why}" in route.reason


def test_what_is_lacking_and_not_asked_for_does_not_matter(make_table):
    lacking = dict.fromkeys(
        ("vision", "tools", "documents", "audio", "structured_output", "forced_tools"), False
    )
    route = ask("task/qa", make_table(haiku=lacking))
    assert (tiers(route)[0], route.skipped) == ("haiku", ())


def test_what_just_fits_fits(make_table):
    table = make_table(haiku={"max_output": 8192, "context": 1000})
    assert tiers(ask("task/qa", table, tokens=500, max_output=500))[0] == "haiku"


def test_unknown_abilities_never_exclude(make_table):
    nothing = dict.fromkeys(("vision", "tools", "context", "max_output", "documents"))
    table = make_table(haiku=nothing)
    route = ask("task/qa", table, images=True, tools=1, documents=True, tokens=10**7, max_output=10**6)
    assert tiers(route) == ["haiku"]


def test_nothing_fits_and_the_error_says_why_for_each(make_table):
    blind = {"vision": False}
    table = make_table(haiku=blind, sonnet=blind, opus=blind)
    with pytest.raises(Unfit) as caught:
        ask("tier/haiku", table, images=True)
    assert "haiku: no vision; sonnet: no vision; opus: no vision" in caught.value.message
    assert caught.value.status == 400  # the same request will never be served


def test_the_callers_own_fallback_serves_when_no_tier_fits(make_table):
    blind = {"vision": False}
    table = make_table(haiku=blind, sonnet=blind, opus=blind)
    route = ask("task/vision", table, images=True, fallback=("other/mystery",))
    assert tiers(route) == ["other/mystery"]
    assert "opus: no vision" in route.reason


def test_a_prompt_whose_estimate_may_be_too_high_is_served_when_nothing_larger_is_there(table, make_table):
    route = ask("task/coding", table, tokens=230_000)
    assert tiers(route) == ["sonnet", "opus"]
    assert "context 200000, needs about 230000 tokens" in route.reason
    larger = ask("task/coding", make_table(opus={"context": 10**6}), tokens=230_000)
    assert tiers(larger) == ["opus"]
    with pytest.raises(Unfit):
        ask("task/coding", table, tokens=260_000)


def test_a_client_that_asks_for_the_largest_answer_beside_a_long_prompt_is_not_turned_away(table, make_table):
    route = ask("task/agent", table, tokens=150_000, max_output=64_000)
    assert tiers(route) == ["sonnet", "opus"]
    assert "context 200000, needs about 214000 tokens" in route.reason
    larger = make_table(opus={"context": 10**6})
    assert tiers(ask("task/agent", larger, tokens=150_000, max_output=64_000)) == ["opus"]


def test_a_tier_without_structured_output_is_the_last_resort_for_a_schema(make_table):
    schema = {"type": "object", "properties": {"a": {}, "b": {}}}
    route = ask("task/qa", make_table(haiku={"structured_output": False}), output_schema=schema)
    assert tiers(route) == ["sonnet", "opus"]
    assert route.skipped == (Skipped("haiku", "no structured output"),)
    none = {"structured_output": False}
    table = make_table(haiku=none, sonnet=none, opus=none)
    assert tiers(ask("task/qa", table, output_schema=schema)) == ["haiku", "sonnet", "opus"]


def test_a_schema_beside_tools_prefers_a_tier_that_takes_both(make_table):
    table = make_table(haiku={"schema_beside_tools": False})
    both = ask("task/qa", table, tools=1, json=True, output_schema={"type": "object"})
    assert tiers(both) == ["sonnet", "opus"]
    assert "haiku: no structured output beside tools" in both.reason
    for alone in ({"tools": 1}, {"json": True, "output_schema": {"type": "object"}}):
        assert tiers(ask("task/qa", table, **alone))[0] == "haiku"


def test_forced_tools_prefer_a_tier_that_takes_them(make_table):
    route = ask("task/qa", make_table(haiku={"forced_tools": False}), tools=1, forced_tool=True)
    assert tiers(route)[0] == "sonnet"
    assert "haiku: no forced tools" in route.reason


def test_the_prompt_is_estimated_when_no_estimate_is_given(table):
    sizes = {0: 0, 1: 1, 7: 2, 8: 3, 3500: 1000}
    assert [Question(Outline("m", prompt_bytes=size)).tokens() for size in sizes] == list(sizes.values())
    assert tiers(ask("task/coding", table, prompt_bytes=3 * 200_000))[0] == "sonnet"
    with pytest.raises(Unfit):
        ask("task/coding", table, prompt_bytes=5 * 200_000)


# Pinned


@pytest.mark.parametrize(
    ("name", "served"),
    [
        ("agg/haiku-1", "agg/haiku-1"),
        ("big", "agg/opus-1"),
        ("vendor/haiku", "agg/haiku-1"),
        ("open/any/thing:v1", "open/any/thing:v1"),
    ],
)
def test_a_pinned_model_is_served_as_asked(table, catalog, name, served):
    route = ask(name, table)
    assert (tiers(route), route.how, route.asked) == ([served], "pinned", name)
    assert route.candidates[0].tier == ""
    assert served in route.reason
    assert model_of(catalog, route.candidates[0]).provider == served.partition("/")[0]


def test_a_pinned_model_is_not_substituted_even_when_it_cannot_serve(make_table):
    route = ask("agg/haiku-1", make_table(haiku={"vision": False}), images=True)
    assert tiers(route) == ["agg/haiku-1"]


def test_a_task_named_beside_a_pinned_model_is_recorded(table):
    assert ask("agg/haiku-1", table, task="coding").task == "coding"
    assert ask("tier/opus", table, task="poetry-slam").task == "poetry-slam"
    assert ask("agg/haiku-1", table, images=True).task == "vision"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("haiku", "tier/haiku"),
        ("coding", "task/coding"),
        ("agg/haiku-2", "agg/haiku-1"),
        ("tier/haikoo", "tier/haiku"),
        ("aut", "auto"),
        ("dangling", ""),
        ("no/such-model", ""),
        ("open/", ""),
        ("open/a\r\nb", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(table, name, near):
    with pytest.raises(UnknownModel) as caught:
        ask(name, table)
    assert near in caught.value.hint
    assert (caught.value.status, caught.value.param) == (404, "model")
    assert "\r" not in caught.value.message


def test_model_of_knows_what_cannot_be_resolved(catalog, table):
    candidate = ask("open/x", table).candidates[0]
    assert model_of(catalog, candidate).id == "x"
    assert model_of(catalog, structs.replace(candidate, model="agg/unlisted")) is None
    assert model_of(catalog, structs.replace(candidate, model="nowhere/x")) is None


# Sessions, fallbacks, preferences, circuits


def test_a_session_stays_on_its_tier_if_it_fits(make_table):
    question = Question(Outline("task/coding"), pinned_tier="haiku")
    route = choose(question, make_table())
    assert tiers(route) == ["haiku", "sonnet", "opus"]
    assert "session tier haiku" in route.reason
    assert route.skipped == ()
    blind = make_table(haiku={"vision": False})
    left = choose(Question(Outline("task/coding", images=True), pinned_tier="haiku"), blind)
    assert tiers(left) == ["sonnet", "opus"]
    assert "session leaves haiku: no vision" in left.reason


def test_a_session_tier_gone_or_beside_a_named_tier_changes_nothing(table):
    assert tiers(choose(Question(Outline("task/coding"), pinned_tier="gone"), table)) == ["sonnet", "opus"]
    assert tiers(choose(Question(Outline("tier/opus"), pinned_tier="haiku"), table)) == ["opus"]
    assert tiers(choose(Question(Outline("big"), pinned_tier="haiku"), table)) == ["agg/opus-1"]


def test_the_callers_fallbacks_follow_the_first_choice(table):
    route = ask("task/coding", table, fallback=("tier/haiku", "other/mystery", "open/x", "task/vision"))
    assert tiers(route) == ["sonnet", "haiku", "other/mystery", "open/x", "opus"]
    pinned = ask("other/mystery", table, fallback=("big",))
    assert tiers(pinned) == ["other/mystery", "agg/opus-1"]


def test_a_fallback_that_cannot_serve_is_left_out(make_table):
    route = ask("tier/opus", make_table(haiku={"vision": False}), images=True, fallback=("tier/haiku",))
    assert tiers(route) == ["opus"]
    assert "fallback haiku: no vision" in route.reason


@pytest.mark.parametrize("name", ["nope", "auto", "tier/nope", "task/nope", "agg/coding", "agg/haiku"])
def test_an_unknown_fallback_is_refused_before_it_is_needed(table, name):
    with pytest.raises(UnknownModel) as caught:
        ask("auto", table, fallback=(name,))
    assert caught.value.param == "provider.fallback"


def seen(**ms):
    return {f"agg/{tier}-1": TierHealth(ttft_ms=t, total_ms=10_000 - t) for tier, t in ms.items()}


def test_ordering_by_cost_latency_and_both(table):
    fallback = ("other/mystery", "tier/haiku")
    health = seen(sonnet=300.0, haiku=100.0, opus=50.0)

    def order(preference, **more):
        return tiers(ask("task/coding", table, health, fallback=fallback, preference=preference, **more))

    assert order("priority") == ["sonnet", "other/mystery", "haiku", "opus"]
    assert order("cost") == ["haiku", "sonnet", "opus", "other/mystery"]
    assert order("latency", stream=True) == ["opus", "haiku", "sonnet", "other/mystery"]
    assert order("latency", stream=False) == ["sonnet", "haiku", "opus", "other/mystery"]
    # haiku 1 + 2, opus 5 + 1, sonnet 3 + 6, mystery 5 + 6 (its unknowns count as the worst known)
    assert order("balanced", stream=True, tokens=1000, max_output=0) == [
        "haiku",
        "opus",
        "sonnet",
        "other/mystery",
    ]


def test_what_was_named_outright_stays_first_whatever_the_preference(table):
    assert tiers(ask("tier/opus", table, fallback=("tier/haiku",), preference="cost")) == ["opus", "haiku"]
    pinned = ask("other/mystery", table, fallback=("tier/opus", "tier/haiku"), preference="cost")
    assert tiers(pinned) == ["other/mystery", "haiku", "opus"]
    sticky = Question(Outline("task/qa", preference="cost"), pinned_tier="opus")
    assert tiers(choose(sticky, table)) == ["opus", "haiku", "sonnet"]


def test_an_open_circuit_goes_to_the_end_and_is_not_removed(table):
    health = {"agg/haiku-1": TierHealth(open=True, reason="5 of 6 calls failed")}
    route = ask("task/qa", table, health)
    assert tiers(route) == ["sonnet", "opus", "haiku"]
    assert "haiku: circuit open, 5 of 6 calls failed" in route.reason
    assert tiers(ask("agg/haiku-1", table, health)) == ["agg/haiku-1"]
    assert tiers(ask("agg/haiku-1", table, health, fallback=("big",))) == ["agg/opus-1", "agg/haiku-1"]


def test_closed_circuits_change_nothing(table):
    assert ask("task/qa", table, seen(haiku=1.0)) == ask("task/qa", table)


def test_reasons_are_header_safe_whatever_the_names(catalog):
    nasty = "x\r\nset-cookie: a=b\x00é" + "y" * 500
    policy = Policy({"a": Rule("a", ("haiku",), evidence="−0.4 pp ± 1\r\n≤ é" * 40)}, {}, "sonnet")
    table = Table(catalog, policy)
    for route in (ask("auto", table, task=nasty), ask("task/" + nasty, table), ask("task/a", table)):
        assert len(route.reason) <= 200
        assert route.reason.isascii()
        assert route.reason.isprintable()
        assert len(route.task) <= 64
        assert route.task.isprintable()
    assert "-0.4 pp +/- 1" in ask("task/a", table).reason


def test_a_vendors_bare_id_is_served_where_a_provider_takes_any(catalog, policy):
    seen = []

    def find(name):
        seen.append(name)
        return Model(f"open/{name}", "open", name) if name.startswith("claude") else None

    table = Table(catalog, policy, find=find)
    route = ask("claude-opus-9", table)
    assert ([each.model for each in route.candidates], route.how) == (["open/claude-opus-9"], "pinned")
    with pytest.raises(UnknownModel, match="There is no model 'gpt-9'"):
        ask("gpt-9", table)
    ask("big", table)
    ask("tier/haiku", table)
    assert seen == ["claude-opus-9", "gpt-9"]


def test_the_same_model_at_another_provider_stands_behind_each_choice(catalog, policy):
    """For a tier and for a name that leave the provider open; `provider.routing` orders the providers too."""
    haiku = catalog.models["agg/haiku-1"]
    dear = structs.replace(haiku, name="far/haiku-1", provider="far", prices=())
    beside = ("far/haiku-1",)
    catalog = structs.replace(
        catalog,
        models={**catalog.models, dear.name: dear},
        tiers={**catalog.tiers, "haiku": structs.replace(catalog.tiers["haiku"], beside=beside)},
        aliases={**catalog.aliases, "any-haiku": haiku.name},
        beside={"any-haiku": beside},
    )
    table = Table(catalog, policy)

    def models(route):
        return [candidate.model for candidate in route.candidates]

    route = ask("tier/haiku", table)
    assert models(route)[:2] == ["agg/haiku-1", "far/haiku-1"]
    assert tiers(route)[:3] == ["haiku", "haiku", "sonnet"]
    assert models(ask("any-haiku", table)) == ["agg/haiku-1", "far/haiku-1"]
    assert models(ask("agg/haiku-1", table)) == ["agg/haiku-1"]
    assert models(ask("any-haiku", table, fallback=("tier/opus",)))[0::2] == ["agg/haiku-1", "far/haiku-1"]
    slow = {"agg/haiku-1": TierHealth(total_ms=900.0), "far/haiku-1": TierHealth(total_ms=10.0)}
    route = ask("any-haiku", table, slow, preference="latency", fallback=("tier/opus",))
    assert models(route)[:2] == ["far/haiku-1", "agg/haiku-1"]
    route = ask("tier/haiku", table, {"agg/haiku-1": TierHealth(open=True, reason="status 500")})
    assert models(route)[0] == "far/haiku-1"
    assert "agg/haiku-1: circuit open, status 500" in route.reason


def test_auto_is_no_fallback(table):
    with pytest.raises(UnknownModel, match="`auto` is no fallback"):
        ask("tier/haiku", table, fallback=("auto",))


def test_tools_go_past_a_model_that_takes_none_over_chat(make_table):
    table = make_table(haiku={"chat_tools": False})
    route = ask("task/qa", table, tools=1)
    assert (tiers(route), ask("task/qa", table).candidates[0].tier) == (["sonnet", "opus"], "haiku")
    assert route.skipped == (Skipped("haiku", "no tools over chat completions"),)


def test_a_named_model_that_takes_no_tools_over_chat_is_not_asked_with_them(make_table):
    table = make_table(haiku={"chat_tools": False})
    with pytest.raises(Unfit, match="agg/haiku-1: no tools over chat completions") as caught:
        ask("agg/haiku-1", table, tools=1)
    assert 'dialect = "openai_responses"' in caught.value.hint
    assert tiers(ask("agg/haiku-1", table)) == ["agg/haiku-1"]
    assert tiers(ask("agg/haiku-1", table, tools=1, fallback=("tier/opus",))) == ["opus"]
