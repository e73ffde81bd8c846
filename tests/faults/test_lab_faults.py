"""A run that is killed goes on without paying twice; a provider that fails is asked again, more slowly."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import live

N = 300


def start_world(folder: Path, profile: dict[str, Any]) -> live.Process:
    rows = "".join(f"ticket number {i} about my bill,{'Billing' if i % 2 else 'Account'}\n" for i in range(N))
    (folder / "tickets.csv").write_text("text,category\n" + rows)
    (folder / "profile.json").write_text(json.dumps(profile))
    simulator = live.Process(
        folder, "simulator", "--port", "0", "--labels", "tickets.csv", "--log", "log.jsonl",
        "--profile", "profile.json",
    )  # fmt: skip
    (folder / "tierwise.toml").write_text(live.config("openai_chat", simulator.port))
    return simulator


def eval_command(*arguments: str) -> list[str]:
    """`tierwise eval`; a run that goes on has its prompt already."""
    system = "Classify the ticket into one of these labels: Billing, Account."
    prompt = () if "--resume" in arguments else ("--system", system)
    return [sys.executable, "-m", "tierwise", "eval", *arguments, *prompt]


def evaluated(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`tierwise eval … --json`, run to its end."""
    command = eval_command(*arguments, "--json")
    return subprocess.run(command, cwd=folder, env=environ(), capture_output=True, text=True, check=False)


def environ() -> dict[str, str]:
    return {**os.environ, "UPSTREAM_KEY": "k"}


def logged(folder: Path) -> Counter[tuple[str, str]]:
    """(model, sha of the request) → how often it was asked, whatever came of it."""
    calls = [json.loads(line) for line in live.lines(folder / "log.jsonl")]
    return Counter((call["model"], call["sha256"]) for call in calls)


