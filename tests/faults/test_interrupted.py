"""Ctrl-C ends a command with 130 and no traceback, wherever it is; of a run what is paid for stays."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import live
from provider import Provider, Script, chat, whole

RUN = ("eval", "suite.csv", "--tiers", "haiku,sonnet", "-j", "2")
# What runs in a shell's background is deaf to SIGINT, and so is what it starts.
HEARS = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from tierwise.cli import main; main()"
)
SPEED = ("latency", "--tiers", "haiku", "--requests", "5000", "--concurrency", "2")


def slowly(body: Any) -> Script:
    """Answers every request after a moment."""
    return lambda sent: [0.02, whole(200, body)]


def interrupted(folder: Path, command: tuple[str, ...], asked: Provider, signals: int) -> tuple[int, str]:
    """Exit status and standard error of a command that got so many SIGINTs at once, amid its calls.

    The status is as a shell tells it: the second may come when Python has nearly ended, and knows none.
    """
    child = subprocess.Popen(
        [sys.executable, "-c", HEARS, *command],
        cwd=folder, env={**os.environ, "UPSTREAM_KEY": "k"}, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert live.wait_for(lambda: len(asked.sent) > 3)
        for _ in range(signals):
            child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=60)[1].decode()
    finally:
        child.kill()
        child.wait()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode, said


@pytest.mark.parametrize("command", [RUN, SPEED], ids=["eval", "latency"])
@pytest.mark.parametrize("signals", [1, 2])
def test_calls_under_way_end(tmp_path: Path, command: tuple[str, ...], signals: int) -> None:
    with contextlib.closing(Provider(slowly(chat()))) as asked:
        (tmp_path / "tierwise.toml").write_text(live.config("openai_chat", asked.port))
        (tmp_path / "suite.csv").write_text("input,target\n" + "".join(f"text {n},a\n" for n in range(5000)))
        status, said = interrupted(tmp_path, command, asked, signals)
    assert status == 130
    assert "Traceback" not in said
    assert ("--resume" in said) == (command == RUN)


def test_a_batch_that_is_waited_for_keeps_its_name(tmp_path: Path) -> None:
    """`batch submit --wait` says the id at once: Ctrl-C ends the waiting, not the batch."""
    (tmp_path / "requests.jsonl").write_text('{"custom_id": "a", "url": "/v1/chat/completions"}\n')
    batch = {"id": "batch_1", "status": "in_progress", "errors": None}
    with contextlib.closing(Provider(slowly({**batch, "request_counts": {}}))) as asked:
        command = ("batch", "submit", "requests.jsonl", "--wait", "--key", "k")
        command += ("--base-url", f"http://127.0.0.1:{asked.port}/v1")
        status, said = interrupted(tmp_path, command, asked, 1)
    assert status == 130
    assert said.startswith("batch_1 is handed in\n")
    assert "Traceback" not in said
