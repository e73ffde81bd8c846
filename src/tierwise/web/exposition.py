"""The data plane's counters in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Mapping

from tierwise import __version__
from tierwise.errors import StoreError
from tierwise.money import pico_to_usd

from .seen import Counters, Gate, Spread

_MOST_BUDGETS = 200
_ROW_STATES = ("queued", "running", "sent")
_MOST_MODELS = 500


def exposition(gate: Gate) -> str:
    """All metrics, each with its HELP and TYPE line. Labels are tiers, models and outcomes, never keys or
    texts."""
    metrics, calls = gate.metrics, gate.metrics.calls
    lines: list[str] = []
    _family(
        lines,
        "tierwise_attempts_total",
        "counter",
        "Attempts by tier (or pinned model), outcome and dialect.",
    )
    for (tier, outcome, dialect), count in sorted(calls.exchanges.items()):
        lines.append(f"tierwise_attempts_total{_labels(tier=tier, outcome=outcome, dialect=dialect)} {count}")
    _family(lines, "tierwise_tokens_total", "counter", "Tokens by tier and bucket; buckets are disjoint.")
    for (tier, bucket), count in sorted(calls.tokens.items()):
        lines.append(f"tierwise_tokens_total{_labels(tier=tier, bucket=bucket)} {count}")
    _family(lines, "tierwise_cost_usd_total", "counter", "Cost by tier, US dollars.")
    for tier, pico in sorted(calls.cost_pico.items()):
        lines.append(f"tierwise_cost_usd_total{_labels(tier=tier)} {pico_to_usd(pico):f}")
    _family(lines, "tierwise_unpriced_total", "counter", "Attempts whose cost is unknown.")
    lines.append(f"tierwise_unpriced_total {calls.unpriced}")
    _family(lines, "tierwise_refused_total", "counter", "Requests refused or failed, by kind of error.")
    for kind, count in sorted(metrics.refused.items()):
        lines.append(f"tierwise_refused_total{_labels(kind=kind)} {count}")
    _family(lines, "tierwise_retries_total", "counter", "Second and later attempts of an exchange.")
    lines.append(f"tierwise_retries_total {calls.retries}")
    _aside(lines, metrics)
    _breakpoints(lines, metrics)
    _cache(lines, metrics)
    _batches(lines, metrics)
    _family(lines, "tierwise_in_flight", "gauge", "Requests being served now.")
    lines.append(f"tierwise_in_flight {gate.admission.running}")
    _family(lines, "tierwise_in_flight_limit", "gauge", "How many requests may be in flight at once.")
    lines.append(f"tierwise_in_flight_limit {gate.admission.most}")
    _family(lines, "tierwise_waiting", "gauge", "Requests that wait for their turn to be begun.")
    lines.append(f"tierwise_waiting {gate.admission.waiting}")
    _family(lines, "tierwise_draining", "gauge", "1 while this gateway shuts down.")
    lines.append(f"tierwise_draining {int(gate.admission.draining)}")
    _family(lines, "tierwise_build_info", "gauge", "Always 1; the version is a label.")
    lines.append(f"tierwise_build_info{_labels(version=__version__)} 1")
    _shared(lines, gate)
    _telemetry(lines, gate)
    _budgets(lines, gate)
    name, text = "tierwise_budget_alerts_total", "Notices that a budget reached a threshold, by threshold."
    _family(lines, name, "counter", text)
    for threshold, count in sorted(metrics.alerts.items()):
        lines.append(f"{name}{_labels(threshold=threshold)} {count}")
    name = "tierwise_alert_webhooks_total"
    _family(lines, name, "counter", "Webhooks of such notices by result: delivered, failed.")
    for result, count in sorted(metrics.webhooks.items()):
        lines.append(f"{name}{_labels(result=result)} {count}")
    _family(lines, "tierwise_breaker_open", "gauge", "1 while a deployment's circuit breaker is open.")
    for model, health in sorted(gate.caller.health.view().items())[:_MOST_MODELS]:
        lines.append(f"tierwise_breaker_open{_labels(model=model)} {int(health.open)}")
    text = "Time of an attempt's exchange, from its first byte in to the attempt's closing row."
    _histograms(lines, "tierwise_total_seconds", text, calls.total_s)
    _histograms(lines, "tierwise_ttft_seconds", "Request sent upstream to first content.", calls.ttft_s)
    text = "First byte in to the first attempt's request going upstream: the gateway's own part."
    _histograms(lines, "tierwise_overhead_seconds", text, {"": calls.overhead_s})
    return "\n".join(lines) + "\n"


def _batches(lines: list[str], metrics: Counters) -> None:
    _family(
        lines, "tierwise_batch_rows", "gauge", "Rows of unfinished batches by state (sent: at a provider)."
    )
    for state in _ROW_STATES:
        lines.append(f"tierwise_batch_rows{_labels(state=state)} {metrics.batch_rows.get(state, 0)}")
    _family(lines, "tierwise_batch_rows_total", "counter", "Rows of batches by what became of them.")
    for outcome, count in sorted(metrics.batch_settled.items()):
        lines.append(f"tierwise_batch_rows_total{_labels(outcome=outcome)} {count}")


def _shared(lines: list[str], gate: Gate) -> None:
    """What this gateway waits for: its ledger, and the store of limits that replicas share."""
    waiting, age_us = gate.ledger.backlog()
    admission = gate.admission
    for name, kind, text, amount in (
        ("tierwise_ledger_waiting_rows", "gauge", "Rows that wait to be written.", waiting),
        ("tierwise_ledger_lag_seconds", "gauge", "How long the oldest waiting row has waited.", age_us / 1e6),
        ("tierwise_ledger_failing_seconds", "gauge",
         "For how long the ledger could not be written; 0: it can be.", gate.ledger.failing_us() / 1e6),
        ("tierwise_admission_away", "gauge",
         "1 while the store of limits that replicas share cannot be reached.", int(admission.away)),
        ("tierwise_admission_local_total", "counter",
         "Limits decided by this replica alone, for its share, while that store was away.", admission.local),
        ("tierwise_admission_replicas", "gauge",
         "Replicas that shared limits when that store last answered; 1 without one.", admission.replicas),
    ):  # fmt: skip
        _family(lines, name, kind, text)
        lines.append(f"{name} {amount}")


def _cache(lines: list[str], metrics: Counters) -> None:
    """The response cache's figures; zeros while it is off."""
    _family(
        lines,
        "tierwise_cache_total",
        "counter",
        "Requests by what the response cache did (hit, miss, bypass), and times its server was away.",
    )
    for result, count in sorted(metrics.cache.items()):
        lines.append(f"tierwise_cache_total{_labels(result=result)} {count}")
    saved = pico_to_usd(metrics.cache_saved_pico)
    for name, kind, text, amount in (
        ("tierwise_cache_saved_usd_total", "counter", "What hits would have cost, US dollars.", f"{saved:f}"),
        ("tierwise_cache_bytes", "gauge", "Memory that kept answers take here.", metrics.cache_bytes),
        ("tierwise_cache_evicted_total", "counter", "Answers dropped for room.", metrics.cache_evicted),
    ):
        _family(lines, name, kind, text)
        lines.append(f"{name} {amount}")


