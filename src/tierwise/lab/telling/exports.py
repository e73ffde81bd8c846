"""A latency Run in the JSON shapes that other tools read: vLLM's `bench serve` and NVIDIA AIPerf.

The names are theirs; the numbers are ours, by docs/latency.md. What a sample cannot show is null in vLLM's
shape, where every key stands, and absent in AIPerf's, where an absent field means just that.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ... import __version__
from ...judging.latency import itl_us, least_samples, quantile, tokens_per_second, tpot_us
from ..latency import Run, Sample, Slo, Summary, ttfts_us

_SHARES = (1, 5, 10, 25, 50, 75, 90, 95, 99)


def vllm(run: Run, summary: Summary, base_url: str = "") -> dict[str, Any]:
    """The object `vllm bench serve --save-result --save-detailed` writes: times in seconds in the lists, in
    milliseconds in the statistics.

    Left out: generated texts (not kept) and the peak token rate (vLLM counts chunks for it).
    """
    samples, timings = run.counted, run.timings
    load = run.load
    done = [each for each in samples if each.timing.ok]
    total_in = sum(each.input_tokens or 0 for each in done)
    total_out = sum(each.timing.output_tokens or 0 for each in done)
    seconds = run.seconds or math.inf
    found: dict[str, Any] = {
        "date": _instant(run.started_us).strftime("%Y%m%d-%H%M%S"),
        "endpoint_type": "openai-chat",
        "backend": "openai-chat",
        "label": run.tier,
        "model_id": run.model,
        "tokenizer_id": None,
        "base_url": base_url or None,
        "num_prompts": load.requests,
        "request_rate": "inf" if load.rate is None else load.rate,
        "burstiness": 1.0,
        "max_concurrency": load.concurrency if load.rate is None else None,
        "duration": run.seconds,
        "completed": len(done),
        "failed": len(samples) - len(done),
        "total_input_tokens": total_in,
        "total_output_tokens": total_out,
        "request_throughput": len(done) / seconds,
        "request_goodput": summary.goodput,
        "output_throughput": total_out / seconds,
        "total_token_throughput": (total_in + total_out) / seconds,
        "input_lens": [each.input_tokens or 0 for each in samples],
        "output_lens": [each.timing.output_tokens or 0 for each in samples],
        "ttfts": [(each.timing.ttft_us or 0) / 1e6 for each in samples],
        "itls": [[gap / 1e6 for gap in each.timing.gaps_us] for each in samples],
        "latencies": [each.timing.total_us / 1e6 for each in samples],
        "start_times": [each.began_us / 1e6 for each in samples],
        "errors": [each.error for each in samples],
        "max_concurrent_requests": peak(samples),
    }
    for name, values in (
        ("ttft", ttfts_us(timings)),
        ("tpot", [each for each in map(tpot_us, timings) if each is not None]),
        ("itl", itl_us(timings)),
        ("e2el", [each.total_us for each in timings]),
    ):
        found |= _vllm_block(name, [value / 1000 for value in values])
    return found


def aiperf(run: Run, slo: Slo, summary: Summary, base_url: str = "") -> dict[str, Any]:
    """The object AIPerf writes as profile_export_aiperf.json (schema 1.1): for each metric one block of unit
    and statistics.

    AIPerf's `inter_token_latency` is TPOT here; the gaps themselves are its `inter_chunk_latency`.
    """
    samples, timings, load = run.counted, run.timings, run.load
    done = [each for each in samples if each.timing.ok]
    inputs = [each.input_tokens for each in done if each.input_tokens is not None]
    outputs = [each.output_tokens for each in timings if each.output_tokens is not None]
    tpots = [each for each in map(tpot_us, timings) if each is not None]
    ended_us = run.started_us + round(run.seconds * 1e6)
    found: dict[str, Any] = {
        "schema_version": "1.1",
        "tierwise_version": __version__,
        "benchmark_id": f"{run.tier}-{run.started_us}",
        "request_latency": _block("ms", _ms([each.total_us for each in timings])),
        "time_to_first_token": _block("ms", _ms(ttfts_us(timings))),
        "inter_token_latency": _block("ms", _ms(tpots)),
        "inter_chunk_latency": _block("ms", _ms(itl_us(timings))),
        "output_token_throughput_per_user": _block(
            "tokens/sec/user", [each for each in map(tokens_per_second, timings) if each is not None]
        ),
        "input_sequence_length": _block("tokens", inputs),
        "output_sequence_length": _block("tokens", outputs),
        "request_throughput": _one("requests/sec", summary.requests_per_s),
        "output_token_throughput": _one("tokens/sec", summary.output_tokens_per_s),
        "request_count": _one("requests", len(done)),
        "error_request_count": _one("requests", len(samples) - len(done)),
        "total_isl": _one("tokens", sum(inputs)),
        "total_osl": _one("tokens", sum(outputs)),
        "benchmark_duration": _one("sec", run.seconds),
        "goodput": _one("requests/sec", summary.goodput),
        "min_request_timestamp": _one("ns", run.started_us * 1000),
        "max_response_timestamp": _one("ns", ended_us * 1000),
        "input_config": _input_config(run, slo, base_url),
        "was_cancelled": False,
        "error_summary": [
            {"error_details": {"type": error, "message": error}, "count": count}
            for error, count in sorted(summary.errors.items())
        ],
        "start_time": _instant(run.started_us).isoformat(),
        "end_time": _instant(ended_us).isoformat(),
    }
    if load.rate is not None:
        found["input_config"]["loadgen"]["request_rate"] = load.rate
    return {name: value for name, value in found.items() if value is not None}


def peak(samples: Sequence[Sample]) -> int:
    """The most calls that were ever under way at once; one that ends as another begins makes room for it."""
    events = [(each.began_us, 1) for each in samples]
    events += [(each.began_us + each.timing.total_us, -1) for each in samples]
    most = now = 0
    for _, step in sorted(events):
        now += step
        most = max(most, now)
    return most


def _vllm_block(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """mean, median, std (of the population, as numpy's default), p95 and p99 of milliseconds."""
    return {
        f"mean_{name}_ms": statistics.fmean(values) if values else None,
        f"median_{name}_ms": quantile(values, 0.5),
        f"std_{name}_ms": statistics.pstdev(values) if values else None,
        f"p95_{name}_ms": _quantile(values, 95),
        f"p99_{name}_ms": _quantile(values, 99),
    }


def _block(unit: str, values: Sequence[float]) -> dict[str, Any] | None:
    """One AIPerf metric with a distribution; None where nothing was measured."""
    if not values:
        return None
    shares = {f"p{share}": _quantile(values, share) for share in _SHARES}
    found = {
        "unit": unit,
        "avg": statistics.fmean(values),
        "min": min(values),
        "max": max(values),
        **shares,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "count": len(values),
        "sum": math.fsum(values),
    }
    return {name: value for name, value in found.items() if value is not None}


def _one(unit: str, value: float | None) -> dict[str, Any] | None:
    return None if value is None else {"unit": unit, "avg": value}


def _quantile(values: Sequence[float], share: int) -> float | None:
    """A quantile, None where the sample is too small for it on either side."""
    if len(values) < least_samples(max(share, 100 - share) / 100):
        return None
    return quantile(values, share / 100)


def _ms(values_us: Sequence[float]) -> list[float]:
    return [value / 1000 for value in values_us]


def _input_config(run: Run, slo: Slo, base_url: str) -> dict[str, Any]:
    load = run.load
    limits = {"time_to_first_token": slo.ttft_ms, "inter_token_latency": slo.tpot_ms}
    return {
        "endpoint": {"model_names": [run.model], "type": "chat", "streaming": True, "url": base_url or None},
        "input": {
            "prompt": {
                "input_tokens": {"mean": load.prompt_tokens},
                "output_tokens": {"mean": load.output_tokens},
            },
            "goodput": {name: limit for name, limit in limits.items() if limit is not None},
            "random_seed": load.seed,
        },
        "loadgen": {
            "request_count": load.requests,
            "warmup_request_count": load.warmup,
            **({"concurrency": load.concurrency} if load.rate is None else {}),
        },
    }


def _instant(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)
