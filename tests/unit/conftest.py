"""Where unit tests run, and what they may not do: wait, start a process, or reach for the network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder without a tierwise.toml, which would be taken, and for a ledger that is not named."""
    with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):
        yield


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """A test that sleeps, starts a process or opens a connection fails: its place is in another folder."""

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("no unit test: it waits, starts a process or reaches for the network")

    def slept(delay: float, *rest: Any) -> Any:
        return real(delay, *rest) if delay <= 0 else refused()

    real = asyncio.sleep
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "sleep", slept)
        patch.setattr(time, "sleep", refused)
        patch.setattr(subprocess.Popen, "__init__", refused)
        for name in ("bind", "connect", "connect_ex"):
            patch.setattr(socket.socket, name, refused)
        yield
