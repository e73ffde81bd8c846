"""Latency: what samples and ledger rows say in numbers, and the shapes other tools read."""

from __future__ import annotations

from typing import Any

import pytest

from tierwise.judging.latency import Timing
from tierwise.lab.latency import Load, Run, Sample, Slo, at_1k_us, live, spread_ms, summarise, with_upstream
from tierwise.lab.telling.exports import aiperf, peak, vllm

MS = 1000


def sample(
    number: int = 0, ttft: int = 200, total: int = 700, tokens: int | None = 51, **more: Any
) -> Sample:
    """A call of 50 gaps of 10 ms after 200 ms, unless said otherwise; milliseconds."""
    timing = Timing(total * MS, ttft * MS, output_tokens=tokens, gaps_us=(100 * MS,) * 5)
    fields: dict[str, Any] = {"input_tokens": 800, "cost_pico": 10, "exchange": f"ex_{number}", **more}
    return Sample(timing, number * 100 * MS, **fields)


def failed(number: int = 0) -> Sample:
    return Sample(Timing(9_000 * MS, ok=False), number, error="upstream_timeout")


def run(*samples: Sample, seconds: float = 10.0) -> Run:
    return Run("haiku", "agg/haiku", Load(requests=len(samples)), samples, 1_700_000_000_000_000, seconds)


def test_the_definitions() -> None:
    found = summarise(run(sample()))
    assert found.ttft_ms is not None
    assert found.ttft_ms.p50 == 200
    # (700 − 200) / (51 − 1): the first token is not one of the gaps.
    assert found.tpot_ms is not None
    assert found.tpot_ms.p50 == 10
    assert found.tokens_per_s is not None
    assert found.tokens_per_s.p50 == 100
    # The gaps themselves, pooled, are something else: several tokens may come in one piece.
    assert found.itl_ms is not None
    assert (found.itl_ms.n, found.itl_ms.p50) == (5, 100)
    assert found.e2e_ms is not None
    assert found.e2e_ms.p50 == 700
    assert found.at_1k_ms is not None
    assert found.at_1k_ms.p50 == 200 + 999 * 10
    assert found.output_tokens_per_s == 5.1


def test_p99_at_1k_is_the_measured_total_of_a_reply_of_1000_tokens() -> None:
    timing = Timing(8_123_457, 312_001, output_tokens=1000)
    assert at_1k_us(timing) == pytest.approx(timing.total_us)


@pytest.mark.parametrize(("n", "p95", "p99"), [(79, False, False), (80, True, False), (400, True, True)])
def test_tails_are_told_only_where_the_sample_shows_them(n: int, p95: bool, p99: bool) -> None:
    found = spread_ms([1000.0 * k for k in range(n)])
    assert found is not None
    assert (found.p95 is not None, found.p99 is not None) == (p95, p99)


def test_cached_and_failed_calls_are_counted_but_not_timed() -> None:
    quick = sample(1, ttft=1, total=2, cached=True, cost_pico=0)
    found = summarise(run(sample(), quick, failed(2)), Slo(ttft_ms=500))
    assert (found.requests, found.completed, found.cached, found.failed) == (3, 1, 1, 1)
    assert found.e2e_ms is not None
    assert (found.e2e_ms.n, found.e2e_ms.p50) == (1, 700)
    assert found.errors == {"upstream_timeout": 1}
    assert found.goodput == 0.1
    assert found.spend_pico == 10


def test_goodput_takes_every_limit_and_none_means_no_figure() -> None:
    calls = run(sample(0), sample(1, ttft=600, total=1100), sample(2, total=2200))
    assert summarise(calls, Slo(ttft_ms=500)).goodput == 0.2
    assert summarise(calls, Slo(ttft_ms=500, tpot_ms=20)).goodput == 0.1
    assert summarise(calls, Slo()).goodput is None


def test_a_reply_whose_usage_is_untold_has_no_pace() -> None:
    found = summarise(run(sample(tokens=None, input_tokens=None, cost_pico=None)))
    assert found.unreported == 1
    assert found.tpot_ms is None
    assert found.tokens_per_s is None
    assert found.output_tokens_per_s is None
    assert found.spend_pico is None
    assert found.ttft_ms is not None


def row(exchange: str = "ex_0", **fields: Any) -> dict[str, Any]:
    """A CLOSE row as the ledger exports it."""
    usual: dict[str, Any] = {
        "event": "close", "exchange": exchange, "attempt": f"{exchange}-1", "tier": "haiku", "kind": "call",
        "model": "agg/haiku", "stream": True, "outcome": "ok", "error": "", "usage": {"output": 51},
        "usage_source": "reported", "ttft_us": 200 * MS, "total_us": 703 * MS, "upstream_us": 700 * MS,
    }  # fmt: skip
    return {**usual, **fields}


