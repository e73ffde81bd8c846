"""The control port's thread: it ends before the process does."""

from __future__ import annotations

import socket
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.responses import PlainTextResponse

import live
from tierwise.web import Control, application, start


def opened(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The control port before a control plane that only says ok."""
    monkeypatch.setattr(application, "application", lambda control, doors: PlainTextResponse("ok"))
    settings = SimpleNamespace(secrets=SimpleNamespace(admin="open-sesame"))
    return start(cast(Control, SimpleNamespace(settings=lambda: settings)), "127.0.0.1", 0)


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
