"""A running gateway whose Postgres goes away and comes back: refused with the reason, then served again."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

import live
import provider
from conformance.test_batch import ended, handed_in, line
from postgres import Postgres, running

BODY = {"model": "tier/haiku", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9}
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Billing"}], "usage": {"input_tokens": 9, "output_tokens": 2},
}  # fmt: skip


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


@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_a_batchs_answer_that_comes_while_postgres_is_away_is_paid_once(
    server: Postgres, tmp_path: Path, dialect: str
) -> None:
    away = threading.Event()

    def late(sent: provider.Sent) -> Iterator[Any]:
        while not away.is_set():
            yield 0.05
        body = provider.chat(model=json.loads(sent.body)["model"])
        yield provider.whole(200, body if dialect == "openai_chat" else MESSAGE)

    upstream = provider.Provider(late)
    gateway = live.Gateway(tmp_path / "g", live.config(dialect, upstream.port), db=server.new_url())
    key = gateway.key()
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)
    batch = handed_in(client, [line("a"), line("b")])
    assert live.wait_for(lambda: len(upstream.sent) == 2)
    server.stop()
    away.set()
    assert live.wait_for(lambda: "a result waits for the store" in gateway.log.read_text())
    server.start()
    assert live.wait_for(lambda: live.post(gateway.port, "/v1/chat/completions", BODY, key).status == 200)
    done = ended(client, batch.id)
    assert (done.status, done.request_counts.completed) == ("completed", 2)
    assert len(upstream.sent) == 3
    assert live.wait_for(lambda: gateway.verify() == "")
    assert [row["outcome"] for row in gateway.closes()] == ["ok"] * 3
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
