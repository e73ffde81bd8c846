"""The command line as a process: what it writes to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command that was begun in `folder` said."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [["verdict", "--counts", "90,1,3,6"], ["models"]])
def test_a_terminal_that_is_not_utf_8_ends_no_command(command: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", *command],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u20" in done.stdout or b"\\u22" in done.stdout


def test_a_full_disk_is_said_in_one_sentence() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tierwise", "verdict", "--counts", "90,1,3,6"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("tierwise: Nothing more can be written")
    assert done.stderr.count(b"\n") == 1


def test_a_file_nested_without_end_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text('{"a":' * 50_000)
    done = ran(tmp_path, sys.executable, "-m", "tierwise", "policy", "apply", "deep.json", "--yes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "nested too deep" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["top", "--every", "nan"],
        ["eval", "suite.csv", "--tiers", "a,b", "--temperature", "nan"],
        ["eval", "suite.csv", "--tiers", "a,b", "--temperature", "-1"],
        ["latency", "--tiers", "a", "--rate", "inf"],
    ],
)
def test_no_number_is_wrong_usage(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "suite.csv").write_text("input,target\na,b\n")
    done = ran(tmp_path, sys.executable, "-m", "tierwise", *command)
    assert done.returncode == 2, done.stderr
    assert command[-2] in done.stderr


def test_a_working_folder_that_is_gone_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$0" -m tierwise keys list'
    done = ran(tmp_path, "/bin/sh", "-c", script, sys.executable)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "The folder you are in is gone" in done.stderr
