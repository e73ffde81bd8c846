"""Places for ledgers, one class for each kind of store: what the store suite runs on."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from postgres import expire_leases
from tierwise.ledger import Ledger, Reader, open_ledger, read_ledger


class Stores(Protocol):
    """A place for ledgers of one kind. `shared`: several processes may write the same one."""

    shared: bool
    owned: list[Ledger]

    @property
    def url(self) -> str:
        """Of the ledger there."""

    def open(self) -> Ledger:
        """Opens the ledger of this place."""

    def crash(self) -> Ledger:
        """What is left of the ledger after kill -9 of its owner, opened."""

    def read(self) -> Reader:
        """Opens it for reading."""


class SqliteStores:
    """One ledger after another in the same place; `crash` is what kill -9 leaves: the files as they are."""

    shared = False

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self.folder = folder
        self.count = 0
        self.owned: list[Ledger] = []

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/{self.count}/ledger.db"

    def open(self) -> Ledger:
        (self.folder / str(self.count)).mkdir(exist_ok=True)
        self.owned.append(open_ledger(self.url, {}))
        return self.owned[-1]

    def crash(self) -> Ledger:
        old = self.folder / str(self.count)
        self.count += 1
        new = self.folder / str(self.count)
        new.mkdir()
        for name in ("ledger.db", "ledger.db-wal"):
            if (old / name).exists():
                shutil.copy(old / name, new / name)
        return self.open()

    def read(self) -> Reader:
        return read_ledger(self.url)


class PostgresStores:
    """One database; `crash` cuts the owner's connections and lets the time of its lease pass."""

    shared = True

    def __init__(self, folder: Path, request: pytest.FixtureRequest) -> None:
        self._url: str = request.getfixturevalue("postgres").new_url()
        self.owned: list[Ledger] = []

    @property
    def url(self) -> str:
        return self._url

    def open(self) -> Ledger:
        self.owned.append(open_ledger(self.url, {}))
        return self.owned[-1]

    def crash(self) -> Ledger:
        self.owned.pop()._store.release()
        expire_leases(self.url)
        return self.open()

    def read(self) -> Reader:
        return read_ledger(self.url)


async def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60.0
    while not true():
        assert time.monotonic() < end, "it did not happen"
        await asyncio.sleep(0.02)


async def rolled(ledger: Ledger, slices: int) -> None:
    """So many slices are rolled up. In Postgres any transaction of the server, its vacuum's say, keeps them
    waiting while it lasts."""
    for _ in range(slices):
        await until(ledger.roll)


STORES: dict[str, Callable[[Path, pytest.FixtureRequest], Stores]] = {
    "sqlite": SqliteStores,
    "postgres": PostgresStores,
}


@pytest.fixture(params=sorted(STORES))
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """A place of each kind in turn; the ledgers opened there are shut down after the test."""
    stores = STORES[request.param](tmp_path, request)
    yield stores
    for ledger in stores.owned:
        await ledger.shutdown()
