"""Where unit tests run, and what they may not do: wait, start a process, or reach for the network."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Of a test that passes, a worker tells its outcome and no more. Where thousands take a millisecond each,
    telling also when each began, was set up and torn down takes a fifth of the time.
    """
    ask = item.config.getoption
    told = not hasattr(item.config, "workerinput") or ask("durations") or ask("xmlpath")
    if told or not item.path.is_relative_to(Path(__file__).parent):
        return None
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


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
