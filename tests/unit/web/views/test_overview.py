from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

from tierwise.web.views.overview import plight


def told(failing_us: int = 0, away: bool = False, **refused: int) -> list[tuple[str, str]]:
    gate = SimpleNamespace(
        ledger=SimpleNamespace(failing_us=lambda: failing_us),
        admission=SimpleNamespace(away=away),
        metrics=SimpleNamespace(refused=Counter(refused)),
    )
    site = cast(Any, SimpleNamespace(control=SimpleNamespace(gate=gate)))
    return [(notice.weight, notice.what) for notice in plight(site)]


def test_a_gateway_that_waits_for_nothing_says_nothing():
    assert told(not_found=7) == []


def test_what_a_gateway_waits_for_and_whom_it_turned_away():
    assert told(72_500_000, True, budget=1200, overloaded=3) == [
        ("bad", "The ledger could not be written for 72 s: new calls are refused."),
        (
            "warn",
            "The store of limits that replicas share cannot be reached: each keeps to its share of them.",
        ),
        ("note", "Requests refused by this gateway since its start: 1,200 by a budget, 3 overloaded."),
    ]