def _telemetry(lines: list[str], gate: Gate) -> None:
    name = "tierwise_telemetry_dropped_total"
    _family(lines, name, "counter", "Exchanges that a telemetry feed (log, otlp) lost or could not take.")
    witness = gate.caller.book.witness
    for feed, dropped in sorted(witness.dropped().items() if witness is not None else ()):
        lines.append(f"{name}{_labels(feed=feed)} {dropped}")


def _aside(lines: list[str], metrics: Counters) -> None:
    """Shadow calls and samples, by task: as many as the configuration names."""
    for name, text, counts in (
        (
            "tierwise_shadow_total",
            "Replies by task and result: compared, failed, dropped (no room), capped (no money); "
            "contradicted rules.",
            metrics.shadow,
        ),
        (
            "tierwise_samples_total",
            "Replies to be kept as samples, by task and result: kept, failed, dropped (no room), capped.",
            metrics.samples,
        ),
    ):
        _family(lines, name, "counter", text)
        for (task, result), count in sorted(counts.items()):
            lines.append(f"{name}{_labels(task=task, result=result)} {count}")
    _family(lines, "tierwise_shadow_cost_usd_total", "counter", "Cost of shadow calls by task, US dollars.")
    for task, pico in sorted(metrics.shadow_cost_pico.items()):
        lines.append(f"tierwise_shadow_cost_usd_total{_labels(task=task)} {pico_to_usd(pico):f}")


def _breakpoints(lines: list[str], metrics: Counters) -> None:
    """What placing prompt-cache breakpoints did."""
    name = "tierwise_cache_breakpoints_total"
    _family(lines, name, "counter", "Prompt-cache breakpoints placed, by place and lifetime.")
    for (place, lifetime), count in sorted(metrics.breakpoints.items()):
        lines.append(f"{name}{_labels(place=place, lifetime=lifetime)} {count}")
    name = "tierwise_cache_waits_total"
    _family(lines, name, "counter", "Calls that waited for another to write their prefix, by what ended it.")
    for ended, count in sorted(metrics.cache_waits.items()):
        lines.append(f"{name}{_labels(ended=ended)} {count}")


def _budgets(lines: list[str], gate: Gate) -> None:
    """The fullest budgets. Their scopes are set by the administrator: no request adds a label. None while the
    ledger is out of reach: the other metrics say so then."""
    try:
        found = [] if gate.ledger.failing_us() else gate.ledger.budgets()
    except StoreError:
        found = []
    balances = sorted(found, key=lambda each: each.left_pico)[:_MOST_BUDGETS]
    labels = [_labels(scope=each.budget.scope, period=each.budget.period) for each in balances]
    caps = [each.budget.cap_pico for each in balances]
    left = [each.left_pico for each in balances]
    for name, text, amounts in (
        ("tierwise_budget_cap_usd", "Cap of a budget, US dollars.", caps),
        ("tierwise_budget_left_usd", "What may still be reserved of a budget, US dollars.", left),
    ):
        _family(lines, name, "gauge", text)
        for label, amount in zip(labels, amounts, strict=True):
            lines.append(f"{name}{label} {pico_to_usd(amount):f}")


def _histograms(lines: list[str], name: str, text: str, by_tier: Mapping[str, Spread]) -> None:
    _family(lines, name, "histogram", text)
    for tier, histogram in sorted(by_tier.items()):
        labels = {"tier": tier} if tier else {}
        total = 0
        for bound, count in zip([*map(str, histogram.bounds), "+Inf"], histogram.counts, strict=True):
            total += count
            lines.append(f"{name}_bucket{_labels(**labels, le=bound)} {total}")
        lines.append(f"{name}_sum{_labels(**labels)} {histogram.sum_s:.6f}")
        lines.append(f"{name}_count{_labels(**labels)} {total}")


def _family(lines: list[str], name: str, kind: str, text: str) -> None:
    lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _labels(**labels: str) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
