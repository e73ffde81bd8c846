"""The official Python SDKs, old and new, unmodified, with a provider of either dialect behind the gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live

ENVIRONMENTS = {"new": Path(sys.executable), "old": live.ROOT / ".venv-clients-old/bin/python"}
HAIKU = {
    "input": 10**6,
    "cache_read": 10**5,
    "cache_write_5m": 1_250_000,
    "cache_write_1h": 2 * 10**6,
    "output": 5 * 10**6,
}


@pytest.fixture(scope="module", params=["openai_chat", "anthropic_messages"])
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, live.Gateway, Path]]:
    folder = tmp_path_factory.mktemp(request.param)
    log = folder / "bill.jsonl"
    simulator = live.Process(folder, "simulator", "--port", "0", "--speed", "0", "--log", str(log))
    gateway = live.Gateway(folder, live.config(request.param, simulator.port))
    yield request.param, gateway, log
    assert gateway.stop() == 0
    simulator.stop()


@pytest.fixture(scope="module", params=list(ENVIRONMENTS))
def run(
    request: pytest.FixtureRequest, world: tuple[str, live.Gateway, Path]
) -> tuple[dict[str, Any], list[Any], list[Any], str]:
    dialect, gateway, log = world
    python = ENVIRONMENTS[request.param]
    if not python.exists():
        pytest.skip(f"{python} could not be built: see scripts/clients.sh")
    before_rows, before_log = len(gateway.closes()), len(log.read_text().splitlines()) if log.exists() else 0
    script = Path(__file__).with_name("snippets.py")
    done = subprocess.run(
        [python, script, str(gateway.port), gateway.key()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    billed = [json.loads(line) for line in log.read_text().splitlines()[before_log:]]
    return (
        json.loads(done.stdout),
        gateway.closes()[before_rows:],
        [b for b in billed if b["status"] == 200],
        dialect,
    )


def test_what_the_clients_saw(run: Any) -> None:
    out = run[0]
    assert out["chat"] == "Billing"
    assert out["chat_stream"]
    assert out["messages_stream"]
    assert out["chat_tool"] == ["get_weather", ["city"]]
    assert "Rain, 12 degrees" in out["chat_after_tool"]
    assert out["messages_tool"] == ["get_weather", ["city"], "tool_use"]
    assert out["messages_stream_stop"] in ("end_turn", "max_tokens")
    assert out["messages_unknown"] == "not_found_error"
    assert out["chat_wrong_key"] == "invalid_api_key"
    assert set(live.MODELS) <= {name.removeprefix("agg/") for name in out["models"]}
    assert out["claude_models"]


def test_second_call_is_read_from_the_prompt_cache(run: Any, world: Any) -> None:
    out, closes, _, dialect = run
    if dialect == "anthropic_messages":
        assert max(out["cache_write"], out["cache_read"]) > 4000
        assert out["cache_read"] > 4000
        reads = [row for row in closes if row["usage"]["cache_read"] == out["cache_read"]]
        assert reads


def test_ledger_equals_the_providers_own_bill(run: Any) -> None:
    _, closes, billed, _ = run
    assert len(closes) == len(billed)
    assert all(row["outcome"] == "ok" and row["usage_source"] == "reported" for row in closes)
    for bucket in HAIKU:
        assert sum(row["usage"][bucket] for row in closes) == sum(line["usage"][bucket] for line in billed), (
            bucket
        )
    for row in closes:
        assert row["cost_pico"] == sum(row["usage"][bucket] * price for bucket, price in HAIKU.items())


def test_every_row_balances(run: Any, world: Any) -> None:
    assert world[1].verify() == ""
