"""The command line as a process: what it writes to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import live


def ran(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """What a command that was begun in `folder` said."""
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", [["verdict", "--counts", "90,1,3,6"], ["models"]])
@pytest.mark.parametrize(
    "terminal", [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}]
)
def test_a_terminal_that_is_not_utf_8_ends_no_command(command: list[str], terminal: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", *command],
        env={**os.environ, **terminal},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    # click writes UTF-8 to what calls itself ASCII; rich does not.
    assert any(sign in done.stdout for sign in (b"\\u20", b"\\u22", "\N{MINUS SIGN}".encode()))


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_serve_runs_whose_standard_streams_were_closed(tmp_path: Path, closed: str) -> None:
    (tmp_path / "tierwise.toml").write_text(live.config("openai_chat", live.free_port()))
    port, admin = live.free_port(), live.free_port()
    command = f'exec "{sys.executable}" -m tierwise serve --port {port} --admin-port {admin} {closed}'
    child = subprocess.Popen(["sh", "-c", command], cwd=tmp_path, env={**os.environ, "UPSTREAM_KEY": "x"})
    try:
        for each, path in ((port, "/readyz"), (admin, "/healthz")):
            assert live.wait_for(lambda each=each, path=path: answers(each, path))
        child.terminate()
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()


def answers(port: int, path: str) -> bool:
    """Whether a loopback port answers this path with 200."""
    try:
        return live.request(port, "GET", path).status == 200
    except OSError:
        return False


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
    (tmp_path / "deep.json").write_text('{"a":' * 1_000_000)
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
