"""Telemetry from outside: spans and metrics at an OTLP collector, log lines on stderr."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from tierwise.config import load
from tierwise.serve import telemetry_of

metrics_service = pytest.importorskip(
    "opentelemetry.proto.collector.metrics.v1.metrics_service_pb2", reason="the extra otel is not installed"
)
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_service  # noqa: E402

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SECRET = "Write about canaries"


def answer(sent: provider.Sent) -> Iterator[bytes]:
    """A chat reply; a prompt that is `fail` gets a 500."""
    if b'"fail"' in sent.body:
        yield provider.whole(500, {"error": {"message": "broken", "type": "server_error"}})
    else:
        yield provider.whole(200, provider.chat(model=json.loads(sent.body)["model"]))


class Collector:
    """An OTLP/HTTP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        self.headers: list[str] = []
        self.raw = b""
        self.status = 200
        outer = self

        class Taking(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                outer.take(self.path, body, str(self.headers.get("x-team")))
                self.send_response(outer.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path: str, body: bytes, team: str) -> None:
        self.headers.append(team)
        self.raw += body
        if path == "/v1/traces":
            for resource in trace_service.ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        elif path == "/v1/metrics":
            for resource in metrics_service.ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for scope in resource.scope_metrics:
                    self.metrics |= {metric.name: metric for metric in scope.metrics}


def words(span: Any) -> dict[str, Any]:
    """A span's attributes."""
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.server.shutdown()


def gateway(folder: Path, collector: Collector | None, *arguments: str) -> live.Gateway:
    """A gateway before the scripted provider."""
    extra = ""
    if collector is not None:
        base = f"http://127.0.0.1:{collector.port}"
        extra = f'[telemetry]\notlp_endpoint = "{base}"\notlp_headers = {{ x-team = "env:TEAM" }}\n'
    toml = live.config("openai_chat", provider.Provider(answer).port, extra=extra)
    return live.Gateway(folder, toml, {"TEAM": "team-canary"}, *arguments)


def call(made: live.Gateway, key: str, content: str, **headers: str) -> live.Got:
    body = {"model": "task/qa", "messages": [{"role": "user", "content": content}], "max_tokens": 9}
    return live.post(made.port, "/v1/chat/completions", body, key, headers)


def test_an_exchange_is_a_span_of_the_callers_trace_and_each_attempt_its_child(
    tmp_path: Path, collector: Collector
) -> None:
    made = gateway(tmp_path / "g", collector)
    key = made.key()
    got = call(made, key, SECRET, traceparent=f"00-{TRACE}-{PARENT}-01")
    unsampled = call(made, key, SECRET, traceparent=f"00-{TRACE[::-1]}-{PARENT}-00")
    failed = call(made, key, "fail")
    assert (got.status, unsampled.status, failed.status) == (200, 200, 500)
    # At the end there are seconds for what is left, however slow the collector is.
    assert live.wait_for(lambda: sum(not is_attempt(span) for span in collector.spans) >= 2)
    assert made.stop() == 0
    by_id = {words(span)["tierwise.exchange"]: span for span in collector.spans if not is_attempt(span)}
    assert set(by_id) == {got.headers["x-tierwise-exchange"], failed.headers["x-tierwise-exchange"]}
    own = by_id[got.headers["x-tierwise-exchange"]]
    assert (own.trace_id.hex(), own.parent_span_id.hex()) == (TRACE, PARENT)
    [attempt] = [span for span in collector.spans if span.parent_span_id == own.span_id]
    said, tried = words(own), words(attempt)
    [row] = [row for row in made.closes() if row["exchange"] == got.headers["x-tierwise-exchange"]]
    assert said["tierwise.cost_pico"] == tried["tierwise.cost_pico"] == row["cost_pico"]
    assert tried["gen_ai.usage.input_tokens"] == row["usage"]["input"] + row["usage"]["cache_read"]
    assert tried["gen_ai.usage.output_tokens"] == row["usage"]["output"]
    assert (said["gen_ai.operation.name"], said["gen_ai.request.model"]) == ("chat", "task/qa")
    assert (said["tierwise.task"], tried["gen_ai.request.model"]) == ("qa", live.MODELS[0])
    assert "gen_ai.usage.input_tokens" not in said
    assert attempt.start_time_unix_nano >= own.start_time_unix_nano
    assert own.end_time_unix_nano >= attempt.end_time_unix_nano
    broken = by_id[failed.headers["x-tierwise-exchange"]]
    tries = [words(span) for span in collector.spans if span.parent_span_id == broken.span_id]
    assert len(tries) == words(broken)["tierwise.attempts"] > 1
    assert {each["error.type"] for each in tries} == {"upstream_status"}
    assert broken.status.code == 2
    tokens = collector.metrics["gen_ai.client.token.usage"].histogram.data_points
    assert {words(point)["gen_ai.token.type"] for point in tokens} == {"input", "output"}
    assert "gen_ai.client.operation.duration" in collector.metrics
    assert set(collector.headers) == {"team-canary"}
    assert SECRET.encode() not in collector.raw
    assert key.encode() not in collector.raw


def is_attempt(span: Any) -> bool:
    """Whether a span is an Attempt's: the SDK's CLIENT."""
    return bool(span.kind == 3)


def test_a_collector_that_refuses_costs_spans_and_no_call(tmp_path: Path, collector: Collector) -> None:
    collector.status = 400
    made = gateway(tmp_path / "g", collector)
    key = made.key()
    assert call(made, key, SECRET).status == 200

    def dropped() -> bool:
        text = live.request(made.admin, "GET", "/metrics").body.decode()
        assert not any(word in text for word in (key, SECRET, "team-canary", "sk-upstream-canary"))
        return 'tierwise_telemetry_dropped_total{feed="otlp"} 1' in text

    assert live.wait_for(dropped)
    assert call(made, key, SECRET).status == 200
    assert made.verify() == ""
    assert made.stop() == 0
    assert made.log.read_text().count("does not take spans") == 1


def test_a_caller_that_goes_away_has_a_line_too(tmp_path: Path) -> None:
    go = threading.Event()

    def endless(sent: provider.Sent) -> Iterator[bytes]:
        yield provider.stream_head()
        yield provider.piece(provider.chat_frames("Bill")[0])
        yield provider.piece(provider.chat_frames("Bill")[1])
        go.wait(60)

    toml = live.config("openai_chat", provider.Provider(endless).port)
    made = live.Gateway(tmp_path / "g", toml, None, "--log-format", "json")
    body = {"model": "task/qa", "messages": [{"role": "user", "content": "x"}], "stream": True}
    raw = json.dumps(body).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {made.key()}\r\n"
    with socket.create_connection(("127.0.0.1", made.port), 60) as caller:
        caller.sendall(head.encode() + b"content-length: %d\r\n\r\n" % len(raw) + raw)
        assert caller.recv(100).startswith(b"HTTP/1.1 200")

    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in live.lines(made.log) if line.startswith("{")]
        return [each for each in found if each.get("event") == "exchange"]

    assert live.wait_for(lines)
    go.set()
    [line] = lines()
    assert (line["outcome"], line["status"], line["attempts"]) == ("cancelled", 499, 1)
    assert made.stop() == 0


def test_log_lines_are_json_with_one_per_exchange(tmp_path: Path) -> None:
    made = gateway(tmp_path / "g", None, "--log-format", "json")
    key = made.key()
    got = call(made, key, SECRET, **{"x-tierwise-tags": "night"})
    assert made.stop() == 0
    text = made.log.read_text()
    found = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    [line] = [each for each in found if each.get("event") == "exchange"]
    [row] = made.closes()
    assert line["exchange"] == got.headers["x-tierwise-exchange"] == row["exchange"]
    assert (line["cost_pico"], line["outcome"], line["status"]) == (row["cost_pico"], "ok", 200)
    assert line["usage"] == row["usage"]
    assert line["tags"] == ["night"]
    assert any("draining" in each.get("message", "") for each in found)
    assert SECRET not in text


def test_without_telemetry_nobody_is_told_and_no_sdk_is_loaded() -> None:
    assert telemetry_of(load(None, {}), ()) is None
    code = "import sys, tierwise.serve; print([m for m in sys.modules if 'opentelemetry' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
