"""The playground's keys in a ledger that replicas share: renewed, and revoked when none can use them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tierwise.clock import now_us
from tierwise.ledger import Ledger, open_ledger
from tierwise.ledger import ledger as module
from tierwise.web.site import Site
from tierwise.web.views import playground

HOUR_US = 3_600_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = open_ledger(f"sqlite:///{tmp_path}/ledger.db", {})
    yield made
    made._store.release()


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_us = now_us()
        for place, name in ((playground, "now"), (module, "now_us")):
            monkeypatch.setattr(place, name, lambda: self.at_us)


def replica(ledger: Ledger) -> Any:
    """A control plane of a shared ledger."""

    class Gate:
        def __init__(self) -> None:
            self.ledger = ledger

    class Control:
        ledger_url = "postgres://somewhere/else"
        gate = Gate()

    site = object.__new__(Site)
    site.control = Control()  # type: ignore[assignment]
    site.playground_lock = threading.Lock()
    site.playground_secret = ""
    return site


def test_keys_are_renewed_and_old_ones_revoked(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    first, second = replica(ledger), replica(ledger)
    one, two = playground.secret_of(first), playground.secret_of(second)
    clock.at_us += 11 * HOUR_US
    assert (playground.secret_of(first), playground.secret_of(second)) == (one, two)
    clock.at_us += 2 * HOUR_US
    renewed = playground.secret_of(first)
    assert renewed != one
    # Whoever holds the old one may still send it.
    assert all(ledger.find(ledger.digest_of(secret)) for secret in (one, two, renewed))
    clock.at_us += 12 * HOUR_US
    playground.secret_of(second)
    living = [ledger.find(ledger.digest_of(secret)) is not None for secret in (one, two, renewed)]
    assert living == [False, True, True]
    playground.secret_of(replica(ledger))
    assert ledger.find(ledger.digest_of(two)) is None
