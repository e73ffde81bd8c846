"""Retry as play-scripts: each line is a failure and what follows from it."""

import pytest

from tierwise.errors import UpstreamBroke, UpstreamRefused, UpstreamStatus, UpstreamTimeout
from tierwise.nouns import Ask, Candidate, Media, Message, Opaque, Route, Tool, ToolChange, ToolResult
from tierwise.routing import (
    Again,
    Failure,
    GiveUp,
    Plan,
    Try,
    counts_against,
    decide,
    failure_of,
    plan_of,
    refuses_credential,
    repeatable,
    rest_s,
)

CONNECT, SENT, HELD = Failure("connect"), Failure("sent"), Failure("held")
AB = Plan(deployments=("a/1", "b/1"), providers=("a", "b"))
ONE = Plan(deployments=("a/1",), providers=("a",))


def status(code, retry_after_s=None, spent=False):
    return Failure("status", code, retry_after_s, spent)


def run(plan, *failures, broke=(), limit=20):
    """Plays failures, the last one repeating, until it gives up: [(candidate, waited)], why."""
    tries, now, index, path = [], 0.0, 0, []
    for i in range(limit):
        tries.append(Try(index, failures[min(i, len(failures) - 1)], now))
        step = decide(plan, tries, now, broke)
        if isinstance(step, GiveUp):
            return path, step
        path.append((step.index, step.after_s))
        now += step.after_s
        index = step.index
    raise AssertionError("it never gives up")


def test_connect_fails_another_deployment_at_once():
    assert decide(AB, [Try(0, CONNECT, 5.0)], 5.0) == Again(1, 0.0, "could not connect")


def test_where_connecting_failed_another_providers_deployment_comes_first():
    plan = Plan(("a/1", "a/2", "b/1"), ("a", "a", "b"))
    assert run(plan, CONNECT)[0][:2] == [(2, 0.0), (1, 0.0)]
    assert run(plan, status(503))[0][:2] == [(1, 0.0), (2, 0.0)]


@pytest.mark.parametrize("code", [429, 529, 503, 500, 502, 504])
def test_transient_statuses_try_another_now_and_the_same_only_later(code):
    path, _ = run(AB, status(code))
    assert path[:3] == [(1, 0.0), (0, 1.0), (1, 0.0)]


def test_retry_after_is_honoured_for_the_same_deployment():
    assert decide(ONE, [Try(0, status(429, 7.0), 10.0)], 12.0) == Again(0, 5.0, "status 429")
    assert decide(ONE, [Try(0, status(429, 7.0), 10.0)], 30.0) == Again(0, 0.0, "status 429")
    assert decide(AB, [Try(0, status(429, 7.0), 10.0)], 10.0).index == 1


def test_a_retry_after_that_is_too_long_is_not_waited_for():
    path, end = run(ONE, status(503, 300.0))
    assert (path, end.why) == ([], "no candidate left")
    path, _ = run(AB, status(503, 300.0), status(503, 2.0))
    assert path[:2] == [(1, 0.0), (1, 2.0)]


def test_the_same_deployment_is_tried_three_times_at_most():
    path, end = run(ONE, status(503))
    assert path == [(0, 1.0), (0, 2.0)]
    assert end == GiveUp("no candidate left")


def test_all_tries_are_bounded():
    plan = Plan(tuple(f"p{i}/m" for i in range(9)), tuple(f"p{i}" for i in range(9)))
    path, end = run(plan, status(500))
    assert len(path) == plan.attempts - 1
    assert end.why == "6 attempts failed"


@pytest.mark.parametrize("failure", [status(401), status(403), status(402), status(429, spent=True)])
def test_a_refused_credential_is_never_used_again_and_raises_the_alarm(failure):
    plan = Plan(("a/1", "a/2", "b/1"), ("a", "a", "b"))
    assert decide(plan, [Try(0, failure, 0.0)], 0.0) == Again(2, 0.0, f"status {failure.status}", ("a",))
    tries = [Try(0, failure, 0.0), Try(2, status(503), 0.0)]
    step = decide(plan, tries, 0.0)
    assert (step.index, step.alarm) == (2, ("a",))
    assert decide(ONE, [Try(0, failure, 0.0)], 0.0) == GiveUp("no other credential", ("a",))


