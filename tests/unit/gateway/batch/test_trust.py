"""When a replica may take a batch whose owner's lease is over."""

from __future__ import annotations

from typing import Any

import pytest

from tierwise.batches import LEASE_US
from tierwise.gateway.batch import runner
from tierwise.gateway.batch.runner import Runner


class Gate:
    """Nothing of it is asked for."""


def test_after_a_gap_every_owner_gets_one_lease_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    at = {"us": 10**9}
    monkeypatch.setattr(runner, "tick_us", lambda: at["us"])
    gate: Any = Gate()
    store: Any = None
    made = Runner(gate, store)

    def looks(after_us: int) -> bool:
        at["us"] += after_us
        trusts = made._trusts()
        made._looked_us = at["us"]
        return trusts

    second = 1_000_000
    assert not looks(0), "it has only begun"
    assert [looks(5 * second) for _ in range(6)] == [False] * 5 + [True]
    assert looks(LEASE_US // 2)
    assert not looks(LEASE_US // 2 + 1), "the store was away for so long, or this process"
    assert [looks(10 * second) for _ in range(3)] == [False, False, True]