def test_the_gateways_own_part_comes_from_its_ledger() -> None:
    rows = [row("ex_0"), row("ex_9", total_us=900 * MS), {**row("ex_1"), "event": "open"}]
    found = summarise(with_upstream(run(sample(0), sample(1)), rows))
    assert found.overhead_ms is not None
    assert (found.overhead_ms.n, found.overhead_ms.p50) == (1, 3)
    assert found.e2e_ms is not None
    assert found.e2e_ms.n == 2


def test_live_quantiles_are_of_users_calls_by_tier() -> None:
    rows = [
        row("a"),
        row("b", tier="", model="agg/opus", ttft_us=400 * MS),
        row("c", kind="shadow"),
        row("d", upstream_us=0, total_us=1 * MS),
        row("e", outcome="error", error="upstream_status", usage={"output": 0}),
        row("f", stream=False, ttft_us=700 * MS),
        row("g", attempt="g-2", upstream_us=5_000 * MS, total_us=5_003 * MS),
        {**row("h"), "event": "open", "usage": None},
    ]
    haiku, opus = live(rows)
    assert (haiku.tier, haiku.requests, haiku.completed) == ("haiku", 4, 3)
    assert haiku.errors == {"upstream_status": 1}
    # One stream at its first attempt: the plain reply and the retried one have no TTFT that means anything.
    assert haiku.ttft_ms is not None
    assert (haiku.ttft_ms.n, haiku.ttft_ms.p50) == (1, 200)
    assert haiku.tpot_ms is not None
    assert haiku.tpot_ms.p50 == 10
    assert haiku.e2e_ms is not None
    assert (haiku.e2e_ms.n, haiku.e2e_ms.p50) == (3, 703)
    assert haiku.overhead_ms is not None
    assert haiku.overhead_ms.p50 == 3
    assert opus.tier == "agg/opus"
    assert [each.tier for each in live(rows, ["agg/opus"])] == ["agg/opus"]


def test_live_pace_is_unknown_where_usage_was_estimated() -> None:
    [found] = live([row(usage_source="estimated")])
    assert found.tpot_ms is None
    assert found.unreported == 1


VLLM = {
    "date", "endpoint_type", "backend", "label", "model_id", "tokenizer_id", "num_prompts", "request_rate",
    "burstiness", "max_concurrency", "duration", "completed", "failed", "total_input_tokens",
    "total_output_tokens", "request_throughput", "request_goodput", "output_throughput",
    "total_token_throughput", "input_lens", "output_lens", "ttfts", "itls", "latencies", "start_times",
    "errors", "max_concurrent_requests",
    *(
        f"{stat}_{name}_ms"
        for stat in ("mean", "median", "std", "p99")
        for name in ("ttft", "tpot", "itl", "e2el")
    ),
}  # fmt: skip


def test_the_vllm_shape() -> None:
    calls = run(sample(0), sample(1), failed(2))
    made = vllm(calls, summarise(calls, Slo(ttft_ms=500)))
    assert made.keys() >= VLLM
    assert (made["completed"], made["failed"], made["num_prompts"]) == (2, 1, 3)
    assert made["ttfts"] == [0.2, 0.2, 0.0]
    assert made["itls"][0] == [0.1] * 5
    assert made["output_lens"] == [51, 51, 0]
    assert made["errors"] == ["", "", "upstream_timeout"]
    assert (made["mean_tpot_ms"], made["median_itl_ms"], made["std_ttft_ms"]) == (10, 100, 0)
    assert made["p99_ttft_ms"] is None
    assert made["request_rate"] == "inf"
    assert made["request_goodput"] == 0.2
    assert made["output_throughput"] == 10.2


def test_the_aiperf_shape() -> None:
    calls = run(sample(0), sample(1), failed(2))
    made = aiperf(calls, Slo(), summarise(calls))
    latency = made["request_latency"]
    assert (latency["unit"], latency["avg"], latency["count"], latency["sum"]) == ("ms", 700, 2, 1400)
    # p50 needs eight values; what the sample cannot show is absent there.
    assert not {"p50", "p99"} & latency.keys()
    assert made["inter_token_latency"]["avg"] == 10
    assert made["inter_chunk_latency"]["p50"] == 100
    assert made["output_token_throughput_per_user"] == {
        "unit": "tokens/sec/user", "avg": 100, "min": 100, "max": 100, "std": 0, "count": 2, "sum": 200,
    }  # fmt: skip
    assert made["request_count"] == {"unit": "requests", "avg": 2}
    assert made["error_request_count"]["avg"] == 1
    assert made["error_summary"][0]["count"] == 1
    assert "goodput" not in made
    assert made["input_config"]["loadgen"]["concurrency"] == 4


def test_the_peak_of_calls_under_way() -> None:
    # One of 700 ms leaves every 100 ms: seven at a time, and the eighth takes the first one's place.
    assert peak([sample(n) for n in range(10)]) == 7
