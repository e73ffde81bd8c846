"""/readyz of a running gateway whose ledger cannot be written: told, and taken back without a call."""

from __future__ import annotations

import asyncio
import json
import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

import live
import provider
from postgres import Postgres, running
from tierwise.errors import StoreError
from tierwise.ledger import open_ledger
from unit.ledger.made import opened

BODY = {"model": "tier/haiku", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


@pytest.fixture
def server() -> Iterator[Postgres]:
    with running() as found:
        yield found


def answer(sent: provider.Sent) -> Iterator[bytes]:
    yield provider.whole(200, provider.chat(model=json.loads(sent.body)["model"]))


def started(folder: Path, db: str = "") -> live.Gateway:
    return live.Gateway(folder, live.config("openai_chat", provider.Provider(answer).port), db=db)


def call(gateway: live.Gateway, key: str) -> int:
    return live.post(gateway.port, "/v1/chat/completions", BODY, key).status


def ready(gateway: live.Gateway) -> tuple[int, bytes]:
    got = live.request(gateway.port, "GET", "/readyz")
    assert live.request(gateway.port, "GET", "/healthz").status == 200
    return got.status, got.body


def failing_s(gateway: live.Gateway) -> float:
    text = live.request(gateway.admin, "GET", "/metrics").body.decode()
    return float(text.partition("\ntierwise_ledger_failing_seconds ")[2].split()[0])


OK = (200, b"ok\n")
NOT = (503, b"not ready: the ledger cannot be written\n")


def test_a_full_disk(tmp_path: Path) -> None:
    gateway = started(tmp_path)
    key = gateway.key()
    assert call(gateway, key) == 200
    assert ready(gateway) == OK
    assert failing_s(gateway) == 0
    pid, unlimited = gateway.child.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, unlimited))
    assert call(gateway, key) == 503
    # Nobody calls meanwhile: the load balancer, which was told, sends no one.
    assert live.wait_for(lambda: ready(gateway) == NOT)
    assert failing_s(gateway) > 0
    rows = len(gateway.rows())
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    assert live.wait_for(lambda: ready(gateway) == OK)
    assert failing_s(gateway) == 0
    # To find out, no row was written.
    assert len(gateway.rows()) == rows
    assert call(gateway, key) == 200
    assert gateway.verify() == ""
    assert gateway.stop() == 0


def test_a_ledger_that_is_moved_away_and_put_back(tmp_path: Path) -> None:
    gateway = started(tmp_path)
    key = gateway.key()
    assert call(gateway, key) == 200
    file, away = tmp_path / "ledger.db", tmp_path / "away.db"
    file.rename(away)
    # Nobody calls meanwhile.
    assert live.wait_for(lambda: ready(gateway) == NOT)
    assert "ledger.db was removed or replaced; put it back" in gateway.log.read_text()
    assert call(gateway, key) == 503
    assert gateway.command("keys", "create", "lost").returncode == 1
    assert not file.exists()
    # A copy is another file: what was committed since is not in it.
    file.write_bytes(away.read_bytes())
    assert call(gateway, key) == 503
    away.replace(file)
    assert live.wait_for(lambda: ready(gateway) == OK)
    assert call(gateway, key) == 200
    assert len(gateway.closes()) == 2
    assert gateway.verify() == ""
    assert gateway.stop() == 0


async def test_a_sweep_meanwhile_does_not_end_the_tries(tmp_path: Path) -> None:
    ledger = open_ledger(f"sqlite:///{tmp_path}/ledger.db", {})
    meddler = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    meddler.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await ledger.open(opened("a"))
    assert await ledger.sweep(0) == 0
    assert ledger.failing_us() > 0
    meddler.execute("ROLLBACK")
    meddler.close()
    async with asyncio.timeout(60):
        while ledger.failing_us():
            await asyncio.sleep(0.02)
    await ledger.shutdown()


def test_a_postgres_that_is_away(server: Postgres, tmp_path: Path) -> None:
    """Told even where nobody called since it went."""
    gateway = started(tmp_path, server.new_url())
    key = gateway.key()
    assert call(gateway, key) == 200
    assert ready(gateway) == OK
    for _ in range(2):
        server.stop()
        assert live.wait_for(lambda: ready(gateway) == NOT)
        assert call(gateway, key) == 503
        server.start()
        assert live.wait_for(lambda: ready(gateway) == OK)
        assert live.wait_for(lambda: call(gateway, key) == 200)
    assert gateway.verify() == ""
    assert gateway.stop() == 0
