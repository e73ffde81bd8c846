"""A ledger on a file system that cannot be written: what to do follows from why."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from tierwise.ledger.sqlite.lock import _unopened
from tierwise.ledger.sqlite.rollup import unreadable


def test_a_lock_that_cannot_be_opened(tmp_path: Path) -> None:
    lock = tmp_path / "l.db.lock"
    assert "Mount its file system writable" in _unopened(lock, OSError(errno.EROFS, ""))
    denied = OSError(errno.EACCES, "")
    assert _unopened(lock, denied).startswith("Create the folder")
    lock.touch()
    assert _unopened(lock, denied).startswith("Look at the permissions")


def test_a_ledger_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    error = sqlite3.OperationalError("unable to open database file")
    assert "run as the server's user" in unreadable(tmp_path / "l.db", error).hint
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert "the file system is read-only: copy it" in unreadable(tmp_path / "l.db", error).hint
