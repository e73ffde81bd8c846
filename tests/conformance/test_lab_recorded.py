"""Recorded outcomes of real models, replayed through file-backed tiers: Verdicts on seeded subsets agree with
the truth of all the data at the stated rate.

Which Cases a Verdict sees depends on the seeds written here and on nothing else, so a test that holds once
holds always. The bounds are those that other seeds would break with a probability below 1e-6.
"""

from __future__ import annotations

import csv
import gzip
import json
from math import comb
from pathlib import Path
from typing import Any

import pytest

from tierwise.lab import evaluate, make_suite
from tierwise.lab.cases.suites import Shape, read_suite
from tierwise.nouns import Case, Suite

DATA = Path(__file__).parents[2] / "../shared/data"
FILES = ("routellm_gsm8k.csv.gz", "routellm_mmlu.csv.gz")
PRO = ("mmlu_pro_prompts.csv.gz", "mmlu_pro_results.parquet")
# (cheap, reference): gaps of about 6 and 18 points.
PRO_PAIRS = (
    ("gemini-1.5-flash-002", "gemini-1.5-pro-002"),
    ("Meta-Llama-3_1-8B-Instruct", "Meta-Llama-3_1-70B-Instruct"),
)
FIRST = 2000
ALPHA = 0.05
World = tuple[Suite, list[str], float]

pytestmark = pytest.mark.skipif(
    not all((DATA / name).exists() for name in (*FILES, *PRO)),
    reason=f"{', '.join((*FILES, *PRO))} are not beside the checkout",
)


def routellm(folder: Path, name: str) -> World:
    """(the first rows as a Suite, its tiers, the true difference mixtral − gpt4 on them)."""
    with gzip.open(DATA / name, "rt", newline="") as file:
        rows = list(csv.DictReader(file))[:FIRST]
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


def mmlu_pro(folder: Path, pair: tuple[str, str]) -> World:
    """The same of MMLU-Pro: real answers (the letters the models gave) against the real key, from Parquet."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    shape = Shape(columns={"id": "question_id", "target": "answer"})
    key = {case.id: case for case in read_suite(DATA / PRO[0], shape).cases}
    said: dict[str, dict[str, str | None]] = {}
    for model in pair:
        rows = pq.read_table(DATA / PRO[1], filters=[("model", "==", model)]).to_pylist()
        said[model] = {str(row["question_id"]): row["pred"] for row in rows}
    both = [id_ for id_ in key if all(id_ in answers for answers in said.values())][:FIRST]
    tiers = []
    for model in pair:
        path = folder / f"{model}.parquet"
        pq.write_table(pa.table({"id": both, "answer": [said[model][id_] for id_ in both]}), path)
        tiers.append(f"{model}=file:{path}")
    right = [[said[model][id_] == key[id_].target for id_ in both] for model in pair]
    gap = (sum(right[0]) - sum(right[1])) / len(both)
    return make_suite("mmlu_pro", [(id_, key[id_]) for id_ in both], Shape()), tiers, gap


async def decisions(folder: Path, world: World, n: int, seeds: int, **options: Any) -> list[str]:
    """One decision per seed, each on a subset of its own."""
    suite, tiers, gap = world
    margin = -gap + options.pop("off", 0.0)
    found = []
    for seed in range(seeds):
        one = await evaluate(
            suite, tiers, n=n, seed=seed, margin=margin, runs=str(folder / "runs"), jobs=8, alpha=ALPHA,
            config=str(folder / "tierwise.toml"), **options,
        )  # fmt: skip
        found.append(one.decision)
    return found


def most_by_chance(draws: int, rate: float) -> int:
    """The count that so many draws at this rate pass with a probability below 1e-6."""
    tail, count = 1.0, -1
    while tail >= 1e-6:
        count += 1
        tail -= comb(draws, count) * rate**count * (1 - rate) ** (draws - count)
    return count


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path) -> None:
    (tmp_path / "tierwise.toml").write_text("")


@pytest.mark.parametrize("name", FILES)
async def test_at_a_true_gap_of_exactly_the_margin_it_rarely_decides_either_way(
    tmp_path: Path, name: str
) -> None:
    found = await decisions(tmp_path, routellm(tmp_path, name), 200, 40)
    # 11 of 40; a rule that took the observed gap alone would switch 20 times.
    assert found.count("switch") <= most_by_chance(40, ALPHA) == 11
    assert found.count("keep") <= most_by_chance(40, ALPHA)


@pytest.mark.parametrize("pair", PRO_PAIRS, ids="→".join)
async def test_mmlu_pro_at_a_true_gap_of_exactly_the_margin(tmp_path: Path, pair: tuple[str, str]) -> None:
    world = mmlu_pro(tmp_path, pair)
    assert world[2] < -0.03
    found = await decisions(tmp_path, world, 200, 40)
    assert found.count("switch") <= most_by_chance(40, ALPHA)
    assert found.count("keep") <= most_by_chance(40, ALPHA)


async def test_clear_truths_are_found_and_never_turned_round(tmp_path: Path) -> None:
    for world in (routellm(tmp_path, FILES[0]), mmlu_pro(tmp_path, PRO_PAIRS[0])):
        good = await decisions(tmp_path, world, 400, 15, off=0.10)
        assert good.count("switch") >= 13
        assert "keep" not in good
    bad = await decisions(tmp_path, routellm(tmp_path, FILES[0]), 400, 15, off=-0.10)
    assert bad.count("keep") >= 13
    assert "switch" not in bad


async def test_the_running_rule_finds_a_clear_truth_with_fewer_answers(tmp_path: Path) -> None:
    found = await decisions(tmp_path, routellm(tmp_path, FILES[0]), 1000, 8, off=0.15, sequential=True)
    assert found.count("switch") >= 7
    lines = [len(path.read_bytes().splitlines()) for path in tmp_path.glob("runs/*/trials.jsonl")]
    assert len(lines) == 8
    assert sum(lines) / len(lines) < 2 * 800
