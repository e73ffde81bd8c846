"""evaluate and benchmark as a program calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tierwise.errors import SuiteError
from tierwise.lab import benchmark, evaluate
from tierwise.lab.benchmarking import suite_of
from tierwise.lab.running.store import RunFolder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tierwise.toml").write_text("")
    for name, wrong in (("cheap", 2), ("dear", 0)):
        rows = ({"input": f"q{i}", "answer": "no" if i < wrong else "Yes."} for i in range(100))
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


MODELS = ["cheap=file:cheap.jsonl", "dear=file:dear.jsonl"]
CASES = [(f"q{i}", "yes") for i in range(100)]


def test_benchmark_prints_correct_of_total(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark(CASES, MODELS) == {"cheap": (98, 100), "dear": (100, 100)}
    assert capsys.readouterr().out == "cheap: 98/100 (98.0%)\ndear: 100/100 (100.0%)\n"
    assert not Path(".tierwise").exists()


def test_benchmark_takes_one_model_and_objects_and_repeated_cases(capsys: pytest.CaptureFixture[str]) -> None:
    cases = [{"prompt": "q50", "expected": "yes"}, {"prompt": "q50", "expected": "yes"}]
    assert benchmark(cases, MODELS[:1]) == {"cheap": (2, 2)}
    assert capsys.readouterr().out == "cheap: 2/2 (100.0%)\n"


async def test_one_name_is_a_model_and_a_running_loop_is_no_hindrance(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert benchmark(CASES[:2], MODELS[0]) == {"cheap": (0, 2)}
    assert capsys.readouterr().out == "cheap: 0/2 (0.0%)\n"
    found = await evaluate(suite_of(CASES, "normalised"), ",".join(MODELS), margin=0.1)
    assert found.decision == "switch"
    with pytest.raises(SuiteError, match="not a list"):
        await evaluate(CASES, MODELS)  # type: ignore[arg-type]


async def test_evaluate_gives_the_verdict_and_refuses_unknown_options() -> None:
    found = await evaluate(suite_of(CASES, "normalised"), MODELS, n=80, seed=3, margin=0.1)
    assert found.decision == "switch"
    assert (found.n, found.seed) == (80, 3)
    assert Path(".tierwise/runs", found.run, "verdict.json").exists()
    with pytest.raises(SuiteError, match="marginn"):
        await evaluate(suite_of(CASES), MODELS, marginn=0.1)
    with pytest.raises(SuiteError, match="margin of 0"):
        await evaluate(suite_of(CASES), MODELS, margin=0.0)
    with pytest.raises(SuiteError, match="repeats cannot be 0"):
        await evaluate(suite_of(CASES), MODELS, repeats=0)


@pytest.mark.parametrize("clusters", [None, 12])
async def test_a_sample_does_not_hang_on_the_order_of_the_suites_rows(clusters: int | None) -> None:
    rows = [
        {"input": f"q{i}", "target": "yes", "cluster": f"c{i % clusters}" if clusters else ""}
        for i in range(100)
    ]
    samples = []
    for given in (rows, rows[::-1]):
        Path("suite.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
        found = await evaluate("suite.jsonl", MODELS, n=10, seed=3, scorer="normalised")
        folder = RunFolder(Path(".tierwise/runs", found.run))
        samples.append(sorted((record.trial.tier, record.trial.case) for record in folder.records()))
    assert samples[0] == samples[1]
    assert len(samples[0]) >= 20