def trials(folder: Path) -> list[Any]:
    [path] = folder.glob(".tierwise/runs/*/trials.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_kill_9_then_resume_pays_twice_only_for_what_was_in_flight(tmp_path: Path) -> None:
    simulator = start_world(tmp_path, {"speed": 4.0, "jitter": 0.5})
    try:
        command = eval_command("tickets.csv", "--tiers", "haiku,sonnet", "-j", "8")
        kills = 0
        for after in (40, 170, 330):
            child = subprocess.Popen(
                command, cwd=tmp_path, env=environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            assert live.wait_for(lambda wanted=after: sum(logged(tmp_path).values()) >= wanted)
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
            command = eval_command("--resume", "--tiers", "haiku,sonnet", "-j", "8")
        done = evaluated(tmp_path, "--resume", "--tiers", "haiku,sonnet", "-j", "8")
        assert done.returncode in (0, 3, 4), done.stderr
        said = json.loads(done.stdout)
        assert [tier["trials"] for tier in said["tiers"]] == [N, N]
        calls = logged(tmp_path)
        assert len(calls) == 2 * N
        again = sum(count - 1 for count in calls.values())
        assert again <= kills * 8
        lines = trials(tmp_path)
        kept = Counter((t["trial"]["case"], t["trial"]["tier"]) for t in lines if "trial" in t)
        assert set(kept.values()) == {1}
        assert len(kept) == 2 * N
        # Every call that was made had been announced first, so nothing that may be billed is unknown.
        assert sum("intent" in line for line in lines) >= sum(calls.values())
    finally:
        simulator.stop()


def test_the_verdict_of_a_killed_run_is_that_of_an_unbroken_one(tmp_path: Path) -> None:
    simulator = start_world(tmp_path, {"speed": 8.0})
    try:
        child = subprocess.Popen(
            eval_command("tickets.csv", "--tiers", "haiku,sonnet", "-j", "4"),
            cwd=tmp_path, env=environ(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        assert live.wait_for(lambda: sum(logged(tmp_path).values()) >= 150)
        child.send_signal(signal.SIGKILL)
        child.wait()
        verdicts = []
        for arguments in (("--resume",), ("tickets.csv", "--tiers", "haiku,sonnet", "--runs", "other")):
            done = evaluated(tmp_path, *arguments)
            verdicts.append(json.loads(done.stdout)["comparisons"][0]["verdict"])
        assert verdicts[0] == verdicts[1]
    finally:
        simulator.stop()


def test_a_provider_that_limits_and_breaks_off_is_asked_again_until_all_is_there(tmp_path: Path) -> None:
    # About one call in eight fails: often enough to be met, too seldom for any Case to fail every try.
    faults = {"e429": 0.05, "e503": 0.03, "cut": 0.02, "nodone": 0.02}
    simulator = start_world(tmp_path, {"retry_after_s": 0, "model": {"haiku": {"faults": faults}}})
    try:
        done = evaluated(tmp_path, "tickets.csv", "--tiers", "haiku,sonnet", "-n", "120", "-j", "16")
        assert done.returncode in (0, 3, 4), done.stderr
        said = json.loads(done.stdout)
        haiku = next(tier for tier in said["tiers"] if tier["card"]["name"] == "haiku")
        assert haiku["outcomes"] == {"ok": 120}
        assert haiku["unscored"] == 0
    finally:
        simulator.stop()


def test_refusals_and_truncations_are_wrong_answers_not_missing_ones(tmp_path: Path) -> None:
    simulator = start_world(tmp_path, {"model": {"haiku": {"faults": {"refuse": 0.3}}}})
    try:
        done = evaluated(tmp_path, "tickets.csv", "--tiers", "haiku,sonnet", "-n", "100")
        said = json.loads(done.stdout)
        haiku = next(tier for tier in said["tiers"] if tier["card"]["name"] == "haiku")
        assert haiku["outcomes"]["refused"] > 10
        assert haiku["scored"] == 100
        assert done.returncode == 3
    finally:
        simulator.stop()


def test_a_cost_limit_holds_for_the_run_however_often_it_goes_on(tmp_path: Path) -> None:
    """As after a crash: a resume that names no limit has the run's own; one that names another changes it."""
    simulator = start_world(tmp_path, {"speed": 20.0})
    try:
        ask = ("--tiers", "haiku,sonnet", "--max-tokens", "20")
        spent = []
        for more in (
            ("tickets.csv", "-n", "200", "--cost-limit", "0.01"),
            ("--resume",),
            ("--resume", "--cost-limit", "0.02"),
            ("--resume",),
        ):
            done = evaluated(tmp_path, *more, *ask)
            assert done.returncode in (0, 3, 4), done.stderr
            said = json.loads(done.stdout)
            assert any("Raise --cost-limit" in note for note in said["notes"])
            spent.append(said["spent_pico"])
        first, same, more_spent, still = spent
        assert first <= same <= 10 * 10**9 < more_spent <= still <= 20 * 10**9
    finally:
        simulator.stop()


def test_several_suites_share_one_cost_limit(tmp_path: Path) -> None:
    simulator = start_world(tmp_path, {"speed": 20.0})
    try:
        (tmp_path / "more.csv").write_text((tmp_path / "tickets.csv").read_text())
        ask = ("--tiers", "haiku,sonnet", "--max-tokens", "20", "-n", "100", "--cost-limit", "0.02")
        done = evaluated(tmp_path, "tickets.csv", "more.csv", *ask)
        assert done.returncode in (0, 3, 4), done.stderr
        first, second = json.loads(done.stdout)["evaluations"]
        assert first["n"] == 100
        assert any("the cost limit is reached" in note for note in second["notes"])
        assert first["spent_pico"] + second["spent_pico"] <= 20 * 10**9
    finally:
        simulator.stop()


def test_a_run_that_goes_on_after_its_verdict_was_read_is_judged_by_e_values(tmp_path: Path) -> None:
    """A cost limit raised after a look is optional stopping, like a larger -n."""
    simulator = start_world(tmp_path, {"speed": 20.0})
    try:
        ask = ("--tiers", "haiku,sonnet", "--max-tokens", "20")
        verdicts = []
        for more in (
            ("tickets.csv", "-n", "200", "--cost-limit", "0.02"),
            ("--resume", "--cost-limit", "0.001"),
            ("--resume", "--cost-limit", "5"),
        ):
            done = evaluated(tmp_path, *more, *ask)
            assert done.returncode in (0, 3, 4), done.stderr
            verdicts.append(json.loads(done.stdout)["comparisons"][0]["verdict"])
        cut, same, whole = verdicts
        assert 20 <= cut["n"] < 200
        # Nothing was added by the second: it is the same verdict.
        assert same == cut
        assert cut["method"] == "Tango score interval"
        assert whole["n"] == 200
        assert whole["method"] == "betting confidence sequence"
    finally:
        simulator.stop()
