"""`tierwise eval` from outside, over recorded answers: no network."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import live
from tierwise.cli.eval import command
from tierwise.cli.policy import apply
from tierwise.errors import SuiteError, TierwiseError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TIERWISE_CONFIG", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def world(n: int, cheap_wrong: int, dear_wrong: int, evil: str = "") -> None:
    """A suite of n Cases; the cheap tier is wrong on the first ones, the dear one on those after them."""
    with (
        Path("suite.jsonl").open("w") as suite,
        Path("cheap.jsonl").open("w") as cheap,
        Path("dear.jsonl").open("w") as dear,
    ):
        for i in range(n):
            suite.write(json.dumps({"id": f"q{i}", "input": f"question {i}{evil}", "target": "yes"}) + "\n")
            bad = f"no{evil}"
            mine = bad if i < cheap_wrong else "yes"
            other = "no" if cheap_wrong <= i < cheap_wrong + dear_wrong else "yes"
            row = {"id": f"q{i}", "total_ms": 10 + i % 7, "ttft_ms": 3}
            cheap.write(json.dumps({**row, "answer": mine, "cost_usd": "0.001"}) + "\n")
            dear.write(json.dumps({**row, "answer": other, "cost_usd": "0.005", "total_ms": 30}) + "\n")


TIERS = ("--tiers", "cheap=file:cheap.jsonl,dear=file:dear.jsonl")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def found(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json").stdout)


def test_the_three_decisions_and_their_exit_codes() -> None:
    for wrong, other, code, decision in ((3, 2, 0, "switch"), (60, 0, 3, "keep"), (14, 6, 4, "not_enough")):
        world(200, wrong, other)
        result = run("suite.jsonl", *TIERS, "--json")
        assert result.exit_code == code
        said = json.loads(result.stdout)
        assert said["decision"] == decision
        assert said["comparisons"][0]["verdict"]["counts"] == {
            "both": 200 - wrong - other,
            "cheap_only": other,
            "ref_only": wrong,
            "neither": 0,
        }
    assert said["more_cases"] > 0
    assert said["more_cost_usd"] is not None


def test_the_json_has_the_keys_of_verdict_and_money_as_text() -> None:
    world(200, 5, 1)
    said = found("suite.jsonl", *TIERS)
    for key in (
        "difference",
        "interval",
        "level",
        "mcnemar_midp",
        "ln_e_switch",
        "ln_e_keep",
        "decision",
        "more_cases",
    ):
        assert key in said
    assert said["difference"] == -0.02
    assert said["spent_usd"] == "1.2"
    assert float(said["price_per_success_usd"]["cheap"]["value"]) == pytest.approx(0.2 / 195)
    # L* = $0.004/0.02.
    assert float(said["break_even_usd"]) == pytest.approx(0.2)


def test_the_text_says_it_in_eighty_columns() -> None:
    world(200, 5, 1)
    result = run("suite.jsonl", *TIERS)
    text = result.stdout
    for words in (
        "Switch: cheap is good enough",
        "margin 5.0%",
        "refuse 10.0%",
        "break-even",
        "latency",
        "policy apply",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.rstrip().endswith(" --task NAME")
    assert "can exclude a loss of" in result.stderr
    assert "about $0.00" in result.stderr


def test_so_few_cases_exclude_nothing_and_the_plan_says_so() -> None:
    world(4, 1, 0)
    said = run("suite.jsonl", *TIERS).stderr
    assert "4 Cases can exclude a loss of 28.2% if they disagree on 5%" in " ".join(said.split())
    world(1, 0, 0)
    said = run("suite.jsonl", *TIERS).stderr
    assert "if they disagree on 10%, nothing if they disagree on 20% (80 %" in " ".join(said.split())


def test_no_figure_is_cut_where_tiers_have_long_names() -> None:
    world(200, 5, 1)
    names = ("openrouter/meta-llama/llama-3.1-8b-instruct", "anthropic/claude-sonnet-4.6")
    text = run("suite.jsonl", "--tiers", f"{names[0]}=file:cheap.jsonl,{names[1]}=file:dear.jsonl").stdout
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for figure in ("(94.3–98.9)", "($0.001003–$0.001049)", "97.5 %", "$0.2000"):
        assert figure in text


def test_the_plan_alone_makes_no_call_and_no_run() -> None:
    world(200, 5, 1)
    result = run("suite.jsonl", *TIERS, "--plan", "-n", "50")
    assert result.exit_code == 0
    assert "50 Cases" in result.stdout
    assert not Path(".tierwise").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("suite.jsonl",),
        ("suite.jsonl", "--tiers", "cheap=file:cheap.jsonl"),
        ("suite.jsonl", *TIERS, "--margin", "0"),
        ("suite.jsonl", *TIERS, "--alpha", "0.5"),
        ("suite.jsonl", *TIERS, "-j", "0"),
        ("suite.jsonl", *TIERS, "--cost-limit", "x"),
        ("nothing.jsonl", *TIERS),
        ("suite.jsonl", *TIERS, "--column", "input"),
        ("suite.jsonl", *TIERS, "--key", "k"),
    ],
)
def test_wrong_usage_exits_2(arguments: tuple[str, ...]) -> None:
    world(20, 1, 1)
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("suite.jsonl", "--tiers", "a,b"), "nobody to ask"),
        (("suite.jsonl", *TIERS, "--reference", "other"), "not among"),
        (("suite.jsonl", *TIERS, "--scorer", "exakt"), "exakt"),
        (("suite.jsonl", *TIERS, "--scorer", "code"), "--allow-code"),
        (("suite.jsonl", "--tiers", "a=file:cheap.jsonl,a=file:dear.jsonl"), "Two tiers"),
        (("--resume",), "no run"),
        (("--rescore", "nothing"), "nothing"),
    ],
)
def test_errors_say_what_to_do(arguments: tuple[str, ...], words: str) -> None:
    world(20, 1, 1)
    with pytest.raises(TierwiseError) as caught:
        run(*arguments)
    assert words in caught.value.sentence()


def test_a_tier_without_answers_is_an_error_not_a_verdict() -> None:
    world(40, 1, 1)
    Path("none.jsonl").write_text('{"id": "other", "answer": "x"}\n')
    with pytest.raises(SuiteError, match="none answered none of 40 Cases"):
        run("suite.jsonl", "--tiers", "none=file:none.jsonl,dear=file:dear.jsonl")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"cost_usd": "a lot"}, "cheap.jsonl:41"),
        ({"cost_usd": 0.1 + 0.2}, "12 decimals"),
        ({"total_ms": "inf"}, "milliseconds"),
        ({"id": "q3"}, "a second time"),
    ],
)
def test_recorded_answers_that_cannot_be_read_are_told_with_their_line(row: Any, words: str) -> None:
    world(40, 1, 1)
    with Path("cheap.jsonl").open("a") as file:
        file.write(json.dumps({"id": "more", "answer": "yes", **row}) + "\n")
    with pytest.raises(SuiteError) as caught:
        run("suite.jsonl", *TIERS)
    assert words in caught.value.sentence()


def test_a_recorded_null_is_no_answer_and_an_object_is_its_json() -> None:
    world(40, 0, 0)
    rows = [{"id": f"q{i}", "answer": None if i < 10 else {"said": ["yes"]}} for i in range(40)]
    Path("cheap.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = found("suite.jsonl", *TIERS, "--scorer", "contains")
    mine = next(tier for tier in said["tiers"] if tier["card"]["name"] == "cheap")
    assert (mine["unscored"], mine["score"]["value"]) == (10, 1.0)
    kept = next(Path(".tierwise/runs").glob("*/trials.jsonl")).read_text().splitlines()
    assert '{"said": ["yes"]}' in {json.loads(line).get("trial", {}).get("answer") for line in kept}


def test_prompt_and_rubric_files_are_read_without_their_byte_order_mark() -> None:
    world(20, 1, 1)
    Path("prompt.txt").write_bytes(b"\xef\xbb\xbfAnswer {{input}}\r\n")
    found("suite.jsonl", *TIERS, "--prompt", "prompt.txt")
    kept = next(Path(".tierwise/runs").glob("*/cases.jsonl")).read_text()
    assert '"content":"Answer question 0' in kept
    Path("prompt.txt").write_bytes(b"\xff\xfe{{input}}")
    with pytest.raises(SuiteError, match="cannot be read"):
        run("suite.jsonl", *TIERS, "--prompt", "prompt.txt")


def test_no_verdict_where_no_answer_of_any_tier_is_right() -> None:
    world(100, 0, 0)
    result = run("suite.jsonl", *TIERS, "--scorer", 'json_schema:{"schema": {}}')
    assert result.exit_code == 4
    assert "No answer of either tier is right" in " ".join(result.stdout.split())
    assert "policy apply" not in result.stdout


def test_rescore_reads_the_answers_again_and_asks_nobody() -> None:
    world(200, 60, 0)
    text = Path("cheap.jsonl").read_text().replace('"no"', '" YES. "')
    Path("cheap.jsonl").write_text(text)
    first = found("suite.jsonl", *TIERS)
    assert first["decision"] == "keep"
    Path("cheap.jsonl").unlink()
    again = run("--rescore", first["run"], "--scorer", "normalised", "--json")
    assert again.exit_code == 0
    said = json.loads(again.stdout)
    assert said["decision"] == "switch"
    assert said["spent_usd"] == first["spent_usd"]
    assert any("scorer changed after" in note for note in said["notes"])


def test_one_more_tier_is_added_to_a_finished_run() -> None:
    world(200, 60, 0)
    first = found("suite.jsonl", *TIERS)
    Path("mid.jsonl").write_text(Path("dear.jsonl").read_text())
    said = found("--resume", first["run"], "--tiers", "mid=file:mid.jsonl")
    assert {tier["card"]["name"] for tier in said["tiers"]} == {"cheap", "dear", "mid"}
    assert (said["decision"], said["chosen"]) == ("switch", "mid")
    assert said["run"] == first["run"]


def test_more_cases_after_a_verdict_are_judged_by_e_values() -> None:
    world(400, 8, 7)
    first = found("suite.jsonl", *TIERS, "-n", "100")
    assert "Tango" in first["comparisons"][0]["verdict"]["method"]
    said = found("--resume", first["run"], "-n", "400")
    assert said["n"] == 400
    assert "betting" in said["comparisons"][0]["verdict"]["method"]
    assert any("e-values decide" in note for note in said["notes"])


def test_what_was_fixed_stays_fixed() -> None:
    world(50, 1, 1)
    first = found("suite.jsonl", *TIERS)
    for words in (
        ("--margin", "0.2"),
        ("--scorer", "contains"),
        ("--reference", "cheap"),
        ("--seed", "7"),
        ("--system", "Be brief."),
        ("--prompt", "Say {{input}}"),
        ("--temperature", "1"),
        ("--max-tokens", "9"),
        ("--labels", "reference"),
        ("--task", "coding"),
        ("--sequential",),
    ):
        with pytest.raises(SuiteError):
            run("--resume", first["run"], *words)
    assert run("--resume", first["run"], "--margin", "0.05", "--labels", "human").exit_code == 4
    Path("suite.jsonl").write_text('{"input": "x", "target": "y"}\n')
    with pytest.raises(SuiteError, match="not the one of run"):
        run("suite.jsonl", "--resume", first["run"])


def test_several_suites_are_held_together_by_holm() -> None:
    world(100, 5, 6)
    for name in ("b", "c"):
        Path(f"{name}.jsonl").write_text(Path("suite.jsonl").read_text())
    assert run("suite.jsonl", *TIERS).exit_code == 0
    result = run("suite.jsonl", "b.jsonl", "c.jsonl", *TIERS, "--json")
    assert result.exit_code == 4
    said = json.loads(result.stdout)
    assert said["decision"] == "not_enough"
    assert all("Holm" in one["comparisons"][0]["why_not"] for one in said["evaluations"])
    for one in said["evaluations"]:
        kept = CliRunner().invoke(apply, [one["run"], "--task", "coding", "--yes"])
        assert "not enough evidence" in str(kept.exception)
    assert not Path("policy.toml").exists()


def test_sequential_stops_before_the_end() -> None:
    world(2000, 0, 0)
    said = found("suite.jsonl", *TIERS, "--sequential")
    assert said["decision"] == "switch"
    assert said["comparisons"][0]["verdict"]["n"] < 200
    assert sum(tier["trials"] for tier in said["tiers"]) < 800


class Outside(HTMLParser):
    """Everything in a page that would run or be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.bad: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object", "base"):
            self.bad.append(tag)
        self.bad += [
            f"{tag} {name}" for name, value in attrs if name.startswith("on") or name in ("src", "href")
        ]