@pytest.mark.parametrize("code", [400, 404, 405, 408, 409, 413, 415, 422, 451])
def test_other_4xx_are_never_retried(code):
    assert decide(AB, [Try(0, status(code), 0.0)], 0.0) == GiveUp(f"status {code} is the request's own")


def test_sent_without_an_answer_is_sent_at_most_once_more():
    path, end = run(Plan(("a/1", "b/1", "c/1"), ("a", "b", "c")), SENT)
    assert path == [(1, 0.0)]
    assert end.why == "sent twice without an answer"


def test_what_broke_on_a_kept_connection_is_sent_again_at_once_and_once():
    one = Plan(("a",), ("p",))
    gone = Try(0, Failure("sent", stale=True), 0.0)
    assert decide(one, [Try(0, SENT, 0.0)], 0.0) == Again(0, 1.0, "no answer")
    assert decide(one, [gone], 0.0) == Again(0, 0.0, "no answer")
    assert decide(one, [gone, gone], 0.0) == GiveUp("sent twice without an answer")
    assert decide(Plan(("a",), ("p",), repeatable=False), [gone], 0.0).why.startswith("the request has side")


def test_a_request_with_side_effects_is_not_repeated_once_it_was_sent():
    plan = Plan(("a/1", "b/1"), ("a", "b"), repeatable=False)
    for failure in (SENT, HELD, Failure("held", 529)):
        assert "side effects" in decide(plan, [Try(0, failure, 0.0)], 0.0).why
    assert isinstance(decide(plan, [Try(0, CONNECT, 0.0)], 0.0), Again)
    assert isinstance(decide(plan, [Try(0, status(503), 0.0)], 0.0), Again)


def test_before_content_falls_back_after_content_never():
    assert decide(AB, [Try(0, HELD, 0.0)], 0.0) == Again(1, 0.0, "the answer broke off")
    assert decide(AB, [Try(0, Failure("held", 529), 0.0)], 0.0) == Again(1, 0.0, "status 529")
    for code in (None, 529):
        assert decide(AB, [Try(0, Failure("content", code), 0.0)], 0.0) == GiveUp("content was already sent")


def test_no_try_past_the_deadline():
    plan = Plan(("a/1",), ("a",), deadline_s=11.0)
    assert isinstance(decide(plan, [Try(0, status(503), 10.0)], 10.0), GiveUp)
    assert isinstance(decide(plan, [Try(0, status(503), 9.0)], 9.5), Again)
    assert isinstance(
        decide(Plan(("a/1", "b/1"), ("a", "b"), deadline_s=1.0), [Try(0, CONNECT, 2.0)], 2.0), GiveUp
    )


def test_a_spent_retry_budget_ends_it_unless_another_provider_has_some():
    assert decide(ONE, [Try(0, status(503), 0.0)], 0.0, {"a"}) == GiveUp("retry budget spent")
    assert decide(AB, [Try(0, status(503), 0.0)], 0.0, {"a"}).index == 1
    assert run(AB, status(503), broke={"b"})[0][0] == (0, 1.0)


def test_tiers_that_share_a_deployment_are_one_place():
    plan = Plan(("a/1", "a/1", "b/1"), ("a", "a", "b"))
    path, _ = run(plan, status(503))
    assert path == [(2, 0.0), (0, 1.0), (2, 0.0), (0, 2.0), (2, 0.0)]


