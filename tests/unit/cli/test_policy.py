"""`tierwise policy` from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import live
from tierwise.cli.eval import command as evaluate
from tierwise.cli.policy import command
from tierwise.errors import SuiteError, TierwiseError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UPSTREAM_KEY", "x")
    monkeypatch.delenv("TIERWISE_CONFIG", raising=False)
    Path("tierwise.toml").write_text(live.config("openai_chat", 9))
    for name, wrong in (("suite", 0), ("haiku", 3), ("opus", 0)):
        lines = (
            {"id": f"q{i}", "input": f"question {i}", "target": "yes", "answer": "no" if i < wrong else "yes"}
            for i in range(200)
        )
        Path(f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(command, arguments, input=given, catch_exceptions=False)


def measured(task: str = "classification") -> str:
    tiers = "haiku=file:haiku.jsonl,opus=file:opus.jsonl"
    done = CliRunner().invoke(
        evaluate, ("suite.jsonl", "--tiers", tiers, "--task", task, "--json"), catch_exceptions=False
    )
    assert done.exit_code == 0
    Path("verdict.json").write_text(done.stdout)
    return str(json.loads(done.stdout)["run"])


def shown() -> dict[str, Any]:
    rules = json.loads(run("show", "--json").stdout)["rules"]
    return {rule["task"]: rule for rule in rules}


def test_show_says_prior_then_measured_then_expired_then_contradicted() -> None:
    assert shown()["classification"]["state"] == "prior"
    measured()
    assert run("apply", "--yes").exit_code == 0
    rule = shown()["classification"]
    assert rule["state"] == "measured"
    assert "good enough: difference -0.015 against opus" in rule["evidence"]
    assert shown()["coding"]["state"] == "prior"
    text = Path("policy.toml").read_text()
    expires = next(line for line in text.splitlines() if line.startswith("expires"))
    Path("policy.toml").write_text(text.replace(expires, 'expires = "2026-01-01"'))
    assert shown()["classification"]["state"] == "expired"
    Path("policy.toml").write_text(text.replace("[rule.verdict]", 'state = "contradicted"\n[rule.verdict]'))
    assert shown()["classification"]["state"] == "contradicted"
    assert "contradicted" in run("show").stdout


def test_a_run_without_a_verdict_is_told_how_it_goes_on() -> None:
    name = measured()
    Path(".tierwise/runs", name, "verdict.json").unlink()
    with pytest.raises(SuiteError) as caught:
        run("apply", name)
    assert f"`tierwise eval --resume {name}`" in caught.value.hint


def test_diff_shows_and_apply_writes_only_when_told_to() -> None:
    name = measured()
    assert "+tiers = [" in run("diff").stdout
    with pytest.raises(SuiteError, match="nobody to ask"):
        run("apply", name)
    assert not Path("policy.toml").exists()
    done = run("apply", name, "--yes")
    assert '+decision = "switch"' in done.stdout
    assert "Wrote policy.toml" in done.stdout
    assert "Nothing" in run("diff", name).stdout
    assert "Nothing to change" in run("apply", name, "--yes").stdout


def test_a_verdict_file_applies_too_and_days_0_never_expires() -> None:
    measured()
    assert run("apply", "verdict.json", "--yes", "--days", "0").exit_code == 0
    assert shown()["classification"]["expires"] is None


def test_what_cannot_be_applied_says_why() -> None:
    with pytest.raises(SuiteError, match="no run"):
        run("apply", "--yes")
    measured(task="")
    with pytest.raises(SuiteError, match="belongs to no task"):
        run("apply", "--yes")
    assert run("apply", "--yes", "--task", "tickets").exit_code == 0
    assert shown()["tickets"]["tiers"] == ["haiku", "sonnet", "opus"]
    Path("broken.json").write_text("{}")
    with pytest.raises(SuiteError, match="holds no verdict"):
        run("apply", "broken.json")
    with pytest.raises(TierwiseError, match="no file"):
        run("plan", "nothing.toml")


def test_a_rule_that_counts_as_expired_at_once_is_told_before_it_is_written() -> None:
    measured()
    assert "expired" not in run("diff").stderr
    with Path("tierwise.toml").open("a") as file:
        file.write("\n[task.classification]\nmargin = 0.01\n")
    why = "expired at once. classification: the margin was 0.05 when measured and is 0.01 now.\n"
    assert run("diff").stderr.endswith(why)
    said = run("apply", "--yes")
    assert said.stderr.endswith(why)
    assert shown()["classification"]["state"] == "expired"
    assert run("apply", "--yes").stderr.endswith(why)
