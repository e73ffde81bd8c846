"""The scorer that runs what models write: endless loops, great appetites, early exits, no code at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import live
from tierwise.lab.grading.sandbox import CodeScorer
from tierwise.lab.grading.scoring import judge_of, mark, parse_spec
from tierwise.nouns import Case

CODE = Case("1", "q", metadata={"test": "assert double(4) == 8"})


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Here:\n```python\ndef double(x):\n    return 2 * x\n```\nDone.", 1),
        ("def double(x):\n    return x", 0),
        ("def double(x):\n    while True: pass", 0),
        ("x = 'a' * 10**10\ndef double(x): return 2 * x", 0),
        ("import sys\nsys.exit(0)", 0),
        ("not python at all", 0),
    ],
)
async def test_code_must_run_within_limits(answer: str, value: float) -> None:
    seconds = 1 if "while" in answer else 30
    spec = parse_spec(f'code:{{"seconds": {seconds}, "megabytes": 256}}')
    judge = judge_of(spec, [CODE], allow_code=True)
    assert (await mark(judge, CODE, answer, "ok")).value == value


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_code_that_prints_without_end_is_stopped_and_kept_nowhere(stream: str) -> None:
    endless = f"import sys\nwhile True: sys.{stream}.write('x' * 100_000)"
    status, said, complaint = await CodeScorer(seconds=1).run(endless, "token")
    assert (status, said, complaint) == (None, "", "it did not end in time")
    much = f"import sys\nsys.{stream}.write('x' * 1_000_000)"
    status, said, complaint = await CodeScorer(seconds=5).run(much, "token")
    assert status == 0
    assert said.endswith("\ntoken\n")
    assert max(len(said), len(complaint)) <= 1 << 16


async def test_code_that_is_no_text_is_wrong_and_not_unscored() -> None:
    score = await CodeScorer()(Case("1", "q", "assert True"), "x = '\ud800'")
    assert score.value == 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_laboratory_that_is_ended_leaves_neither_code_at_work_nor_its_files(
    tmp_path: Path, how: signal.Signals
) -> None:
    (tmp_path / "suite.jsonl").write_text('{"id": "1", "input": "q", "target": "assert True"}\n')
    busy = f"import os, time; os.mkdir('d'); open('d/f', 'w'); open({str(tmp_path / 'pid')!r}, 'w').write"
    row = {"id": "1", "input": "q", "answer": f"{busy}(str(os.getpid())); time.sleep(600)"}
    (tmp_path / "answers.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "tmp").mkdir()
    command = [
        sys.executable, "-m", "tierwise", "eval", "suite.jsonl", "--allow-code", "--scorer",
        'code:{"seconds": 600}', "--tiers", "a=file:answers.jsonl,b=file:answers.jsonl", "--reference", "b",
    ]  # fmt: skip
    environ = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    laboratory = subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.DEVNULL)
    try:
        assert live.wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        laboratory.send_signal(how)
        laboratory.wait(timeout=20)
    finally:
        laboratory.kill()
        laboratory.wait()
    assert live.wait_for(lambda: not list((tmp_path / "tmp").iterdir()))
    at_work = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    assert live.wait_for(lambda: not at_work.exists() or at_work.read_text().split()[2] == "Z")
