"""Callers who go away before anything of theirs was sent: their rows are closed at once, not swept later."""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path

import live
import provider

CALLS = 60


def leave(port: int, key: str) -> None:
    """Sends a request and resets the connection behind it."""
    body = json.dumps({"model": "agg/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\ncontent-length: {len(body)}"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"{head}\r\n\r\n{body}".encode())


def test_who_leaves_while_the_provider_is_being_reached_pays_nothing(tmp_path: Path) -> None:
    price = '[[price]]\nmodel = "agg/m"\ninput = 1\noutput = 5\n'
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing: no TLS
        plain = live.config("openai_chat", silent.getsockname()[1], ["m"], extra=price)
        gateway = live.Gateway(tmp_path, plain.replace("http://", "https://"))
        key = gateway.key("--budget-usd", "1")
        body = json.dumps(
            {"model": "agg/m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi " * 999}]}
        )
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: {key}\r\n"
        with socket.create_connection(("127.0.0.1", gateway.port)) as caller:
            caller.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
            assert live.wait_for(gateway.rows)
            held, _ = silent.accept()  # and held: who hangs up first is the caller
            held.recv(1)  # the handshake has begun
        with held:
            assert live.wait_for(gateway.closes)
        (close,) = gateway.closes()
        assert (close["outcome"], close["status"], close["cost_pico"]) == ("cancelled", 499, 0)
        assert not any(close["usage"].values())
        assert gateway.stop() == 0
        assert gateway.verify() == ""


def test_nothing_stays_reserved_for_who_left_before_the_call(tmp_path: Path) -> None:
    upstream = provider.Provider(lambda _sent: [0.05, provider.whole(200, provider.chat())])
    price = '[[price]]\nmodel = "agg/m"\ninput = 1\noutput = 5\n'
    gateway = live.Gateway(tmp_path, live.config("openai_chat", upstream.port, ["m"], extra=price))
    key = gateway.key("--budget-usd", "1")
    for _ in range(CALLS):
        leave(gateway.port, key)
    assert live.wait_for(lambda: 0 < len(gateway.closes()) == len(gateway.rows()) / 2)
    closes = gateway.closes()
    assert {row["outcome"] for row in closes} <= {"cancelled", "ok"}
    assert gateway.stop() == 0
    assert gateway.verify() == ""
    upstream.close()
