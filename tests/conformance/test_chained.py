"""Behind another gateway of this kind: what that one could not carry is named here too."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider

LOST = "x-tierwise-losses: sampling.seed, metadata"
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[live.Gateway]:
    def answer(sent: provider.Sent) -> Iterator[Any]:
        if json.loads(sent.body).get("stream"):
            yield provider.stream_head(LOST) + provider.piece(b"".join(provider.message_frames("Hi")))
            yield provider.piece(b"")
        else:
            yield provider.whole(200, provider.message("Hi"), LOST)

    vendor = provider.Provider(answer)
    row = '[[provider]]\nname = "inner"\ndialect = "anthropic_messages"\nkey = "env:UPSTREAM_KEY"\n'
    gateway = live.Gateway(tmp_path, f'{row}base_url = "http://127.0.0.1:{vendor.port}"\n')
    yield gateway
    assert gateway.verify() == ""
    assert gateway.stop() == 0
    vendor.close()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/anthropic/v1/messages", "/v1/chat/completions"])
def test_what_was_lost_further_on_is_named_here(gateway: live.Gateway, path: str, stream: bool) -> None:
    crossed = path.startswith("/v1")
    body = {"model": "inner/claude-sonnet-4-6", "max_tokens": 50, "messages": HELLO, "stream": stream}
    body |= {"logit_bias": {"7": 1}} if crossed else {}
    asking = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    headers = {"authorization": f"Bearer {gateway.key()}", "content-type": "application/json"}
    asking.request("POST", path, json.dumps(body), headers)
    got = asking.getresponse()
    assert got.status == 200
    told = got.msg.get_all("x-tierwise-losses")
    assert told == (["sampling.logit_bias"] if crossed else []) + [LOST.partition(": ")[2]]
    asking.close()
