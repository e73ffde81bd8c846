"""OTLP: Exchanges as OpenTelemetry spans and metrics, in the words of the GenAI semantic conventions.

One SERVER span per Exchange, child of the caller's span, with one CLIENT span per Attempt. Usage stands on
the Attempts only, so that a backend that adds it up counts nothing twice. The SDK is an extra and is loaded
when this module is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from random import getrandbits

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from tierwise import __version__
from tierwise.money import pico_to_usd

from ..walk import Tried
from .feeds import Feed
from .witness import Seen

log = logging.getLogger("tierwise")

Attributes = dict[str, str | bool | int | float | Sequence[str]]

_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_TIMEOUT_S = 4.0
_METRICS_MS = 15_000
_MOST_MODELS = 500
# The conventions' advice on buckets: powers of four of tokens, doublings of ten milliseconds.
_TOKENS = tuple(4**power for power in range(14))
_SECONDS = tuple(0.01 * 2**power for power in range(14))
# Dialect → the conventions' name of who speaks it at home; others go by the provider's own name.
_SYSTEMS = {"anthropic": "anthropic", "openai": "openai", "google": "gcp.gemini"}


def feed(endpoint: str, headers: Mapping[str, str], service: str) -> Feed[Seen]:
    """A feed to the OTLP/HTTP collector at `endpoint` (a base URL, without /v1/traces)."""
    exporter = Exporter(endpoint.rstrip("/"), headers, service)
    return Feed("otlp", exporter.send, exporter.shut)


class Exporter:
    """Sends batches to one collector."""

    def __init__(self, base: str, headers: Mapping[str, str], service: str) -> None:
        self._resource = Resource.create({"service.name": service, "service.version": __version__})
        self._scope = InstrumentationScope("tierwise", __version__)
        given = dict(headers)
        self._spans = OTLPSpanExporter(f"{base}/v1/traces", headers=given, timeout=_TIMEOUT_S)
        self._reader = PeriodicExportingMetricReader(
            OTLPMetricExporter(f"{base}/v1/metrics", headers=given, timeout=_TIMEOUT_S), _METRICS_MS
        )
        self._meters = MeterProvider([self._reader], self._resource, views=[
            View(instrument_name="gen_ai.client.token.usage", aggregation=_buckets(_TOKENS)),
            View(instrument_name="gen_ai.client.operation.duration", aggregation=_buckets(_SECONDS)),
        ])  # fmt: skip
        meter = self._meters.get_meter("tierwise", __version__)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Number of input and output tokens used."
        )
        self._durations = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Duration of a call to a model."
        )
        self._models: set[str] = set()
        self._base = base
        self._away = False
        # It would write a line for each try of each batch; one for each change is written here.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def send(self, batch: Sequence[Seen]) -> int:
        """Exports the spans of a batch and notes its metrics. Gives how many Exchanges were lost."""
        for seen in batch:
            for tried in seen.tried:
                self._measure(seen, tried)
        spans = [span for seen in batch for span in self.spans_of(seen)]
        if not spans:
            return 0
        sent = self._spans.export(spans) is SpanExportResult.SUCCESS
        if sent is self._away:
            self._away = not sent
            log.warning("telemetry: %s %s spans", self._base, "takes" if sent else "does not take")
        return 0 if sent else len(batch)

    def shut(self) -> None:
        """Sends the last metrics and lets go of the collector."""
        self._meters.shutdown(timeout_millis=_TIMEOUT_S * 1000)
        self._spans.shutdown()  # type: ignore[no-untyped-call]

    def spans_of(self, seen: Seen) -> list[ReadableSpan]:
        """The Exchange's span and its Attempts'; none where the caller's own trace is not sampled."""
        parent = parent_of(seen.trace)
        if parent is not None and not parent.trace_flags.sampled:
            return []
        trace = parent.trace_id if parent is not None else _number(seen.id, 16)
        own = _context(trace, _number(seen.id, 8))
        spans = [
            ReadableSpan(
                f"{seen.operation} {seen.asked}".strip(), own, parent, self._resource, exchange_words(seen),
                kind=SpanKind.SERVER, status=_status(seen.error), start_time=seen.at_us * 1000,
                end_time=(seen.at_us + seen.total_us) * 1000, instrumentation_scope=self._scope,
            )
        ]  # fmt: skip
        for tried in seen.tried:
            close = tried.close
            spans.append(
                ReadableSpan(
                    f"{seen.operation} {tried.model_id}", _context(trace, getrandbits(64) or 1), own,
                    self._resource, attempt_words(seen, tried), kind=SpanKind.CLIENT,
                    status=_status("" if close.outcome == "ok" else close.error or close.outcome),
                    start_time=tried.sent_at_us * 1000, end_time=max(close.at_us, tried.sent_at_us) * 1000,
                    instrumentation_scope=self._scope,
                )
            )  # fmt: skip
        return spans

    def _measure(self, seen: Seen, tried: Tried) -> None:
        close = tried.close
        words = {
            "gen_ai.operation.name": seen.operation,
            "gen_ai.provider.name": system_of(tried.provider),
            "gen_ai.request.model": self._model(tried.model_id),
        }
        if close.served_model:
            words["gen_ai.response.model"] = self._model(close.served_model)
        usage = close.usage
        self._tokens.record(usage.prompt, {**words, "gen_ai.token.type": "input"})
        self._tokens.record(usage.output, {**words, "gen_ai.token.type": "output"})
        if close.outcome != "ok":
            words["error.type"] = close.error or close.outcome
        self._durations.record(max(0, close.at_us - tried.sent_at_us) / 1e6, words)

    def _model(self, name: str) -> str:
        """The model's name; "other" for one too many, since a caller may name any."""
        if name not in self._models:
            if len(self._models) >= _MOST_MODELS:
                return "other"
            self._models.add(name)
        return name


