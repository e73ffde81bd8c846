"""The command line as a process: what it writes to."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


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
