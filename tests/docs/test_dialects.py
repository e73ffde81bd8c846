"""The generated pages are what the matrix and the capability table say today."""

from __future__ import annotations

import subprocess
import sys

import live


def test_pages_are_up_to_date() -> None:
    command = [sys.executable, str(live.ROOT / "scripts" / "matrix.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_table_is_full() -> None:
    text = (live.ROOT / "docs" / "dialects.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.count("|") == 6]
    assert len(rows) > 300
    assert all(cell.strip() for row in rows for cell in row.strip("|").split("|"))
