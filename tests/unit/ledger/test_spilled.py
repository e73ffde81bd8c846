"""Calls sorted in a temporary file: in order, those of the same key as they came, and with all they carry."""

from __future__ import annotations

import errno
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tierwise.costing.settled import Settled
from tierwise.errors import StoreError
from tierwise.ledger import spilled as room
from tierwise.ledger.spilled import spilled
from tierwise.nouns import Usage
from unit.costing.made import call


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "RUN", 37)


def made(count: int, draw: random.Random) -> list[Settled]:
    usage = Usage(7, 1, 2, 3, 4, 1, {"web \x00": 2}, "partial", "flex")
    odd: dict[str, Any] = {
        "tags": ("a", "\ufdd0"),
        "usage": usage,
        "asked_pico": 2**63,
        "cost_pico": -(2**62),
    }
    return [
        call(f"c{n}", task=draw.choice("abc"), **(odd if draw.random() < 0.3 else {"session": "\x00"}))
        for n in range(count)
    ]


@pytest.mark.parametrize("count", [0, 1, 36, 37, 38, 74, 1000])
def test_calls_come_back_in_order_and_whole(count: int) -> None:
    calls = made(count, random.Random(count))
    ordered = spilled(lambda one: (one.task,))
    for one in calls:
        ordered.add(one)
    assert list(ordered) == sorted(calls, key=lambda one: one.task)


def test_few_are_in_memory_at_once() -> None:
    ordered = spilled(lambda one: (one.attempt,))
    for one in made(1000, random.Random(1)):
        ordered.add(one)
        assert len(ordered._held) < 37


def test_a_full_disk_says_where_and_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(room, "TemporaryFile", full)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ordered = spilled(lambda one: (one.attempt,))
    *most, last = made(37, random.Random(1))
    for one in most:
        ordered.add(one)
    with pytest.raises(StoreError) as told:
        ordered.add(last)
    assert told.value.sentence().startswith(
        f"Calls could not be sorted in {tmp_path}: No space left on device."
    )
    assert "TMPDIR" in told.value.sentence()
