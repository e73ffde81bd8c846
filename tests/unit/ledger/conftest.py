from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tierwise.ledger import Ledger, Reader, open_ledger, read_ledger


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[Ledger]:
    made = open_ledger(url, {})
    yield made
    await made.shutdown()


@pytest.fixture
def reader(url: str, ledger: Ledger) -> Reader:
    return read_ledger(url)
