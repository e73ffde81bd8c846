from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from tierwise.errors import StoreError
from tierwise.ledger import Ledger, announcement, open_ledger, read_ledger
from tierwise.ledger.location import database_path
from tierwise.ledger.sqlite.lock import WriterLock, lock_path


async def test_the_owner_is_announced_privately_and_gone_after_shutdown(url: str, ledger: Ledger) -> None:
    silent = announcement(url)
    assert silent is not None
    assert (silent.pid, silent.admin_url, silent.token) == (os.getpid(), "", "")
    ledger.announce("http://127.0.0.1:4001", "s3cret")
    told = announcement(url)
    assert told is not None
    assert (told.admin_url, told.token) == ("http://127.0.0.1:4001", "s3cret")
    assert "s3cret" not in repr(told)
    lock = Path(str(database_path(url)) + ".lock")
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    assert stat.S_IMODE(database_path(url).stat().st_mode) == 0o600
    ledger.announce("http://h", "t")
    assert announcement(url) is not None
    await ledger.shutdown()
    assert announcement(url) is None


def test_nobody_owns_a_ledger_that_never_was(tmp_path: Path) -> None:
    assert announcement(f"sqlite:///{tmp_path}/none.db") is None


@pytest.mark.parametrize(
    "url",
    ["mysql://x/y", "sqlite://", "sqlite:///", "tierwise.db", "sqlite:///:memory:", "sqlite:///a\x00b"],
)
def test_urls_that_name_no_ledger_are_refused(url: str) -> None:
    for use in (open_ledger, read_ledger, announcement):
        with pytest.raises(StoreError, match="names no ledger"):
            use(url)


def test_a_missing_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened"):
        open_ledger(f"sqlite:///{tmp_path}/no/such/folder.db")
    with pytest.raises(StoreError, match="no ledger at"):
        read_ledger(f"sqlite:///{tmp_path}/none.db")


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be looked at" * 50)
    before = path.read_text()
    for use in (open_ledger, read_ledger):
        with pytest.raises(StoreError, match="not a database"):
            use(f"sqlite:///{path}")
    assert path.read_text() == before
    assert announcement(f"sqlite:///{path}") is None


def test_a_ledger_that_another_user_made_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.db"
    lock_path(path).touch()

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tierwise.ledger.sqlite.lock.os.open", refused)
    monkeypatch.setattr("tierwise.ledger.sqlite.lock.os.geteuid", lambda: os.getuid() + 1)
    with pytest.raises(StoreError, match="cannot be opened: Permission denied") as caught:
        WriterLock(path)
    assert f"a.db.lock belongs to user {os.getuid()}" in caught.value.hint
    assert "chown" in caught.value.hint
