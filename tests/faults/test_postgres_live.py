"""A running gateway whose Postgres goes away and comes back: refused with the reason, then served again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import live
import provider
from postgres import Postgres, running

BODY = {"model": "tier/haiku", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}


@pytest.fixture
def server() -> Iterator[Postgres]:
    with running() as found:
        yield found


def answer(sent: provider.Sent) -> Iterator[bytes]:
    yield provider.whole(200, provider.chat(model=json.loads(sent.body)["model"]))


def test_the_gateway_survives_its_postgres(server: Postgres, tmp_path: Path) -> None:
    upstream = provider.Provider(answer)
    toml = live.config("openai_chat", upstream.port)
    gateway = live.Gateway(tmp_path / "g", toml, db=server.new_url())
    key = gateway.key()

    def call() -> int:
        return live.post(gateway.port, "/v1/chat/completions", BODY, key).status

    assert call() == 200
    server.stop()
    sent = len(upstream.sent)
    refused = live.post(gateway.port, "/v1/chat/completions", BODY, key)
    assert refused.status == 503
    assert "ledger" in refused.json()["error"]["message"]
    assert [call() for _ in range(20)] == [503] * 20
    # What tells of it is there while it lasts.
    told = live.request(gateway.admin, "GET", "/metrics")
    assert told.status == 200, told.body
    (failing,) = re.findall(r"(?m)^tierwise_ledger_failing_seconds (\S+)$", told.body.decode())
    assert float(failing) > 0
    # Nothing goes upstream without its row; the gateway itself is well.
    assert len(upstream.sent) == sent
    assert live.request(gateway.port, "GET", "/healthz").status == 200
    server.start()
    assert live.wait_for(lambda: call() == 200)
    assert [call() for _ in range(5)] == [200] * 5
    assert live.wait_for(lambda: gateway.verify() == "")
    closed = gateway.closes()
    assert len(closed) >= 7
    assert gateway.stop() == 0


def test_a_postgres_that_hangs_keeps_no_gateway_from_ending(server: Postgres, tmp_path: Path) -> None:
    upstream = provider.Provider(answer)
    gateway = live.Gateway(tmp_path / "g", live.config("openai_chat", upstream.port), db=server.new_url())
    key = gateway.key()
    assert live.post(gateway.port, "/v1/chat/completions", BODY, key).status == 200
    with server.hanging():
        assert live.post(gateway.port, "/v1/chat/completions", BODY, key).status == 503
        gateway.child.terminate()
        assert live.wait_for(lambda: "draining" in gateway.log.read_text())
        gateway.child.terminate()
        assert gateway.child.wait(60) == 1
    assert "calls without a row are swept" in gateway.log.read_text()
    assert gateway.verify() == ""