def test_failures_are_read_from_errors():
    slow_down = UpstreamStatus(429, "slow down", "rate_limit_exceeded")
    slow_down.retry_after_s = 3.0
    assert failure_of(slow_down, "sent") == status(429, 3.0)
    assert failure_of(UpstreamStatus(429, "no money", "insufficient_quota"), "sent").spent
    assert failure_of(UpstreamStatus(529, "busy"), "held") == Failure("held", 529)
    assert failure_of(UpstreamStatus(529, "busy"), "content").moment == "content"
    assert failure_of(UpstreamRefused("No DNS."), "sent") == Failure("connect", said="No DNS")
    assert failure_of(UpstreamTimeout("late"), "sent") == Failure("sent", timeout=True, said="late")
    given_up = UpstreamBroke("gone")
    assert failure_of(given_up, "sent") == Failure("sent", said="gone")
    given_up.stale = True
    assert failure_of(given_up, "sent") == Failure("sent", stale=True, said="gone")
    assert failure_of(UpstreamBroke("reset"), "held") == Failure("held", said="reset")
    lacking = UpstreamRefused("no file")
    lacking.own = True
    assert failure_of(lacking, "sent") == Failure("connect", own=True, said="no file")


def test_a_clients_own_4xx_never_counts_against_a_deployment():
    assert [counts_against(status(code)) for code in (400, 404, 422, 429, 401)] == [False] * 5
    assert all(counts_against(each) for each in (CONNECT, SENT, HELD, status(500), status(529), status(503)))
    assert not counts_against(Failure("sent", stale=True))
    assert not counts_against(Failure("connect", own=True))
    assert refuses_credential(status(401))
    assert not refuses_credential(status(429))


def test_what_may_be_sent_twice():
    chat, responses, messages = "openai_chat", "openai_responses", "anthropic_messages"
    assert repeatable(Ask(chat, "m", ()), chat)
    assert not repeatable(Ask(chat, "m", (), store=True), chat)
    assert not repeatable(Ask(responses, "m", ()), responses)
    assert repeatable(Ask(responses, "m", ()), messages)
    assert repeatable(Ask(responses, "m", (), store=False), responses)
    assert not repeatable(Ask(messages, "m", (), tools=(Tool("web_search", "hosted"),)), messages)
    assert repeatable(Ask(messages, "m", (), tools=(Tool("mine"),)), messages)
    for kind, again in (("hosted", False), ("function", True)):
        brought = Opaque(messages, "tool_addition", {}, means=ToolChange("f", True, Tool("f", kind)))
        assert repeatable(Ask(messages, "m", (Message("system", (brought,)),)), messages) is again
    for fields in ({"conversation": "conv_1"}, {"plugins": [{"id": "web"}]}, {"web_search_options": {}}):
        assert not repeatable(Ask(chat, "m", (), extras=fields), chat)
    assert repeatable(Ask(responses, "m", (), store=False, extras={"background": False}), responses)
    assert not repeatable(Ask(messages, "m", (), extras={"mcp_servers": []}), messages)
    assert not repeatable(Ask(chat, "m", (), extras={"web_search_options": {}}), chat)
    file = Media("document", "file_id", "file_1")
    assert not repeatable(Ask(messages, "m", (Message("user", (file,)),)), messages)
    assert not repeatable(Ask(messages, "m", (Message("tool", (ToolResult("t", (file,)),)),)), messages)
    assert repeatable(Ask(messages, "m", (Message("user", (Media("image", "url", "u"),)),)), messages)


def test_what_a_provider_asked_to_wait_for():
    assert [rest_s(status(code, 7.0)) for code in (429, 503, 529, 500, 400)] == [7.0, 7.0, 7.0, 0.0, 0.0]
    assert rest_s(status(429)) == rest_s(status(429, -1.0)) == rest_s(status(429, 9.0, spent=True)) == 0.0
    assert rest_s(status(429, 1e9)) == 3600.0


def test_the_plan_of_a_route(catalog):
    route = Route((Candidate("agg/haiku-1", "haiku"), Candidate("open/x")), "qa", "task", "why", "auto")
    plan = plan_of(route, catalog, deadline_s=3.0)
    assert plan == Plan(("agg/haiku-1", "open/x"), ("agg", "open"), True, 3.0)