def test_reports_are_self_contained_and_escape_what_models_say() -> None:
    world(200, 60, 0, evil="<script>alert(1)</script>|\n# x `")
    assert run("suite.jsonl", *TIERS, "--html", "r.html", "--markdown", "r.md").exit_code == 3
    page = Path("r.html").read_text()
    reader = Outside()
    reader.feed(page)
    assert reader.bad == []
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<svg") == 3
    assert page.count("<polyline") >= 3
    for words in ("margin −5", "refuse −10", "Keep dear", "question 3"):
        assert words in page
    text = Path("r.md").read_text()
    assert "Keep dear" in text
    assert "<script" not in text


def test_planning_to_add_a_tier_changes_nothing_on_disk() -> None:
    world(50, 1, 1)
    first = found("suite.jsonl", *TIERS)
    before = Path(".tierwise/runs", first["run"], "run.json").read_text()
    Path("mid.jsonl").write_text(Path("dear.jsonl").read_text())
    result = run("--resume", first["run"], "--tiers", "mid=file:mid.jsonl", "--plan")
    assert result.exit_code == 0
    assert "50 calls" in result.stderr
    assert Path(".tierwise/runs", first["run"], "run.json").read_text() == before


def test_a_limit_that_lets_nothing_be_asked_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    world(30, 1, 1)
    Path("tierwise.toml").write_text(live.config("openai_chat", 9))
    monkeypatch.setenv("UPSTREAM_KEY", "x")
    with pytest.raises(SuiteError) as caught:
        run("suite.jsonl", "--tiers", "haiku,opus", "--cost-limit", "0.00000001")
    assert "the cost limit is reached" in caught.value.message
    assert "--resume" in caught.value.hint


