"""Recorded outcomes of real models, replayed through file-backed tiers: Verdicts on seeded subsets agree with
the truth of all the data at the stated rate.
"""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tierwise.lab import evaluate, make_suite
from tierwise.lab.suites import Shape
from tierwise.nouns import Case, Suite

DATA = Path(__file__).parents[2] / "../shared/data"
FILES = ("routellm_gsm8k.csv.gz", "routellm_mmlu.csv.gz")

pytestmark = pytest.mark.skipif(
    not all((DATA / name).exists() for name in FILES),
    reason=f"{', '.join(FILES)} are not beside the checkout",
)


def recorded(folder: Path, name: str, first: int) -> tuple[Suite, list[str], float]:
    """(the first rows as a Suite, its tiers, the true difference mixtral − gpt4 on them)."""
    with gzip.open(DATA / name, "rt", newline="") as file:
        rows = list(csv.DictReader(file))[:first]
    tiers = []
    for model in ("mixtral_8x7b", "gpt4_1106"):
        path = folder / f"{model}.jsonl"
        lines = (
            {"id": f"r{i}", "answer": "right" if row[model] == "1" else "wrong"} for i, row in enumerate(rows)
        )
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        tiers.append(f"{model}=file:{path}")
    cases = [(f"row {i}", Case(f"r{i}", row["prompt"], "right")) for i, row in enumerate(rows)]
    gap = sum(int(row["mixtral_8x7b"]) - int(row["gpt4_1106"]) for row in rows) / len(rows)
    return make_suite(name.partition(".")[0], cases, Shape()), tiers, gap


async def decisions(folder: Path, name: str, n: int, seeds: int, **options: Any) -> list[str]:
    """One decision per seed, each on a subset of its own."""
    suite, tiers, gap = recorded(folder, name, 2000)
    margin = -gap + options.pop("off", 0.0)
    assert gap < -0.1
    found = []
    for seed in range(seeds):
        one = await evaluate(
            suite, tiers, n=n, seed=seed, margin=margin, runs=str(folder / "runs"), jobs=8,
            config=str(folder / "tierwise.toml"), **options,
        )  # fmt: skip
        found.append(one.decision)
    return found


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path) -> None:
    (tmp_path / "tierwise.toml").write_text("")


@pytest.mark.parametrize("name", FILES)
async def test_at_a_true_gap_of_exactly_the_margin_it_rarely_decides_either_way(
    tmp_path: Path, name: str
) -> None:
    found = await decisions(tmp_path, name, 200, 40)
    # 5 % a side: 40 draws give 7 or more with probability below 1 %.
    assert found.count("switch") <= 6
    assert found.count("keep") <= 6


async def test_clear_truths_are_found_and_never_turned_round(tmp_path: Path) -> None:
    good = await decisions(tmp_path, FILES[0], 400, 15, off=0.10)
    assert good.count("switch") >= 13
    assert "keep" not in good
    bad = await decisions(tmp_path, FILES[0], 400, 15, off=-0.10)
    assert bad.count("keep") >= 13
    assert "switch" not in bad


async def test_the_running_rule_finds_a_clear_truth_with_fewer_answers(tmp_path: Path) -> None:
    found = await decisions(tmp_path, FILES[0], 1000, 8, off=0.15, sequential=True)
    assert found.count("switch") >= 7
    lines = [len(path.read_bytes().splitlines()) for path in tmp_path.glob("runs/*/trials.jsonl")]
    assert sum(lines) / len(lines) < 2 * 800
