"""Site: what every page is made from: the running gateway, its ledger's history, the sums, and the doors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from tierwise.clock import now_us
from tierwise.config import Settings
from tierwise.nouns import Catalog, Key, Policy, TierHealth

from .control import Control
from .doors import Doors
from .history import History
from .rollup import Rollup


class Site:
    """One control plane. Its parts are made when first asked for, and anew when the ledger's URL changes."""

    def __init__(self, control: Control, doors: Doors) -> None:
        self.control = control
        self.doors = doors
        self.playground_lock = threading.Lock()
        self.walking = threading.Lock()
        self.playground_secret = ""
        self._lock = threading.Lock()
        self._books: tuple[str, History, Rollup] | None = None

    @property
    def settings(self) -> Settings:
        """The configuration in force."""
        return self.control.settings()

    @property
    def catalog(self) -> Catalog:
        return self.settings.catalog

    @property
    def policy(self) -> Policy:
        return self.settings.policy

    @property
    def history(self) -> History:
        """The ledger, to be read. Raises StoreError."""
        return self._read()[0]

    @property
    def rollup(self) -> Rollup:
        """The sums, brought up to now. Raises StoreError."""
        rollup = self._read()[1]
        rollup.refresh()
        return rollup

    @property
    def health(self) -> Mapping[str, TierHealth]:
        """Model name → health, of the models called since the start."""
        return self.control.gate.caller.health.view()

    @property
    def runs(self) -> Path:
        """Where evaluations are kept: beside the configuration file, else the working folder."""
        path = self.settings.path
        return (path.parent if path is not None else Path()) / ".tierwise" / "runs"

    def key_names(self) -> dict[str, str]:
        """Key id → name, revoked ones too."""
        return {key.id: key.name for key in self.all_keys()}

    def all_keys(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        return self.control.gate.ledger.list_keys()

    def tier_order(self) -> list[str]:
        """Tiers as the ladder has them, cheap to dear, then the others."""
        ladder = self.catalog.ladder.tiers
        return [*ladder, *(name for name in self.catalog.tiers if name not in ladder)]

    def _read(self) -> tuple[History, Rollup]:
        url = self.control.ledger_url
        with self._lock:
            if self._books is None or self._books[0] != url:
                history = History(url)
                self._books = (url, history, Rollup(history))
            return self._books[1], self._books[2]


def month_start_us(at_us: int) -> int:
    """The beginning of the month (UTC) that holds `at_us`."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(at_us // 1_000_000, UTC)
    return int(at.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1_000_000


def now() -> int:
    """Wall clock, microseconds."""
    return now_us()
