"""The scorer that runs what models write: endless loops, great appetites, early exits, no code at all."""

from __future__ import annotations

import pytest

from tierwise.lab.scoring import judge_of, mark, parse_spec
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
