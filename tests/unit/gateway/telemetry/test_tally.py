"""The counts for Prometheus: each Attempt once, in every sum it belongs to."""

from __future__ import annotations

from tierwise.gateway.telemetry.tally import Ended, Tally
from tierwise.nouns import Usage


def test_every_sum_of_two_attempts() -> None:
    tally = Tally()
    usage = Usage(1, 20, 300, 4000, 50_000)
    first: Ended = ("haiku", "ok", "gemini", usage, 7, 2_000_000, 20_000, 300)
    second: Ended = ("haiku", "error", "gemini", usage, None, 3_000_000, None, None)
    tally.count([first, second])
    tally.count([first])
    assert tally.exchanges == {("haiku", "ok", "gemini"): 2, ("haiku", "error", "gemini"): 1}
    assert tally.tokens == {
        ("haiku", "input"): 3, ("haiku", "cache_read"): 60, ("haiku", "cache_write_5m"): 900,
        ("haiku", "cache_write_1h"): 12_000, ("haiku", "output"): 150_000,
    }  # fmt: skip
    assert (tally.cost_pico, tally.unpriced, tally.retries) == ({"haiku": 14}, 1, 1)
    total, ttft = tally.total_s["haiku"], tally.ttft_s["haiku"]
    assert [(bound, n) for bound, n in zip(total.bounds, total.counts, strict=False) if n] == [
        (2.5, 2),
        (5.0, 1),
    ]
    assert [(bound, n) for bound, n in zip(ttft.bounds, ttft.counts, strict=False) if n] == [(0.025, 2)]
    assert (total.sum_s, ttft.sum_s, round(tally.overhead_s.sum_s, 6)) == (7.0, 0.04, 0.0006)


def test_a_bound_is_within_its_bucket_and_what_is_longer_than_all_in_the_last() -> None:
    tally = Tally()
    for seconds in (0.005, 0.0051, 300, 301):
        tally.count([("m", "ok", "gemini", Usage(), 0, round(seconds * 1e6), None, None)])
    counts = tally.total_s["m"].counts
    assert (counts[0], counts[1], counts[-2], counts[-1], sum(counts)) == (1, 1, 1, 1, 4)