PRICES = """
[[provider]]
name = "p"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
[[price]]
model = "p/dear"
input = 5
output = 25
[[price]]
model = "p/middle"
input = 3
output = 15
[[tier]]
name = "local"
model = "p/local"
[[tier]]
name = "middle"
model = "p/middle"
[[tier]]
name = "dear"
model = "p/dear"
"""


@pytest.mark.parametrize(
    ("stated", "tiers", "reference"),
    [
        ("", "dear,middle", "dear"),
        ("", "local,dear", None),
        ('[default]\nladder = ["local", "middle", "dear"]\n', "dear,local", "dear"),
        (
            '[default]\nladder = ["local", "middle", "dear"]\nreference = "middle"\n',
            "dear,middle,local",
            "middle",
        ),
        ('[default]\nladder = ["local", "middle", "dear"]\nreference = "middle"\n', "dear,local", "dear"),
        ('[default]\nreference = "local"\n', "local,dear", "local"),
        ("", "local,old=p/old", "old"),
        ("", "dear,old=p/old", None),
    ],
)
def test_the_reference_is_the_configured_one_or_the_dearest_where_that_is_known(
    stated: str, tiers: str, reference: str | None
) -> None:
    world(30, 1, 1)
    Path("tierwise.toml").write_text(stated + PRICES)
    plan = ("suite.jsonl", "--tiers", tiers, "--plan")
    if reference is None:
        with pytest.raises(SuiteError) as caught:
            run(*plan)
        assert "which tier is the dearest cannot be told" in caught.value.message
        plan, reference = (*plan, "--reference", "dear"), "dear"
    assert f"reference {reference};" in run(*plan).stdout
