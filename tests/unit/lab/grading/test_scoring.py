"""Scorers: a fault of the scorer is never a wrong answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tierwise.errors import SuiteError
from tierwise.lab.grading.scoring import checked, judge_of, mark, parse_spec
from tierwise.nouns import Case, Score

CASE = Case("1", "q", "right")


@pytest.mark.parametrize(
    ("outcome", "value"), [("refused", 0), ("truncated", 0), ("rejected", 0), ("error", None)]
)
async def test_how_a_call_ended_decides_first(outcome: str, value: float | None) -> None:
    assert (await mark(judge_of(parse_spec("exact"), [CASE]), CASE, "right", outcome)).value == value


async def test_a_scorer_that_raises_leaves_the_answer_unscored_with_the_reason() -> None:
    def broken(case: Case, answer: str) -> Score:
        raise KeyError("no such thing")

    found = await mark(broken, CASE, "right", "ok")
    assert found.value is None
    assert "KeyError" in found.why


@pytest.mark.parametrize("found", [7, -0.1, float("nan"), "9/10", None, Score(11.0), {"score": 10}])
def test_outside_the_scale_is_unscored(found: Any) -> None:
    assert checked(found).value is None
    assert checked(found).why


def test_what_a_plug_in_may_give_back() -> None:
    assert [checked(each).value for each in (True, 0, 0.5, Score(1.0), {"score": 0.25})] == [
        1,
        0,
        0.5,
        1,
        0.25,
    ]


async def test_module_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_scorer_for_test.py").write_text(
        "async def half(case, answer):\n    return 0.5 if answer == case.target else 0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = parse_spec("own_scorer_for_test:half")
    assert spec.plugin
    assert (await mark(judge_of(spec, [CASE]), CASE, "right", "ok")).value == 0.5
    for name in ("own_scorer_for_test:other", "no_such_module_here:x"):
        with pytest.raises(SuiteError, match="cannot be loaded"):
            judge_of(parse_spec(name), [CASE])


def test_options_in_the_spec_and_labels_from_the_suite() -> None:
    spec = parse_spec('numeric:{"tolerance": 0.5}')
    assert spec.options == {"tolerance": 0.5}
    assert parse_spec(spec.text()) == spec
    judge: Any = judge_of(spec, [])
    assert judge(Case("1", "", "10"), "10.4").value == 1
    one_of: Any = judge_of(parse_spec("one_of"), [Case("1", "", "yes"), Case("2", "", "no")])
    assert one_of(Case("1", "", "yes"), "Yes, sure").value == 1
    with pytest.raises(SuiteError, match="no JSON object"):
        parse_spec("numeric:{oops")
    with pytest.raises(SuiteError) as caught:
        judge_of(parse_spec("exakt"), [])
    assert "exact" in caught.value.hint
    assert "module:function" in caught.value.hint


async def test_code_is_off_unless_asked_for_and_needs_asserts() -> None:
    with pytest.raises(SuiteError, match="runs what the models write"):
        judge_of(parse_spec("code"), [CASE])
    judge = judge_of(parse_spec("code"), [CASE], allow_code=True)
    assert (await mark(judge, Case("1", "q"), "x = 1", "ok")).value is None
