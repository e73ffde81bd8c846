"""Every scorer from the command line: a right and a wrong answer, and what cannot be scored at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tierwise.cli.eval import command
from tierwise.errors import SuiteError
from tierwise.judging.scorers import SCORERS

CALL = json.dumps([{"name": "look", "arguments": {"city": "Rome"}}])
# scorer → (target, a right answer, a wrong one); graded ones come close, and not.
EACH: dict[str, tuple[Any, str, str]] = {
    "exact": ("Paris", " Paris\n", "paris"),
    "normalised": ("Paris", "**PARIS.**", "London"),
    "contains": ("Paris", "It is Paris.", "It is London."),
    "one_of": ("Paris", "I say Paris", "I say London"),
    'regex:{"pattern": "(\\\\d+) euro", "group": 1}': ("12", "That is 12 euro", "That is 13 euro"),
    'numeric:{"tolerance": 0.5}': ("12", "about 12.4", "12.6"),
    'json_schema:{"schema": {"type": "object", "required": ["a"]}}': (None, '{"a": 1}', '{"b": 1}'),
    "json_fields": ({"a": 1, "b": 2}, '{"a": 1, "b": 2}', '{"c": 3}'),
    "tool_call": (CALL, CALL, '[{"name": "look", "arguments": {"city": "Oslo"}}]'),
    "token_f1": ("the quick fox", "the quick fox", "slow dogs"),
    "rouge_l": ("the quick fox", "the quick fox", "slow dogs"),
    "agreement": ('{"a": [1, 2]}', '{ "a": [1,2] }', '{"a": [2, 1]}'),
    "assert": (None, "It is Paris", "It is London"),
    "own:right": ("Paris", "Paris", "London"),
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("TIERWISE_CONFIG", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def run(scorer: str, target: Any, cheap: str, dear: str, n: int = 30) -> Any:
    """An evaluation of recorded answers, the same on every Case."""
    case: dict[str, Any] = {} if target is None else {"target": target}
    if scorer == "assert":
        case["assert"] = ["contains: Paris"]
    other = {"target": "London"} if scorer == "one_of" else {}
    rows = [{"id": f"q{i}", "input": f"x {i}", **case} for i in range(n)]
    rows += [{"id": "other", "input": "y", **other}] if other else []
    Path("s.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, said in (("cheap", cheap), ("dear", dear)):
        lines = [{"id": row["id"], "answer": said, "total_ms": 5} for row in rows]
        Path(f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    tiers = ("--tiers", "cheap=file:cheap.jsonl,dear=file:dear.jsonl", "--reference", "dear")
    found = CliRunner().invoke(
        command, ["s.jsonl", *tiers, "--scorer", scorer, "--json"], catch_exceptions=False
    )
    return json.loads(found.stdout)


def test_every_scorer_is_tried_here() -> None:
    assert {name.partition(":")[0] for name in EACH} >= set(SCORERS)


@pytest.mark.parametrize("scorer", EACH)
def test_a_right_answer_and_a_wrong_one(scorer: str) -> None:
    Path("own.py").write_text("def right(case, answer):\n    return answer == case.target\n")
    target, right, wrong = EACH[scorer]
    said = run(scorer, target, wrong, right)
    score = {tier["card"]["name"]: tier["score"]["value"] for tier in said["tiers"]}
    assert score["dear"] > 0.9
    assert score["cheap"] < 0.1
    assert said["decision"] == "keep"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise KeyError('boom')", "KeyError"),
        ("return 7", "outside 0..1"),
        ("return 'good'", "not a number"),
        ("return None", "not a number"),
        ("return float('nan')", "outside 0..1"),
    ],
)
def test_a_scorer_at_fault_is_an_error_and_never_a_verdict(body: str, why: str) -> None:
    module = f"faulty_{abs(hash(body))}"
    Path(f"{module}.py").write_text(f"def score(case, answer):\n    {body}\n")
    with pytest.raises(SuiteError, match="could be scored") as caught:
        run(f"{module}:score", "Paris", "Paris", "Paris")
    assert why in caught.value.message


def test_a_scorer_that_fails_on_some_cases_says_how_many_and_gives_no_verdict() -> None:
    Path("fails_on_some.py").write_text(
        "def score(case, answer):\n    return 1 / (case.id != 'q1') if case.id != 'q2' else None\n"
    )
    said = run("fails_on_some:score", "Paris", "Paris", "Paris")
    assert said["decision"] == "not_enough"
    assert [tier["unscored"] for tier in said["tiers"]] == [2, 2]
    assert any("ZeroDivisionError" in reason for reason in said["tiers"][0]["reasons"])
