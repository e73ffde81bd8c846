"""Judges and embeddings asked over HTTP: a scripted provider answers what each test needs."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import provider
from tierwise.cli.eval import command
from tierwise.errors import SuiteError

N = 60
TIERS = ("--tiers", "cheap=file:cheap.jsonl,dear=file:dear.jsonl")
JUDGE = "anthropic/claude-haiku-4.5"
Say = Callable[[str], str]


class World:
    """A suite, two tiers' recorded answers (the cheap one is bad on some), and a judge at a URL."""

    def __init__(self, say: Say, cheap_wrong: int = 4) -> None:
        self.say = say
        self.failing = 0
        self.provider = provider.Provider(self._script)
        with (
            Path("suite.jsonl").open("w") as suite,
            Path("cheap.jsonl").open("w") as cheap,
            Path("dear.jsonl").open("w") as dear,
        ):
            for i in range(N):
                suite.write(json.dumps({"id": f"q{i}", "input": f"say {i}", "target": f"it is {i}"}) + "\n")
                mine = f"bad {i}" if i < cheap_wrong else f"good {i} from cheap"
                cheap.write(json.dumps({"id": f"q{i}", "answer": mine, "cost_usd": "0.001"}) + "\n")
                dear.write(json.dumps({"id": f"q{i}", "answer": f"good {i}", "cost_usd": "0.005"}) + "\n")

    def _script(self, sent: provider.Sent) -> Iterator[Any]:
        if self.failing:
            self.failing -= 1
            yield provider.whole(503, {"error": {"message": "busy"}})
            return
        body = json.loads(sent.body)
        if sent.path.endswith("/embeddings"):
            rows = [
                {"index": i, "embedding": [1.0, 0.0] if "good" in text or "it is" in text else [0.0, 1.0]}
                for i, text in enumerate(body["input"])
            ]
            usage = {"prompt_tokens": 10, "total_tokens": 10}
            yield provider.whole(200, {"data": rows, "model": body["model"], "usage": usage})
            return
        yield provider.stream_head()
        for frame in provider.chat_frames(self.say(body["messages"][1]["content"])):
            yield provider.piece(frame)
        yield provider.piece(b"")

    def run(self, *arguments: str, scorer: str = "judge", judge: str = JUDGE) -> Result:
        asked = ("--base-url", f"http://127.0.0.1:{self.provider.port}/v1", "--key", "k")
        named = ("--scorer", scorer) if scorer else ()
        named = (*named, "--judge", judge) if judge else named
        return CliRunner().invoke(command, (*arguments, *asked, *named), catch_exceptions=False)

    def found(self, *arguments: str, scorer: str = "judge", judge: str = JUDGE) -> Any:
        return json.loads(self.run(*arguments, "--json", scorer=scorer, judge=judge).stdout)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    monkeypatch.chdir(tmp_path)
    for name in ("TIERWISE_CONFIG", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    made: list[World] = []

    def make(say: Say, **terms: Any) -> World:
        made.append(World(say, **terms))
        return made[-1]

    yield make
    for each in made:
        asyncio.run_coroutine_threadsafe(settled(), each.provider._loop).result(60)
        each.provider.close()


async def settled() -> None:
    """Ends what a provider still has open, so that nothing is left to a later test."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def part(asked: str, name: str) -> str:
    """What stands between a tag's marks in a judge's prompt."""
    found = re.search(rf"<{name}>\n(.*?)\n</{name}>", asked, re.S)
    assert found, asked
    return found[1]


def fair(asked: str) -> str:
    """Knows a good answer when it sees one."""
    return json.dumps({"why": "seen", "score": 1 if "good" in part(asked, "answer") else 0})


def fair_pair(asked: str) -> str:
    a, b = ("good" in part(asked, f"answer-{side}") for side in "AB")
    return json.dumps({"better": "tie" if a == b else "A" if a else "B"})


def labels(n: int = 120, wrong_on: int = 0) -> None:
    """Human labels, half of them bad; the judge errs on the first `wrong_on` of each kind."""
    rows = []
    for i in range(n // 2):
        rows.append({"id": f"q{i % N}", "answer": f"{'bad' if i < wrong_on else 'good'} #{i}", "label": 1})
        rows.append(
            {"input": f"other {i}", "answer": f"{'good' if i < wrong_on else 'bad'} ##{i}", "label": 0}
        )
    Path("labels.jsonl").write_text("\n".join(map(json.dumps, rows)))


def test_a_pointwise_judge_scores_and_says_that_it_is_not_calibrated(world: Callable[..., World]) -> None:
    made = world(fair)
    said = made.found("suite.jsonl", *TIERS, "--html", "r.html", "--markdown", "r.md")
    counts = said["comparisons"][0]["verdict"]["counts"]
    assert counts == {"both": N - 4, "cheap_only": 0, "ref_only": 4, "neither": 0}
    assert said["judge"]["calls"] == 2 * N == len(made.provider.sent)
    assert said["judge_calibrated"] is False
    # 800 tokens in and 50 out at $1 and $5 a million; the tiers' own money is not mixed with it.
    assert said["judge_usd"] == "0.126"
    assert said["spent_usd"] == "0.36"
    assert "judge not calibrated" in said["evidence"]
    for page in ("r.html", "r.md"):
        assert "judge not calibrated" in Path(page).read_text()
    asked = json.loads(made.provider.sent[0].body)
    assert "Rubric:" in asked["messages"][0]["content"]
    assert 2048 in (asked.get("max_tokens"), asked.get("max_completion_tokens"))
    assert part(asked["messages"][1]["content"], "question").startswith("say ")


def test_the_judges_price_is_said_before_anything_is_asked(world: Callable[..., World]) -> None:
    made = world(fair)
    result = made.run("suite.jsonl", *TIERS, "--plan")
    assert re.search(rf"of that the judge \S+: {2 * N} calls, about \$0\.0\d+", result.output), result.output
    assert f"{4 * N} calls" in result.output
    assert not made.provider.sent


def test_a_rubric_is_read_from_its_file_and_reaches_the_judge(world: Callable[..., World]) -> None:
    made = world(fair)
    Path("rubric.txt").write_text("Is it polite? {no slots} " + "x" * 300)
    said = made.found("suite.jsonl", *TIERS, "--rubric", "rubric.txt", "--markdown", "r.md")
    assert "Is it polite? {no slots}" in json.loads(made.provider.sent[0].body)["messages"][0]["content"]
    assert "Is it polite?" in said["suite"]["scorer"]
    assert "x" * 200 not in Path("r.md").read_text()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ('{"score": 7}', "'7', outside its scale"),
        ('{"score": -0.5}', "outside its scale"),
        ('{"score": "excellent"}', "'excellent', outside its scale"),
        ('{"score": NaN}', "no JSON"),
        ("I would say it is fine.", "no JSON"),
        ("[1]", "no JSON object"),
    ],
)
def test_a_judge_outside_its_scale_leaves_answers_unscored(
    world: Callable[..., World], answer: str, why: str
) -> None:
    made = world(lambda asked: answer if "say 1</" in asked.replace("\n", "") else fair(asked))
    said = made.found("suite.jsonl", *TIERS)
    assert [tier["unscored"] for tier in said["tiers"]] == [1, 1]
    assert any(why in reason for tier in said["tiers"] for reason in tier["reasons"])
    assert said["comparisons"][0]["missing"] == 1
    assert said["n"] == N
    assert said["comparisons"][0]["verdict"]["n"] == N - 1


def test_a_judge_that_is_always_outside_its_scale_gives_no_verdict(world: Callable[..., World]) -> None:
    made = world(lambda asked: '{"score": 9}')
    with pytest.raises(SuiteError, match="outside its scale"):
        made.run("suite.jsonl", *TIERS)


@pytest.mark.parametrize("scorer", ["judge", "pairwise"])
def test_a_judge_that_cannot_be_read_is_not_paid_to_the_end(world: Callable[..., World], scorer: str) -> None:
    made = world(lambda asked: "Splendid!")
    with pytest.raises(SuiteError, match="None of the first 20 judgements can be read") as caught:
        made.run("suite.jsonl", *TIERS, "-j", "1", scorer=scorer)
    assert "another judge" in caught.value.hint
    # A pair is asked about twice.
    assert len(made.provider.sent) <= 2 * 20 + 2


def test_judgements_are_kept_and_not_paid_for_twice(world: Callable[..., World]) -> None:
    made = world(fair)
    first = made.found("suite.jsonl", *TIERS, "-j", "1")
    asked = len(made.provider.sent)
    [folder] = Path(".tierwise/runs").iterdir()
    assert len((folder / "judgements.jsonl").read_text().splitlines()) == asked
    # Killed while the last scores were being written: the judgements are there, some torn.
    lines = (folder / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "trials.jsonl").write_bytes(b"".join(lines[:-10]))
    kept = (folder / "judgements.jsonl").read_bytes()
    (folder / "judgements.jsonl").write_bytes(kept[: kept.rindex(b"{")] + b'{"key": "to')
    again = made.found("--resume", first["run"], scorer="", judge="")
    assert len(made.provider.sent) == asked + 1
    assert again["comparisons"][0]["verdict"]["counts"] == first["comparisons"][0]["verdict"]["counts"]
    assert again["judge"]["calls"] == 2 * N
    assert again["judge"]["cost_pico"] == first["judge"]["cost_pico"]
    assert not [note for note in first["notes"] if "cut off" in note]
    assert [note for note in again["notes"] if note.startswith("1 calls were cut off by a crash")]


def test_a_judge_that_does_not_answer_is_asked_again_on_resume(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tierwise.lab.running.faults.LONGEST_WAIT_S", 0.0)
    made = world(fair)
    made.failing = 7 * 2
    first = made.found("suite.jsonl", *TIERS, "-j", "1", scorer='judge:{"judge": "' + JUDGE + '"}', judge="")
    lost = sum(tier["unscored"] for tier in first["tiers"])
    assert lost == first["judge"]["failed"] > 0
    again = made.found("--resume", first["run"], scorer="", judge="")
    assert sum(tier["unscored"] for tier in again["tiers"]) == 0
    assert again["judge"]["calls"] == 2 * N
    assert again["spent_usd"] == "0.36"
    assert not [note for note in again["notes"] if "cut off" in note]


def test_a_judge_that_cannot_be_asked_ends_the_run_with_what_to_do(world: Callable[..., World]) -> None:
    made = world(fair)
    made.provider.script = lambda sent: [provider.whole(401, {"error": {"message": "no"}})]
    with pytest.raises(SuiteError) as caught:
        made.run("suite.jsonl", *TIERS)
    assert "judge cannot be asked" in caught.value.message
    assert "key" in caught.value.hint
    assert len(made.provider.sent) <= 32


def test_the_cost_limit_holds_for_the_judge_too(world: Callable[..., World]) -> None:
    made = world(fair)
    with pytest.raises(SuiteError, match="cost limit"):
        made.run("suite.jsonl", *TIERS, "--cost-limit", "0.0001")
    assert not made.provider.sent
    made.run("suite.jsonl", *TIERS, "--cost-limit", "0.3", "-j", "2")
    lines = next(iter(sorted(Path(".tierwise/runs").glob("*/judgements.jsonl"))))
    spent = sum(json.loads(line)["cost_pico"] for line in lines.read_text().splitlines())
    assert 0 < spent < 300_000_000_000 - 30 * 6_000_000_000 // 10


def test_calibration_is_shown_and_widens_the_interval(world: Callable[..., World]) -> None:
    made = world(fair, cheap_wrong=2)
    plain = made.found("suite.jsonl", *TIERS)
    labels(wrong_on=9)
    said = made.found("suite.jsonl", *TIERS, "--calibrate", "labels.jsonl", "--markdown", "r.md")
    before, after = (each["comparisons"][0]["verdict"] for each in (plain, said))
    calibration = said["judge"]["calibration"]
    assert calibration == {"good_passed": 51, "good_failed": 9, "bad_passed": 9, "bad_failed": 51}
    assert said["judge_calibrated"] is True
    assert after["difference"] == pytest.approx(before["difference"] / 0.7)
    assert after["interval"][0] < before["interval"][0] / 0.7 + 1e-9
    assert after["interval"][1] > before["interval"][1] / 0.7 - 1e-9
    assert after["margin"] == 0.05
    assert "not calibrated" not in said["evidence"]
    assert "corrected for the judge" in said["evidence"]
    assert "sensitivity 85.0%" in Path("r.md").read_text()
    assert said["judge"]["calls"] == 2 * N + 120
    asked = len(made.provider.sent)
    again = made.found("--resume", said["run"], scorer="", judge="")
    assert again["comparisons"][0]["verdict"] == after
    assert len(made.provider.sent) == asked


def test_a_judge_no_better_than_chance_is_refused_before_the_run(world: Callable[..., World]) -> None:
    made = world(fair)
    labels(wrong_on=30)
    with pytest.raises(SuiteError, match="no better than chance"):
        made.run("suite.jsonl", *TIERS, "--calibrate", "labels.jsonl")
    assert len(made.provider.sent) == 120


def test_labels_that_cannot_carry_a_calibration_are_refused_unspent(world: Callable[..., World]) -> None:
    made = world(fair)
    labels(98)
    good = Path("labels.jsonl").read_text()
    for text, words in (
        (good, "needs 100 human labels"),
        (good + "\n" + good.splitlines()[0], "twice"),
        (good + '\n{"id": "q1", "answer": "x", "label": "maybe"}', "labels.jsonl:99"),
        (good + '\n{"id": "nobody", "answer": "x", "label": 1}', "no Case 'nobody'"),
        (good + '\n{"answer": "x", "label": 1}', "neither an id nor an input"),
    ):
        Path("labels.jsonl").write_text(text)
        with pytest.raises(SuiteError, match=words):
            made.run("suite.jsonl", *TIERS, "--calibrate", "labels.jsonl")
    assert not made.provider.sent


def test_a_pairwise_judge_is_asked_in_both_orders(world: Callable[..., World]) -> None:
    made = world(fair_pair, cheap_wrong=30)
    said = made.found("suite.jsonl", *TIERS, scorer="pairwise")
    cheap, dear = said["tiers"]
    assert len(made.provider.sent) == 2 * N
    assert (cheap["score"]["value"], dear["score"]["value"]) == (0.25, 0.5)
    verdict = said["comparisons"][0]["verdict"]
    assert verdict["difference"] == -0.5
    assert said["decision"] == "keep"
    assert said["judge_calibrated"] is False
    asked = len(made.provider.sent)
    assert made.found("--resume", said["run"], scorer="", judge="")["comparisons"] == said["comparisons"]
    assert len(made.provider.sent) == asked


def test_a_judge_that_always_prefers_the_first_place_finds_only_ties_and_decides_nothing(
    world: Callable[..., World],
) -> None:
    made = world(lambda asked: '{"better": "A"}', cheap_wrong=30)
    said = made.found("suite.jsonl", *TIERS, scorer="pairwise")
    assert [tier["score"]["value"] for tier in said["tiers"]] == [0.5, 0.5]
    verdict = said["comparisons"][0]["verdict"]
    assert verdict["difference"] == 0
    assert said["comparisons"][0]["disagreements"] == 0
    assert len(made.provider.sent) == 2 * N
    assert (said["decision"], said["more_cases"]) == ("not_enough", None)
    assert f"changed its mind with the order on {N} of {N} pairs" in verdict["reasons"][1]
    assert (said["judge"]["pairs"], said["judge"]["swayed"]) == (N, N)


def test_a_judge_that_says_tie_in_either_order_is_believed(world: Callable[..., World]) -> None:
    made = world(lambda asked: '{"better": "tie"}', cheap_wrong=30)
    said = made.found("suite.jsonl", *TIERS, scorer="pairwise")
    assert (said["judge"]["pairs"], said["judge"]["swayed"]) == (N, 0)
    assert said["comparisons"][0]["verdict"]["difference"] == 0


def test_a_pairwise_judge_that_prefers_nobody_leaves_pairs_unscored(world: Callable[..., World]) -> None:
    made = world(
        lambda asked: '{"better": "both"}' if "say 1</" in asked.replace("\n", "") else fair_pair(asked)
    )
    said = made.found("suite.jsonl", *TIERS, scorer="pairwise")
    assert said["comparisons"][0]["missing"] == 1
    assert any("none of A, B, tie" in reason for reason in said["tiers"][0]["reasons"])


def test_similarity_by_embeddings(world: Callable[..., World]) -> None:
    made = world(fair)
    terms = ("--embedder", "openai/text-embedding-3-small")
    said = made.found("suite.jsonl", *TIERS, *terms, scorer="similarity", judge="")
    cheap, dear = said["tiers"]
    assert (cheap["score"]["value"], dear["score"]["value"]) == (pytest.approx((N - 4) / N), 1)
    assert said["judge"]["kind"] == "similarity"
    assert said["judge_calibrated"] is None
    assert "calibrated" not in said["evidence"]
    assert {sent.path for sent in made.provider.sent} == {"/v1/embeddings"}
    # 10 tokens a call at $0.02 a million.
    assert said["judge_usd"] == "0.000024"


def test_a_finished_run_is_judged_afterwards(world: Callable[..., World]) -> None:
    made = world(fair)
    first = made.found("suite.jsonl", *TIERS, scorer="contains", judge="")
    assert first["tiers"][1]["score"]["value"] == 0
    result = made.run("--rescore", first["run"])
    assert f"{2 * N} calls, about $" in result.stderr
    said = made.found("--rescore", first["run"])
    assert said["tiers"][1]["score"]["value"] == 1
    assert said["spent_usd"] == "0.36"
    assert len(made.provider.sent) == 2 * N
    made.say = fair_pair
    pairs = made.found("--rescore", first["run"], scorer="pairwise")
    assert pairs["judge"]["calls"] == 2 * N
    assert pairs["tiers"][0]["score"]["value"] == pytest.approx(0.5 - 4 / N / 2)


@pytest.mark.parametrize(
    ("arguments", "scorer", "judge", "words"),
    [
        ((), "judge", "", "needs a model to ask"),
        ((), "similarity", "", "needs a model to ask"),
        ((), "exact", JUDGE, "--judge does not belong"),
        (("--embedder", "e"), "judge", JUDGE, "--embedder does not belong"),
        ((), 'judge:{"rubrik": "x"}', JUDGE, "no option 'rubrik'"),
        ((), 'judge:{"pass_at": 2}', JUDGE, "pass_at cannot be 2"),
        (("--sequential",), "pairwise", JUDGE, "when the run is over"),
        (("--calibrate", "suite.jsonl"), "pairwise", JUDGE, "pointwise judge"),
        ((), "judge", "x=file:cheap.jsonl", "cannot judge"),
    ],
)
def test_what_does_not_go_together_is_refused_unspent(
    world: Callable[..., World], arguments: tuple[str, ...], scorer: str, judge: str, words: str
) -> None:
    made = world(fair)
    with pytest.raises(SuiteError, match=words):
        made.run("suite.jsonl", *TIERS, *arguments, scorer=scorer, judge=judge)
    assert not made.provider.sent
