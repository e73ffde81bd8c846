"""The circuit breaker and the retry budget: events and times in, states out."""

from tierwise.routing import Breaker, BreakerRules, RetryBudget

RULES = BreakerRules(window=10, least=4, share=0.5, memory_s=60, cool_down_s=5, longest_s=15, credential_s=30)


def after(events, breaker=None, start=0.0):
    """The breaker after `events`: x failed, . succeeded, one each 0.1 s."""
    breaker = breaker or Breaker(RULES)
    for i, event in enumerate(events):
        now = start + i / 10
        breaker = breaker.failed(now, "status 503") if event == "x" else breaker.succeeded(now)
    return breaker


def phase(breaker, now):
    """Where it stands in the picture of `routing/health.py`."""
    if breaker.until_s is None:
        return "closed"
    return "open" if now < breaker.until_s else "half_open"


def test_a_few_failures_do_not_open():
    assert phase(after("xxx"), 1) == "closed"
    assert not after("xxx").health(1).open


def test_enough_failures_open_and_the_reason_says_how_many():
    health = after("..xxxx").health(1, ttft_ms=120.0)
    assert health.open
    assert health.reason == "4 of 6 calls failed, last: status 503"
    assert health.ttft_ms == 120.0


def test_a_small_share_of_failures_does_not_open():
    assert phase(after("......xxxx"), 1.5) == "closed"
    assert phase(after("......xxxxx"), 1.5) == "open"


def test_old_calls_leave_the_window():
    assert phase(after("xxx" + "." * 10 + "xxx"), 2) == "closed"


def test_each_call_of_the_window_counts_wherever_it_stands():
    assert phase(after("x...x..xxx"), 1.5) == "open"
    assert phase(after(".x...x..xxx"), 1.5) == "open"
    assert phase(after("x....x..xxx"), 1.5) == "closed"


def test_a_long_silence_forgets():
    assert phase(after("x", after("xxx"), start=100), 100) == "closed"
    assert phase(after("xxxx", after("xxx"), start=100), 100.5) == "open"
    assert phase(after("x", after("xxx"), start=50), 50) == "open"


def test_half_open_lets_one_probe_through_and_its_success_closes():
    breaker = after("xxxx")
    assert breaker.shut(5.2)
    assert phase(breaker, 5.4) == "half_open"
    assert not breaker.shut(5.4)
    probing = breaker.began(5.4)
    assert probing.shut(5.5)
    assert phase(probing.succeeded(6), 6) == "closed"
    assert not probing.succeeded(6).shut(6)
    assert phase(after("xxx", probing.succeeded(6), start=6), 7) == "closed"
    assert phase(after("xxxx", probing.succeeded(6), start=6), 7) == "open"


def test_a_failed_probe_opens_for_twice_as_long_up_to_a_bound():
    breaker, now = after("xxxx"), 0.3
    for cool in (5, 10, 15, 15):
        assert breaker.shut(now + cool - 0.01)
        now += cool
        assert not breaker.shut(now)
        breaker = breaker.began(now).failed(now, "timeout")


def test_a_lost_probe_does_not_block_for_ever():
    probing = after("xxxx").began(5.4)
    assert probing.shut(10.3)
    assert not probing.shut(10.5)


def test_late_failures_do_not_prolong_and_a_late_success_closes():
    breaker = after("xxxx")
    assert breaker.failed(4, "status 500") == breaker
    assert phase(breaker.succeeded(4), 4) == "closed"


def test_starting_a_call_on_a_closed_or_open_circuit_changes_nothing():
    assert Breaker(RULES).began(1) == Breaker(RULES)
    assert after("xxxx").began(1) == after("xxxx")


def test_a_refused_credential_opens_at_once():
    breaker = Breaker(RULES).refused(0, "credential refused")
    assert breaker.health(29).reason == "credential refused"
    assert not breaker.shut(30)


def test_retries_stay_within_a_fifth_of_the_calls_and_ten_a_second():
    budget, sent, now = RetryBudget(), 0, 0.0
    for i in range(5000):
        now = i / 100
        budget = budget.first(now)
        if budget.affords(now):
            budget, sent = budget.spent(now), sent + 1
    assert sent <= 0.2 * 5000 + 10 * now + 10
    assert sent >= 0.2 * 5000 + 10 * now - 10


def test_an_idle_budget_keeps_one_second_of_retries_and_never_goes_into_debt():
    budget = RetryBudget(at_s=0)
    assert budget.level(1000) == 10
    for _ in range(20):
        budget = budget.spent(1000)
    assert not budget.affords(1000)
    assert budget.affords(1000.1)
    assert RetryBudget(tokens=1).affords(0)
    assert budget.level(999) == 0
