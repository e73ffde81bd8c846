"""A running gateway whose Postgres goes away and comes back: refused with the reason, then served again."""

from __future__ import annotations

import json
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
