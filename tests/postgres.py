"""A private Postgres for tests: its own folder, a Unix socket and no port, stopped and started at will."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

PLACES = "/usr/lib/postgresql"  # where Debian keeps each version, as in 15/bin
SETTINGS = "-c fsync=off -c full_page_writes=off -c max_connections=60 -c shared_buffers=32MB"


class Postgres:
    """One server. `url(name)` gives a database of that name, made where it is not there yet."""

    def __init__(self, binaries: Path, folder: Path, settings: str = SETTINGS) -> None:
        self.binaries = binaries
        self.folder = folder
        self.settings = settings
        self.user = "nobody" if os.getuid() == 0 else None
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._names = itertools.count()
        made = ["-D", str(folder / "data"), "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"]
        self.run("initdb", *made)

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of Postgres's programs, never as root: they refuse."""
        command = [str(self.binaries / program), *arguments]
        if self.user is not None:
            command = ["runuser", "-u", self.user, "--", *command]
        log = self.folder / f"{program}.log"
        with log.open("a") as said:
            done = subprocess.run(command, stdout=said, stderr=said, cwd="/", timeout=240)
        assert done.returncode == 0, log.read_text()[-2000:]

    def start(self) -> None:
        options = f"-k {self.folder} -h '' {self.settings}"
        data, log = str(self.folder / "data"), str(self.folder / "server.log")
        self.run("pg_ctl", "-D", data, "-w", "-t", "200", "-l", log, "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is what a crash is to its clients."""
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-t", "200", "-m", mode, "stop")

    @property
    def pid(self) -> int:
        """Of the server's main process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Within it the server and its processes stand still; connections stay, and nobody answers."""
        own = self.pid
        pids = [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in reversed(pids):
                os.kill(pid, signal.SIGCONT)

    def url(self, name: str) -> str:
        return f"postgres://postgres@/{name}?host={self.folder}"

    def new_url(self) -> str:
        """A database nobody used before."""
        import psycopg

        name = f"ledger_{os.getpid()}_{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as database:
            database.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        return self.url(name)


@contextmanager
def running(settings: str = SETTINGS) -> Iterator[Postgres]:
    """A server for as long as the block lasts; skips the test, with the reason, where there is none."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    found = [initdb.parent for initdb in sorted(Path(PLACES).glob("*/bin/initdb"))]
    if not found:
        pytest.skip(f"no Postgres in {PLACES}")
    # Not pytest's folder: the other user must be able to reach it, and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="tw-pg-", dir="/tmp"))
    try:
        server = Postgres(found[0], folder, settings)
        server.start()
        try:
            yield server
        finally:
            if (folder / "data" / "postmaster.pid").exists():
                server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of a session; each makes databases of its own."""
    with running() as server:
        yield server


def expire_leases(url: str) -> None:
    """As if an hour had passed since any replica renewed its lease. One that lives renews it within two
    seconds: see `sweep_living` for those."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as database:
        database.execute("UPDATE tierwise.epochs SET beat = beat - interval '1 hour'")


def sweep_living(url: str) -> int:
    """Takes every replica for dead, were its lease renewed this moment; how many calls were swept."""
    import psycopg

    from tierwise.ledger.postgres.keeper import sweep_dead
    from tierwise.ledger.postgres.link import terms_of

    with psycopg.connect(**terms_of(url), autocommit=True) as database:
        return sweep_dead(database, -3600.0)
