"""Feeds are bounded; traces are parsed; labels are bounded; nothing is loaded unasked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tierwise.config import load
from tierwise.errors import ConfigError
from tierwise.gateway.metrics import MOST_PINNED, Metrics
from tierwise.gateway.telemetry import feeds as telemetry
from tierwise.gateway.telemetry.feeds import Feed
from tierwise.gateway.telemetry.lines import line_of
from tierwise.gateway.telemetry.witness import Seen
from tierwise.serve import telemetry_of

SEEN = Seen(
    id="ex_1", at_us=1_000_000, total_us=2_000, trace="", operation="chat", key="key_1", key_name="k",
    project="", dialect="openai_chat", stream=False, task="qa", asked="task/qa", route="why", session="",
    tags=(), losses=(), tried=(), status=402, error="budget",
)  # fmt: skip
HEX = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Feeds look at their queues all the time."""
    monkeypatch.setattr(telemetry, "_ROUND_S", 0.001)


@pytest.mark.usefixtures("restless")
def test_a_feed_that_cannot_keep_up_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "MOST_WAITING", 3)
    taken, go, got = threading.Event(), threading.Event(), []

    def sink(batch: Sequence[Seen]) -> int:
        taken.set()
        assert go.wait(60)
        got.extend(batch)
        return 0

    feed = Feed("test", sink)
    feed.put(SEEN)
    assert taken.wait(60)
    for _ in range(5):
        feed.put(SEEN)
    assert feed.dropped == 2
    go.set()
    feed.close()
    assert len(got) == 4


@pytest.mark.usefixtures("restless")
def test_a_sink_that_fails_is_counted_and_asked_again() -> None:
    asked, calls = threading.Event(), []

    def sink(batch: Sequence[Seen]) -> int:
        calls.append(len(batch))
        asked.set()
        if len(calls) == 1:
            raise OSError("no room")
        return 0

    feed = Feed("test", sink)
    feed.put(SEEN)
    assert asked.wait(60)
    feed.put(SEEN)
    feed.close()
    assert (feed.dropped, sum(calls)) == (1, 2)


def test_a_refused_exchange_is_a_line_without_attempts() -> None:
    line = line_of(SEEN)
    assert (line["status"], line["error"], line["attempts"], line["cost_pico"]) == (402, "budget", 0, 0)
    assert "tier" not in line


def test_models_named_by_callers_get_so_many_labels() -> None:
    metrics = Metrics()
    labels = {metrics.label_of(f"p/{number}") for number in range(MOST_PINNED + 50)}
    assert len(labels) == MOST_PINNED + 1
    assert metrics.label_of("p/0") == "p/0"
    assert metrics.label_of("p/new") == "other"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{HEX[0]}-{HEX[1]}-01", True),
        (f"00-{HEX[0]}-{HEX[1]}-00", False),
        (f"cc-{HEX[0]}-{HEX[1]}-01-what-a-later-version-adds", True),
        (f"ff-{HEX[0]}-{HEX[1]}-01", None),
        (f"00-{'0' * 32}-{HEX[1]}-01", None),
        (f"00-{HEX[0]}-{'0' * 16}-01", None),
        (f"00-{HEX[0].upper()}-{HEX[1]}-01", None),
        ("", None),
        ("garbage", None),
    ],
)
def test_traceparent(header: str, sampled: bool | None) -> None:
    otlp = pytest.importorskip("tierwise.gateway.telemetry.otlp", reason="the extra otel is not installed")
    parent = otlp.parent_of(header)
    assert (parent.trace_flags.sampled if parent is not None else None) == sampled


def test_a_missing_sdk_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tierwise.toml").write_text('[telemetry]\notlp_endpoint = "http://127.0.0.1:4318"\n')
    settings = load(tmp_path / "tierwise.toml", {})
    monkeypatch.setitem(sys.modules, "tierwise.gateway.telemetry.otlp", None)
    with pytest.raises(ConfigError, match="OpenTelemetry SDK") as refused:
        telemetry_of(settings, ())
    assert "tierwise[otel]" in refused.value.hint


def test_a_secret_header_is_read_from_where_it_lies_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "tierwise.toml"
    file.write_text(
        '[telemetry]\notlp_endpoint = "http://c:4318"\notlp_headers = { x-key = "env:HONEY_KEY" }\n'
    )
    settings = load(file, {"HONEY_KEY": "s3cret"})
    assert settings.secrets.otlp_headers == {"x-key": "s3cret"}
    assert "s3cret" not in repr(settings)
    with pytest.raises(ConfigError, match="HONEY_KEY"):
        load(file, {})
    file.write_text('[telemetry]\notlp_endpoint = "collector"\n')
    with pytest.raises(ConfigError, match="otlp_endpoint"):
        load(file, {})
