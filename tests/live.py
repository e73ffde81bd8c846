"""What tests from outside share: real processes on free ports, and a plain HTTP client."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from owned import own
from tierwise.ledger import read_ledger

ROOT = Path(__file__).resolve().parent.parent
MODELS = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7"]
NEEDS_CURL = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
"""For the examples of the pages, which are shown with it."""
BASES = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic_messages": "", "gemini": ""}


_HELD: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody else is given while the tests run; nothing listens there until a server is told."""
    held = socket.socket()
    # Bound and not listening: servers, which allow reuse, may listen there; the kernel gives it to no one.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _HELD.append(held)
    return int(held.getsockname()[1])


def config(dialect: str, port: int, models: list[str] = MODELS, extra: str = "") -> str:
    """A tierwise.toml with one aggregator of `dialect` on a loopback port that serves `models`."""
    base = f"http://127.0.0.1:{port}{BASES[dialect]}"
    return (
        f'[[provider]]\nname = "agg"\ndialect = "{dialect}"\nbase_url = "{base}"\n'
        f'key = "env:UPSTREAM_KEY"\nmodels = {json.dumps(models)}\n{extra}'
    )


def each_dialect(port: int, models: list[str]) -> str:
    """A tierwise.toml with one provider of each dialect, called by its name, under that name on a port."""
    return "".join(
        f'[[provider]]\nname = "{name}"\ndialect = "{name}"\n'
        f'base_url = "http://127.0.0.1:{port}/{name}{base}"\n'
        f'key = "env:UPSTREAM_KEY"\nmodels = {json.dumps(models)}\n'
        for name, base in BASES.items()
    )


PATIENT = """
from tierwise.gateway.replicas import valkey
valkey.ANSWER_S = 2.0
from tierwise.cli import main
main()
"""
"""tierwise for tests with a Valkey: on a busy machine it may take longer than 50 ms to answer."""


class Process:
    """A tierwise command that prints `ready URL`; its stderr goes to a file in `folder`."""

    def __init__(self, folder: Path, *arguments: str, environ: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.log = folder / f"{arguments[0]}.err"
        self.program = ("-c", PATIENT) if "--redis" in arguments else ("-m", "tierwise")
        self.arguments = arguments
        self.environ = {**os.environ, "UPSTREAM_KEY": "sk-upstream-canary", **(environ or {})}
        own(self)
        self.start()

    def start(self) -> None:
        """Starts (again) and waits until it is ready."""
        with self.log.open("a") as errors:
            self.child = subprocess.Popen(
                [sys.executable, *self.program, *self.arguments],
                stdout=subprocess.PIPE, stderr=errors, text=True, cwd=self.folder, env=self.environ,
            )  # fmt: skip
        assert self.child.stdout is not None
        words = self.child.stdout.readline().split()
        assert words[:1] == ["ready"], f"{self.arguments[0]} did not start: {self.log.read_text()[-2000:]}"
        self.url = words[1]
        self.port = int(self.url.rsplit(":", 1)[1])

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM; gives the exit status."""
        self.child.terminate()
        try:
            return self.child.wait(timeout)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise

    def end(self) -> None:
        """kill -9 of what still runs."""
        if self.child.poll() is None:
            self.kill()

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait()


class Gateway(Process):
    """`tierwise serve` in `folder` with the given tierwise.toml, and commands against its ledger."""

    def __init__(
        self, folder: Path, toml: str, environ: dict[str, str] | None = None, *arguments: str, db: str = ""
    ) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        (folder / "tierwise.toml").write_text(toml)
        self.db = db or f"sqlite:///{folder}/ledger.db"
        self.common = ("--config", str(folder / "tierwise.toml"), "--db", self.db)
        self.admin = free_port()
        ports = ("--port", str(free_port()), "--admin-port", str(self.admin))
        super().__init__(folder, "serve", *ports, *self.common, *arguments, environ=environ)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a tierwise command against this gateway's ledger."""
        return subprocess.run(
            [sys.executable, "-m", "tierwise", *arguments, *self.common],
            capture_output=True, text=True, cwd=self.folder, env=self.environ, check=False,
        )  # fmt: skip

    def key(self, *options: str) -> str:
        """A new key's secret."""
        made = self.command("keys", "create", "test", "--json", *options)
        assert made.returncode == 0, made.stderr
        secret = str(json.loads(made.stdout)["key"])
        if "postgres://" in self.common[-1] and self.child.poll() is None:
            # Made in the database: the server is told of it, which takes a moment.
            assert wait_for(lambda: self.knows(secret)), self.log.read_text()[-2000:]
        return secret

    def knows(self, secret: str) -> bool:
        """Whether a key is taken here."""
        return request(self.port, "GET", "/v1/models", None, {"x-api-key": secret}).status == 200

    def rows(self) -> list[dict[str, Any]]:
        """The ledger's rows in the shape of its export."""
        return list(read_ledger(self.db).rows())

    def closes(self) -> list[dict[str, Any]]:
        """The exported CLOSE rows."""
        return [row for row in self.rows() if row["event"] == "close"]

    def verify(self) -> str:
        """What `ledger verify` says when it does not hold, "" when it does."""
        done = self.command("ledger", "verify")
        return done.stdout + done.stderr if done.returncode else ""


class SharedGateway(Gateway):
    """The same before a ledger that is given by its URL."""

    def __init__(self, folder: Path, toml: str, db: str) -> None:
        super().__init__(folder, toml, None, "--db", db)
        self.db = db
        self.common = (*self.common[:2], "--db", db)


class Got:
    """A reply: status, headers by lower-case name, body."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """The body decoded."""
        return json.loads(self.body)


def post(port: int, path: str, body: Any, key: str = "", headers: dict[str, str] | None = None) -> Got:
    """POSTs JSON (or bytes as they are) to a loopback port."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {
        "content-type": "application/json",
        **({"authorization": f"Bearer {key}"} if key else {}),
        **(headers or {}),
    }
    return request(port, "POST", path, raw, sent)


def request(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> Got:
    """One request to a loopback port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=240)
    try:
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        return Got(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())
    finally:
        connection.close()


@contextmanager
def script(code: str, said: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Python `code` in a process of its own for as long as the block lasts, or until it is killed in it; what
    it prints in the file `said`: of a pipe, what one reader had taken in is lost to the next."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    with said.open("wb") as out:
        child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=out, env=environ)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def lines(path: Path) -> list[str]:
    """The whole lines of a file that may be growing, or cut by a kill; [] when there is none."""
    if not path.exists():
        return []
    return [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]


def wait_for(condition: Any, seconds: float = 60.0) -> bool:
    """Whether `condition()` became true in time: long enough for any machine, and spent by failures only."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        asked = time.monotonic()
        if condition():
            return True
        # At most half of the time is spent on asking: what is waited for needs the processor too.
        time.sleep(max(0.02, time.monotonic() - asked))
    return bool(condition())
