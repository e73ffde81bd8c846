"""The control port's thread: it ends before the process does."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import PlainTextResponse

import live
from tierwise.web import Control, application, start
from tierwise.web import listening as listening_module


def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The control port before a control plane that only says ok."""
    monkeypatch.setattr(listening_module, "_END_S", 60.0)
    monkeypatch.setattr(application, "application", lambda control, doors: PlainTextResponse("ok"))
    settings = SimpleNamespace(secrets=SimpleNamespace(admin="open-sesame"))
    return start(cast(Control, SimpleNamespace(settings=lambda: settings)), "127.0.0.1", 0)


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return live.request(port, "GET", "/").status == 200
    return False


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "control-plane"]


def test_stopping_ends_the_thread_and_closes_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = opened(monkeypatch)
    assert live.request(listening.port, "GET", "/").status == 200
    with socket.create_connection(("127.0.0.1", listening.port)):  # a browser that keeps its connection
        listening.stop()
    assert threads() == []
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", listening.port)).close()


def test_stopping_at_once_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(monkeypatch).stop()
    assert threads() == []


def test_a_head_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = opened(monkeypatch)
    browser = socket.create_connection(("127.0.0.1", listening.port), timeout=60)
    with browser, pytest.raises(OSError):
        browser.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: " + b"a" * 64_000_000)
    listening.stop()


def test_who_sends_no_request_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening_module, "_LOOK_S", 0.05)
    listening = opened(monkeypatch)
    idle = [socket.create_connection(("127.0.0.1", listening.port)) for _ in range(250)]
    idle[0].sendall(b"GET / HTTP/1.1\r\n")
    idle[1].sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
    assert live.wait_for(lambda: answers(listening.port))
    for each in idle:
        each.close()
    listening.stop()


def test_a_request_that_does_not_come_to_its_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening_module, "_LOOK_S", 0.05)
    monkeypatch.setattr(listening_module, "_PATIENCE_S", 0.2)
    listening = opened(monkeypatch)
    for said in (b"", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"):
        with socket.create_connection(("127.0.0.1", listening.port), timeout=60) as slow:
            slow.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(100) == b""
    listening.stop()


def test_a_web_socket_is_answered_as_a_request(monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    listening = opened(monkeypatch)
    upgrade = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert live.request(listening.port, "GET", "/", None, upgrade).status == 200
    with socket.create_connection(("127.0.0.1", listening.port), timeout=60) as stranger:
        stranger.sendall(b"nonsense\r\n\r\n")
        assert b" 400 " in stranger.recv(1000)
    listening.stop()
    assert caplog.text == ""
