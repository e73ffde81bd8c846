"""A provider that stopped answering: when its rest is over, one call finds out how it is, and not all."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import live
import provider

BODY = {"model": "anthropic/claude-haiku-4", "messages": [{"role": "user", "content": "Hi"}]}
MODELS = ["anthropic/claude-haiku-4"]


def silent(_: provider.Sent) -> Iterator[Any]:
    yield provider.HANG


def answer(_: provider.Sent) -> Iterator[bytes]:
    yield provider.whole(200, provider.chat())


def test_many_at_once_send_one_probe(tmp_path: Path) -> None:
    dead, well = provider.Provider(silent), provider.Provider(answer)
    toml = live.config("openai_chat", dead.port, MODELS, "first_byte_timeout_s = 1\n")
    toml += live.config("openai_chat", well.port, MODELS).replace('"agg"', '"other"')
    gateway = live.Gateway(tmp_path, toml)
    key = gateway.key()

    def ask(_: int) -> int:
        return live.post(gateway.port, "/v1/chat/completions", BODY, key).status

    with ThreadPoolExecutor(40) as callers:
        assert [*callers.map(ask, range(5))] == [200] * 5
        assert "is left alone for 5 s" in gateway.log.read_text()
        assert [*callers.map(ask, range(5))] == [200] * 5
        before = len(dead.sent)
        time.sleep(4)
        # Again and again, until the rest is over within one of the rounds.
        until = time.monotonic() + 60
        while len(dead.sent) == before and time.monotonic() < until:
            assert set(callers.map(ask, range(40))) == {200}
    assert len(dead.sent) == before + 1
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    dead.close()
    well.close()
