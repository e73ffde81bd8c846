"""A SQLite ledger whose files are removed or replaced under the process that writes it: nothing goes
on into a file that nobody can find again, and what can be made good is. See also test_ready.py.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tierwise.errors import StoreError, StoreLocked
from tierwise.ledger import announcement, open_ledger, read_ledger
from unit.ledger.made import closed, opened


async def test_a_log_that_is_removed_is_made_good(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    for name in ("a", "b"):
        await ledger.open(opened(name))
        await ledger.close(closed(name))
    os.unlink(tmp_path / "ledger.db-wal")
    ledger.look()
    await ledger.open(opened("c"))
    await ledger.close(closed("c"))
    assert [row["attempt"] for row in read_ledger(url).rows()] == [*"aabbcc"]
    assert read_ledger(url).verify() == []
    await ledger.shutdown()
    assert len([*read_ledger(url).rows()]) == 6


async def test_a_lock_file_that_is_removed_is_taken_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    ledger.announce("http://127.0.0.1:4001", "token")
    os.unlink(tmp_path / "ledger.db.lock")
    assert announcement(url) is None
    ledger.look()
    with pytest.raises(StoreLocked, match=f"Process {os.getpid()}"):
        open_ledger(url, {})
    found = announcement(url)
    assert found is not None
    assert found.token == "token"
    await ledger.open(opened("a"))
    await ledger.close(closed("a"))
    await ledger.shutdown()
    assert announcement(url) is None


async def test_what_another_process_wrote_meanwhile_is_not_written_over(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    ledger = open_ledger(url, {})
    await ledger.open(opened("a"))
    os.unlink(tmp_path / "ledger.db.lock")
    other = open_ledger(url, {})
    ledger.look()
    with pytest.raises(StoreError, match=f"Process {os.getpid()} is writing"):
        await ledger.open(opened("b"))
    await other.open(opened("c"))
    await other.close(closed("c"))
    await other.shutdown()
    # It is free again, and still no longer what this one knows it as.
    for _ in range(3):
        await asyncio.sleep(0.1)
        with pytest.raises(StoreError):
            await ledger.open(opened("d"))
    assert ledger.failing_us() > 0
    with pytest.raises(StoreError, match="another process has written"):
        ledger.create_key("k")
    await ledger.shutdown()
    assert read_ledger(url).verify() == []
    assert [row["attempt"] for row in read_ledger(url).rows()] == [*"aacc"]
