"""Requests that do not end while the gateway drains: each is told that it was cut off."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from provider import HANG

HELLO = [{"role": "user", "content": "hello"}]
STREAM = {"model": "auto", "max_tokens": 50, "stream": True, "messages": HELLO}


def never_ends(sent: provider.Sent) -> Iterator[Any]:
    if b'"stream":true' in sent.body.replace(b" ", b""):
        yield provider.stream_head()
        for frame in provider.chat_frames("so", "far")[:3]:
            yield provider.piece(frame)
    yield HANG


@pytest.mark.parametrize("signals", [1, 2], ids=["at the bound", "at a second signal"])
def test_what_a_drain_cuts_off_is_told_so(tmp_path: Path, signals: int) -> None:
    upstream = provider.Provider(never_ends)
    bound = 0.5 if signals == 1 else 600
    gateway = live.Gateway(
        tmp_path, live.config("openai_chat", upstream.port, extra=f"[server]\ndrain_timeout_s = {bound}\n")
    )
    key = gateway.key()
    got: dict[str, tuple[int, bytes]] = {}
    begun: set[str] = set()

    def ask(name: str, path: str, body: dict[str, Any]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", path, json.dumps(body), headers)
        reply, said = connection.getresponse(), b""
        while data := reply.read1():
            said += data
            if b"far" in said:
                begun.add(name)
        got[name] = reply.status, said
        connection.close()

    asked = [
        ("chat", "/v1/chat/completions", STREAM),
        ("anthropic", "/anthropic/v1/messages", STREAM),
        ("plain", "/v1/chat/completions", {**STREAM, "stream": False}),
    ]
    threads = [threading.Thread(target=ask, args=each) for each in asked]
    for thread in threads:
        thread.start()
    assert live.wait_for(lambda: len(upstream.sent) == 3 and len(begun) == 2)
    gateway.child.send_signal(signal.SIGTERM)
    if signals == 2:
        assert live.wait_for(lambda: "draining" in gateway.log.read_text())
        gateway.child.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(60)
    assert gateway.child.wait(60) == signals - 1
    upstream.close()
    last = got["chat"][1].rstrip().split(b"\n\n")[-1]
    assert last.startswith(b'data: {"error":')
    assert b"shut down" in last
    last = got["anthropic"][1].rstrip().split(b"\n\n")[-1]
    assert last.startswith(b"event: error\n")
    assert b"message_stop" not in got["anthropic"][1]
    assert got["plain"][0] == 503
    assert "shut down" in json.loads(got["plain"][1])["error"]["message"]
    closes = gateway.closes()
    assert [close["outcome"] for close in closes] == ["cancelled"] * 3
