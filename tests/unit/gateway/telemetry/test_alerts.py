from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from tierwise.errors import UpstreamRefused
from tierwise.gateway.metrics import Metrics
from tierwise.gateway.telemetry import webhook
from tierwise.gateway.telemetry.alerts import Reached, reached
from tierwise.gateway.telemetry.webhook import Webhook, signature
from tierwise.ledger import Balance
from tierwise.nouns import Budget

THRESHOLDS = (50, 80, 100)


def balance(cap: int, spent: int, reserved: int = 0, **terms: Any) -> Balance:
    return Balance(Budget("project:p", cap, **terms), 0, 10, reserved, spent)


def percents(spent: int, refused: bool = False, cap: int = 1000, **terms: Any) -> list[int | None]:
    return [each.percent for each in reached(balance(cap, spent, 400, **terms), THRESHOLDS, refused)]


def test_thresholds_are_of_what_is_spent_exactly() -> None:
    assert percents(499) == []
    assert percents(500) == [50]
    assert percents(799) == [50]
    assert percents(10**30, cap=10**30) == [50, 80, 100]
    assert percents(1500) == [50, 80, 100]


def test_a_refusal_is_the_end_of_the_budget_and_an_empty_one_says_nothing_before() -> None:
    assert percents(0, cap=0) == []
    assert percents(0, refused=True, cap=0) == [100]
    assert percents(900, refused=True) == [50, 80, 100]


def test_a_call_that_was_too_large_leaves_the_lower_thresholds_for_when_they_are_reached() -> None:
    assert percents(0, refused=True) == [100]
    assert percents(600, refused=True) == [50, 100]


def test_a_refusal_says_nothing_of_a_budget_that_nothing_was_taken_of() -> None:
    assert list(reached(balance(1000, 0), THRESHOLDS, refused=True)) == []
    assert [each.percent for each in reached(balance(0, 0), THRESHOLDS, refused=True)] == [100]


def test_what_shadow_calls_may_cost_is_there_to_be_used_up() -> None:
    day = Balance(Budget("shadow:p", 1000, "day"), 0, 10, 0, 1000)
    assert list(reached(day, THRESHOLDS, refused=True)) == []


def test_a_budgets_own_soft_amount() -> None:
    assert percents(299, soft_pico=300) == []
    assert percents(300, soft_pico=300) == [None]


def test_another_period_cap_or_threshold_is_another_notice() -> None:
    names = {
        Reached(balance(1000, 1), 50).name,
        Reached(balance(1000, 1), 80).name,
        Reached(balance(2000, 1), 50).name,
        Reached(balance(1000, 1, period="day"), 50).name,
        Reached(Balance(Budget("project:p", 1000), 10, 20, 0, 1), 50).name,
        Reached(Balance(Budget("project:q", 1000), 0, 10, 0, 1), 50).name,
    }
    assert len(names) == 6
    assert Reached(balance(1000, 1), 50).name == Reached(balance(1000, 999), 50).name


def test_the_notice_says_what_is_left_in_exact_decimals() -> None:
    notice = Reached(balance(3 * 10**12, 10**12 + 1), 50).notice()
    assert (notice["cap_usd"], notice["spent_usd"]) == ("3.000000000000", "1.000000000001")
    assert (notice["threshold"], notice["scope"]) == (50, "project:p")


def test_the_signature_is_that_of_standard_webhooks() -> None:
    # The example of the specification's reference libraries.
    secret, id = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    body = b'{"test": 2432232314}'
    assert signature(secret, id, 1614265330, body) == b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    plain = hmac.new(b"s3cret", b"a.1.b", hashlib.sha256).digest()
    assert signature("s3cret", "a", 1, b"b") == b"v1," + base64.b64encode(plain)


class Pool:
    """Answers with one status after another, or raises."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[Any] = []

    async def send(self, call: Any) -> Any:
        self.calls.append(call)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return Response(answer)


class Response:
    def __init__(self, status: int) -> None:
        self.status = status

    async def read(self, limit: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


async def delivered(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> tuple[Pool, Metrics]:
    monkeypatch.setattr(webhook, "PAUSES_S", (0.0,) * 3)
    pool, metrics = Pool(*answers), Metrics()
    hook: Any = Webhook(pool, "https://example.com/a/hook", "k", metrics)  # type: ignore[arg-type]
    hook.send("evt_1", {"scope": "tag:x"})
    await asyncio.gather(*hook._tasks)
    return pool, metrics


async def test_a_webhook_is_tried_again_until_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, metrics = await delivered(monkeypatch, UpstreamRefused("no"), 503, 429, 204)
    assert metrics.webhooks == {"delivered": 1}
    assert len(pool.calls) == 4
    assert {call.path for call in pool.calls} == {"/a/hook"}
    ids = {dict(call.headers)[b"webhook-id"] for call in pool.calls}
    assert ids == {b"evt_1"}
    assert json.loads(pool.calls[0].body) == {"id": "evt_1", "scope": "tag:x"}


async def test_it_is_given_up_after_its_tries_and_at_once_when_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool, metrics = await delivered(monkeypatch, 500, 500, 500, 500)
    assert (len(pool.calls), metrics.webhooks) == (4, {"failed": 1})
    pool, metrics = await delivered(monkeypatch, 404)
    assert (len(pool.calls), metrics.webhooks) == (1, {"failed": 1})
    pool, metrics = await delivered(monkeypatch, 302)
    assert (len(pool.calls), metrics.webhooks) == (1, {"failed": 1})
