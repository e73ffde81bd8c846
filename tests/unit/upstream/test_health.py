"""Health: what choosing is told of circuits, rests, latencies and retries, and what the log tells of them."""

from __future__ import annotations

import pytest

from tierwise.errors import UpstreamRefused
from tierwise.nouns import TierHealth
from tierwise.routing import Failure, failure_of
from tierwise.upstream import Health, health

NAME = "p/m"


class Clock:
    """Seconds, turned by hand."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(health, "seconds", made)
    return made


def status(code: int, retry_after_s: float | None = None) -> Failure:
    return Failure("status", code, retry_after_s)


def opened() -> Health:
    """A circuit that five failures opened."""
    found = Health()
    for _ in range(5):
        found.failed(NAME, status(503))
    return found


def test_the_log_tells_of_a_circuit_once(caplog: pytest.LogCaptureFixture) -> None:
    found = Health()
    for _ in range(9):
        found.failed(NAME, status(503))
    [told] = caplog.messages
    assert told == "p/m is left alone for 5 s: 5 of 5 calls failed, last: status 503"
    found.answered(NAME, 1, 2)
    found.answered(NAME, 1, 2)
    assert caplog.messages == [told, "p/m answers again"]


def test_the_log_tells_why_nobody_answered(caplog: pytest.LogCaptureFixture) -> None:
    found = Health()
    expired = UpstreamRefused("The provider's TLS certificate is not valid: it has expired.")
    for _ in range(5):
        found.failed(NAME, failure_of(expired, "sent"))
    [told] = caplog.messages
    assert told.endswith("last: The provider's TLS certificate is not valid: it has expired")


def test_what_this_machine_lacks_opens_no_circuit_and_is_no_probe(clock: Clock) -> None:
    lacking = Failure("connect", own=True, said="no files")
    found = Health()
    for _ in range(9):
        found.failed(NAME, lacking)
    assert found.calm
    found = opened()
    clock.now += 5
    found.began(NAME, "p", retry=False)
    found.failed(NAME, lacking)
    assert not found.view()[NAME].open  # another may find out how it is


def test_an_open_circuit_lets_one_probe_through_and_an_answer_closes_it(clock: Clock) -> None:
    found = opened()
    assert not found.calm
    assert found.view()[NAME].open
    clock.now += 5
    assert not found.view()[NAME].open
    found.began(NAME, "p", retry=False)
    assert found.view()[NAME].open  # for everyone but the probe
    found.let_go(NAME)
    assert not found.view()[NAME].open  # it was not sent: another may be the probe
    found.began(NAME, "p", retry=False)
    assert found.view()[NAME].open
    found.answered(NAME, 20_000, 50_000)
    assert found.calm
    assert found.view() == {NAME: TierHealth(ttft_ms=20.0, total_ms=50.0)}
    found.failed(NAME, status(503))
    assert found.calm


def test_answers_between_failures_count(clock: Clock) -> None:
    found = Health()
    for _ in range(4):
        found.failed(NAME, status(503))
    for _ in range(6):
        found.answered(NAME, 1, 1)
    found.failed(NAME, status(503))
    assert found.calm  # 5 of 11, less than half


@pytest.mark.parametrize(
    ("failure", "calm"),
    [(status(401), False), (status(402), False), (Failure("status", 429, spent=True), False),
     (status(403), True), (status(400), True), (status(429), True), (status(503), True)],
)  # fmt: skip
def test_a_refused_credential_opens_at_once_but_a_forbidden_request_does_not(
    failure: Failure, calm: bool, clock: Clock
) -> None:
    """A 403 may be of one request: a region, a model, a content filter."""
    found = Health()
    found.failed(NAME, failure)
    assert found.calm is calm
    if not calm:
        assert "credential was refused" in found.view()[NAME].reason


def test_a_deployment_that_asked_for_a_rest_waits_until_it_is_over(clock: Clock) -> None:
    found = Health()
    found.failed(NAME, status(429, 7.0))
    assert found.view() == {NAME: TierHealth(waiting=True, reason="status 429, retry after 7 s")}
    clock.now += 7
    assert found.view() == {}
    assert found.calm
    found.failed(NAME, status(429, 7.0))
    found.answered(NAME, 1, 1)
    assert found.calm  # it answers before its time
    both = opened()
    both.failed(NAME, status(503, 60.0))
    seen = both.view()[NAME]
    assert (seen.open, seen.waiting, seen.reason.startswith("5 of 5")) == (True, True, True)


def test_latencies_are_medians_of_the_last_answers_looked_at_now_and_then() -> None:
    found = Health()
    found.answered(NAME, 10_000, 100_000)
    for _ in range(15):
        found.answered(NAME, 30_000, 500_000)
    assert found.view()[NAME] == TierHealth(ttft_ms=10.0, total_ms=100.0)
    found.answered(NAME, 30_000, 500_000)
    assert found.view()[NAME] == TierHealth(ttft_ms=30.0, total_ms=500.0)
    for _ in range(64):
        found.answered(NAME, 2_000, 4_000)
    assert found.view()[NAME] == TierHealth(ttft_ms=2.0, total_ms=4.0)


def test_a_providers_retries_are_paid_for_when_decided_and_earned_by_first_attempts(clock: Clock) -> None:
    found = Health()
    for _ in range(10):
        assert found.broke() == frozenset()
        found.retries("p")
    found.retries("q")
    assert found.broke() == {"p"}
    for _ in range(4):
        found.began(NAME, "p", retry=False)
    found.began(NAME, "p", retry=True)
    assert found.broke() == {"p"}  # four fifths of one
    found.began(NAME, "p", retry=False)
    assert found.broke() == frozenset()
    found.retries("p")
    assert found.broke() == {"p"}
    clock.now += 0.11
    assert found.broke() == frozenset()


def test_names_that_came_first_are_forgotten_where_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(health, "_MOST", 2)
    found = opened()
    found.answered("p/other", 1, 1)
    found.answered(NAME, 1, 1)
    found.failed("p/other", status(401))
    found.answered("p/third", 1, 1)
    assert (found.calm, list(found.view())) == (True, [NAME, "p/third"])


def test_a_refused_credential_is_told_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 1000.0
    monkeypatch.setattr("tierwise.upstream.health.seconds", lambda: now)
    health = Health()
    for at, providers in ((0, ["p"]), (1, ["p", "q"]), (59, ["p"]), (60, ["p"]), (61, ["q"])):
        now = 1000.0 + at
        health.refused(providers)
    assert [record.getMessage().split()[1] for record in caplog.records] == ["p", "q", "p", "q"]