def exchange_words(seen: Seen) -> Attributes:
    """Attributes of an Exchange's span."""
    words: Attributes = {
        "gen_ai.operation.name": seen.operation,
        "gen_ai.request.model": seen.asked,
        "http.response.status_code": seen.status,
        "tierwise.exchange": seen.id,
        "tierwise.key": seen.key,
        "tierwise.dialect": seen.dialect,
        "tierwise.stream": seen.stream,
        "tierwise.task": seen.task,
        "tierwise.route": seen.route,
        "tierwise.attempts": len(seen.tried),
    }
    for name, text in (("tierwise.project", seen.project), ("gen_ai.conversation.id", seen.session)):
        if text:
            words[name] = text
    for name, texts in (("tierwise.tags", seen.tags), ("tierwise.losses", seen.losses)):
        if texts:
            words[name] = texts
    if seen.error:
        words["error.type"] = seen.error
    if seen.tried:
        last = seen.tried[-1]
        words["tierwise.tier"] = last.tier
        words["gen_ai.provider.name"] = system_of(last.provider)
        if last.close.served_model:
            words["gen_ai.response.model"] = last.close.served_model
        _cost(words, seen.cost_pico)
    return words


def attempt_words(seen: Seen, tried: Tried) -> Attributes:
    """Attributes of an Attempt's span."""
    close, usage = tried.close, tried.close.usage
    words: Attributes = {
        "gen_ai.operation.name": seen.operation,
        "gen_ai.provider.name": system_of(tried.provider),
        "gen_ai.request.model": tried.model_id,
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "tierwise.attempt": close.attempt,
        "tierwise.provider": tried.provider,
        "tierwise.model": tried.model,
        "tierwise.tier": tried.tier,
        "tierwise.dialect": tried.dialect,
        "tierwise.outcome": close.outcome,
        "tierwise.usage_source": usage.source,
        "http.response.status_code": close.status,
    }
    if close.served_model:
        words["gen_ai.response.model"] = close.served_model
    if close.ttft_us is not None:
        words["tierwise.ttft_s"] = close.ttft_us / 1e6
    if close.outcome != "ok":
        words["error.type"] = close.error or close.outcome
    _cost(words, close.cost_pico)
    return words


def parent_of(header: str) -> SpanContext | None:
    """The caller's span by W3C Trace Context, None when the header says none."""
    found = _TRACEPARENT.fullmatch(header.strip())
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return SpanContext(int(found[1], 16), int(found[2], 16), True, TraceFlags(int(found[3], 16)))


def system_of(provider: str) -> str:
    """`gen_ai.provider.name` of a provider's name."""
    return _SYSTEMS.get(provider, provider)


def _cost(words: Attributes, pico: int | None) -> None:
    if pico is not None:
        words["tierwise.cost_pico"] = pico
        words["tierwise.cost_usd"] = float(pico_to_usd(pico))


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, False, TraceFlags(TraceFlags.SAMPLED))


def _number(id_: str, size: int) -> int:
    """A number of `size` bytes that follows from an exchange's id, so that a trace can be found from it."""
    return int.from_bytes(sha256(id_.encode()).digest()[:size], "big") or 1


def _status(error: str) -> Status:
    return Status(StatusCode.ERROR, error) if error else Status(StatusCode.UNSET)


def _buckets(bounds: Sequence[float]) -> ExplicitBucketHistogramAggregation:
    return ExplicitBucketHistogramAggregation(boundaries=bounds)
