"""`cache advise --file`: the exact first place where the requests in a file part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli import cache
from tierwise.errors import BadRequest

RULES = "You answer tickets politely, and never promise a refund. " * 40


def ask(system: str, question: str = "hello") -> dict[str, Any]:
    turns = [{"role": "user", "content": question}]
    return {"model": "claude-haiku-4-5", "system": system, "messages": turns}


def run(file: Path, *options: str) -> str:
    done = CliRunner().invoke(
        cache.command, ["advise", "--file", str(file), *options], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.output


def test_the_place_the_lines_and_the_money(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    bodies = [{"body": ask(f"Now 10:0{n}. {RULES}")} for n in range(3)]
    file.write_text("\ufeff" + "\n\n".join(map(json.dumps, bodies)))  # as some editors begin a file
    said = run(file)
    assert "3 requests: claude-haiku-4-5 3" in said
    assert "system, character 8: a date or time, 2 times" in said
    [change] = json.loads(run(file, "--json"))["changes"]
    assert change["lines"] == [1, 3]  # the second is blank
    assert "\n  line 3: " in said
    assert change["lost_pico"] == change["lost_tokens"] * 900_000
    assert change["lost_tokens"] * 3.5 == pytest.approx(2 * len(RULES), rel=0.02)


def test_steady_requests_are_said_to_be_so(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text("\n".join(json.dumps(ask(RULES, f"Question {n}")) for n in range(3)))
    assert "nothing breaks a prefix" in run(file)


@pytest.mark.parametrize("line", ["{", "[]", '"text"'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(json.dumps(ask(RULES)) + "\n" + line)
    with pytest.raises(BadRequest, match="line 2"):
        run(file)
    file.write_text("\n")
    with pytest.raises(BadRequest, match="holds no requests"):
        run(file)
    with pytest.raises(BadRequest, match="cannot be read"):
        run(tmp_path / "missing.jsonl")


def test_bytes_that_are_no_utf_8_are_told_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_bytes(json.dumps(ask(RULES)).encode() + b'\n{"model": "\xe9"}\n')
    with pytest.raises(BadRequest, match="line 2"):
        run(file)
