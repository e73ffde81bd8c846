"""Suites that are judged together stay so when one of their runs goes on by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tierwise.errors import SuiteError
from tierwise.lab.results import read_evaluation
from tierwise.lab.running.store import RunFolder
from unit.cli.test_eval import _here, found, run  # noqa: F401  a fixture

# (only the cheap tier wrong, only the dear one) of 100 Cases: one holds by itself only, one among three.
BARELY, SURELY = (5, 6), (0, 2)
TIERS = ("--tiers", "cheap=file:cheap.jsonl,dear=file:dear.jsonl")


def family(*suites: tuple[int, int]) -> None:
    """A suite of 100 Cases for each, and the recorded answers to all."""
    answers: dict[str, list[str]] = {"cheap": [], "dear": []}
    for number, (cheap, dear) in enumerate(suites):
        lines = []
        for i in range(100):
            id_ = f"s{number}q{i}"
            lines.append(json.dumps({"id": id_, "input": f"question {id_}", "target": "yes"}))
            wrong = {"cheap": i < cheap, "dear": cheap <= i < cheap + dear}
            for tier, said in answers.items():
                cost = "0.001" if tier == "cheap" else "0.005"
                answer = "no" if wrong[tier] else "yes"
                said.append(json.dumps({"id": id_, "answer": answer, "cost_usd": cost}))
        Path(f"s{number}.jsonl").write_text("\n".join(lines))
    for tier, said in answers.items():
        Path(f"{tier}.jsonl").write_text("\n".join(said))


def decisions(said: Any) -> list[tuple[str, int]]:
    return [(one["decision"], one["tests"]) for one in said["evaluations"]]


def test_a_run_that_goes_on_by_itself_is_held_to_what_the_family_was() -> None:
    family(BARELY, BARELY, BARELY)
    said = found("s0.jsonl", "s1.jsonl", "s2.jsonl", *TIERS)
    assert decisions(said) == [("not_enough", 3)] * 3
    name = said["evaluations"][1]["run"]
    again = run("--resume", name, "--json")
    assert again.exit_code == 4
    assert "3 comparisons at once" in json.loads(again.stdout)["comparisons"][0]["why_not"]
    assert run("--rescore", name, "--json").exit_code == 4
    kept = read_evaluation(Path(f".tierwise/runs/{name}/verdict.json"))
    assert (kept.decision, kept.tests) == ("not_enough", 3)


def test_what_stood_stands_when_nothing_has_changed() -> None:
    """By itself it is held to what it was held to among the others: less, the more stood before it."""
    family(SURELY, SURELY, BARELY)
    said = found("s0.jsonl", "s1.jsonl", "s2.jsonl", *TIERS)
    assert decisions(said) == [("switch", 3), ("switch", 2), ("switch", 1)]
    for one in said["evaluations"]:
        assert run("--resume", one["run"], "--json").exit_code == 0


def test_a_family_that_was_interrupted_is_held_to_its_plan() -> None:
    family(BARELY, BARELY)
    Path("s2.jsonl").write_text('{"id": "x", "input": "not answered", "target": "yes"}')
    with pytest.raises(SuiteError, match="answered none"):
        run("s0.jsonl", "s1.jsonl", "s2.jsonl", *TIERS)
    for folder in Path(".tierwise/runs").iterdir():
        if (folder / "verdict.json").exists():
            assert read_evaluation(folder / "verdict.json").decision == "not_enough"
        assert RunFolder(folder).manifest().terms.tests == 3
    family(BARELY)
    assert run("s0.jsonl", *TIERS, "--json").exit_code == 0
