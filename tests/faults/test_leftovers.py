"""The tests' own tools: no process outlives the fixture or the test that started it, whatever fails there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import live

TESTS = Path(__file__).parents[1]
FAILING = """
from pathlib import Path
import pytest
import live

def simulator(folder, name):
    made = live.Process(folder, "simulator", "--port", "0")
    Path("pids").open("a").write(f"{name} {made.child.pid}\\n")
    return made

@pytest.fixture
def half(tmp_path):
    simulator(tmp_path, "a fixture that fails in its setup")
    live.Gateway(tmp_path / "g", "nonsense")

@pytest.fixture(scope="module")
def late(tmp_path_factory):
    made = simulator(tmp_path_factory.mktemp("late"), "a fixture that fails in its teardown")
    yield made
    assert False

def test_setup(half): pass

def test_teardown(late): pass

def test_itself(late, tmp_path):
    assert late.child.poll() is None
    simulator(tmp_path, "a test that fails")
    assert False
"""


def test_nothing_is_left_running(tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text(FAILING)
    environ = {**os.environ, "PYTHONPATH": f"{TESTS}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "owned", "--rootdir", ".", "test_failing.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed, 2 errors" in done.stdout, done.stdout + done.stderr
    started = dict(line.rsplit(" ", 1) for line in live.lines(tmp_path / "pids"))
    assert len(started) == 3
    left = [name for name, pid in started.items() if _runs(int(pid))]
    assert left == []


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
