"""One process owns a ledger. The lock file also says where the owner can be asked."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from pathlib import Path

import msgspec

from ...errors import StoreError, StoreLocked
from ..location import database_path, is_shared
from .place import number


class Announcement(msgspec.Struct, frozen=True):
    """Who owns the ledger. `admin_url` and `token` are empty until the owner serves its control plane."""

    pid: int
    admin_url: str = ""
    token: str = ""

    def __repr__(self) -> str:
        return f"Announcement(pid={self.pid}, admin_url={self.admin_url!r}, token='***')"


def announcement(url: str) -> Announcement | None:
    """What the process that owns the ledger at `url` announced; None when no process owns it, as none ever
    does in Postgres.

    While the owner has not written anything yet, an Announcement with pid 0.
    """
    if is_shared(url):
        return None
    path = lock_path(database_path(url))
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}.", "Run as the server's user.") from None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(file)
    else:
        return None
    finally:
        os.close(file)


def lock_path(database: Path) -> Path:
    """The lock file that belongs to a database file."""
    return database.with_name(database.name + ".lock")


def _unopened(path: Path, error: OSError) -> str:
    """What to do about a lock file that cannot be opened or made."""
    if error.errno == errno.EROFS:
        return "Mount its file system writable (a failing disk may have turned it so), or give another --db."
    try:
        owner, own = path.stat().st_uid, os.geteuid()
    except OSError:
        return "Create the folder, or give a --db in a folder this user may write."
    if owner == own:
        return f"Look at the permissions and attributes of {path.name} (ls -l, lsattr)."
    return (
        f"{path.name} belongs to user {owner}, this is user {own}: run as that user, or chown the "
        "ledger and the files beside it."
    )


class WriterLock:
    """Holds the lock of one database until `release` or the end of the process, kill -9 included (flock)."""

    def __init__(self, database: Path) -> None:
        """Takes the lock. Raises StoreLocked naming the owner, StoreError when the folder cannot be
        written.
        """
        self.path = lock_path(database)
        self._database = database
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(
                f"The ledger {database} cannot be opened: {error.strerror}.", _unopened(self.path, error)
            ) from None
        if not self._taken():
            owner = _read(self._file)
            os.close(self._file)
            self._file = -1
            raise _locked(database, owner)
        try:
            os.fchmod(self._file, 0o600)
        except OSError:
            # What is announced in it would be for others to read.
            raise StoreError(
                f"{self.path} belongs to another user.", "Run as that user, or remove it when no server runs."
            ) from None
        self.announce("", "")

    def announce(self, admin_url: str, token: str) -> None:
        """Writes who owns the ledger into the lock file, readable by this user only."""
        self._said = Announcement(os.getpid(), admin_url, token)
        # Never replaced by rename: the lock belongs to this inode.
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(self._said), 0)

    def renew(self) -> None:
        """Takes the lock anew where somebody removed its file. Raises StoreLocked when another process has it
        by now, StoreError.
        """
        if number(self.path) == number(self._file):
            return
        said, again = self._said, WriterLock(self._database)
        os.close(self._file)
        self._file, again._file = again._file, -1
        self.announce(said.admin_url, said.token)

    def release(self) -> None:
        """Gives the lock up. The file stays, empty: removing it would let two owners hold two inodes."""
        if self._file >= 0:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1

    def _taken(self) -> bool:
        # `announcement` holds the lock shared for an instant: that is no owner.
        for attempt in range(20):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.025 if attempt < 19 else 0)
            else:
                return True
        return False

    def __del__(self) -> None:
        if getattr(self, "_file", -1) >= 0:
            os.close(self._file)


def _read(file: int) -> Announcement:
    try:
        return msgspec.json.decode(os.pread(file, 65536, 0), type=Announcement)
    except msgspec.DecodeError:
        return Announcement(0)


def _locked(database: Path, owner: Announcement) -> StoreLocked:
    who = f"process {owner.pid}" if owner.pid else "another process"
    return StoreLocked(
        f"{who.capitalize()} is writing the ledger {database}.",
        "Stop that server, or give this one its own file with --db.",
    )
