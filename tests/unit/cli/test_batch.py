"""`tierwise batch`: what it prints of what the gateway sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli import batch

ROWS = [{"custom_id": "a", "text": "one\u2028two\x85three"}, {"custom_id": "b", "text": ""}]


def test_results_stay_one_line_each_whatever_an_answer_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()

    def ask(self: batch.Gateway, method: str, path: str) -> dict[str, Any]:
        return {"status": "completed", "output_file_id": "file_1", "error_file_id": None}

    def raw(self: batch.Gateway, method: str, path: str) -> bytes:
        return content

    monkeypatch.setattr(batch.Gateway, "ask", ask)
    monkeypatch.setattr(batch.Gateway, "raw", raw)
    plain, listed = (
        CliRunner().invoke(batch.command, ["results", "batch_1", "--key", "k", *more], catch_exceptions=False)
        for more in ([], ["--json"])
    )
    assert plain.stdout_bytes == content
    assert json.loads(listed.stdout) == ROWS
