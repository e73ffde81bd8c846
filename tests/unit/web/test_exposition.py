"""The metrics page: what it says of a gateway that waits, and that it agrees with the gateway."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tierwise.clock import now_us
from tierwise.config import load
from tierwise.ledger import open_ledger
from tierwise.nouns import Open
from tierwise.serve import Options, Running
from tierwise.web.exposition import exposition


def value(text: str, name: str) -> float:
    """The value of a metric without labels."""
    found = re.search(rf"^{name} (\S+)$", text, re.M)
    assert found is not None, name
    return float(found[1])


async def test_rows_that_wait_are_counted_and_aged(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/l.db")
    gate = Running(Options(), load(None, {}), ledger).gate
    text = exposition(gate)
    assert (value(text, "tierwise_ledger_waiting_rows"), value(text, "tierwise_ledger_lag_seconds")) == (0, 0)
    written = asyncio.ensure_future(
        ledger.open(
            Open("ex_1", "ex_1-1", now_us() - 7_000_000, "k", "qa", "haiku", "a/h", "a", "openai_chat",
                 "openai_chat", False, "p", 0)
        )
    )  # fmt: skip
    text = exposition(gate)
    assert value(text, "tierwise_ledger_waiting_rows") == 1
    assert value(text, "tierwise_ledger_lag_seconds") >= 7
    await written
    assert value(exposition(gate), "tierwise_ledger_waiting_rows") == 0
    await ledger.shutdown()


async def test_a_shared_store_that_is_away_is_said(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/l.db")
    gate = Running(Options(redis="redis://127.0.0.1:1/0"), load(None, {}), ledger).gate
    await gate.admission.start()
    text = exposition(gate)
    assert value(text, "tierwise_admission_away") == 1
    assert value(text, "tierwise_admission_replicas") == 1
    assert value(text, "tierwise_admission_local_total") == 0
    await gate.admission.close()
    await ledger.shutdown()


async def test_the_gateways_own_part_is_told_apart_below_a_millisecond(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/l.db")
    gate = Running(Options(), load(None, {}), ledger).gate
    for seconds in (0.00008, 0.0003, 0.7):
        gate.metrics.calls.overhead_s.add(seconds)
    text = exposition(gate)
    buckets = re.findall(r'^tierwise_overhead_seconds_bucket{le="([^"]+)"} (\d+)$', text, re.M)
    counts = {bound: int(count) for bound, count in buckets}
    assert (counts["0.0001"], counts["0.0005"], counts["0.25"], counts["+Inf"]) == (1, 2, 2, 3)
    assert [float(bound) for bound, _ in buckets] == sorted(float(bound) for bound, _ in buckets)
    await ledger.shutdown()
