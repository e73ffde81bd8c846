"""The runner: nothing paid twice, nothing lost, paced, limited, and stopped where asking is hopeless."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tierwise.config import model_at
from tierwise.errors import SuiteError, UpstreamBroke, UpstreamStatus, UpstreamTimeout
from tierwise.lab.cases.suites import Shape, make_suite
from tierwise.lab.running.asking import ChatTier, Knobs
from tierwise.lab.running.pace import Pace
from tierwise.lab.running.records import Intent, Record, TierCard
from tierwise.lab.running.replies import Reply
from tierwise.lab.running.runner import Runner, Work
from tierwise.lab.running.store import RunFolder, find_run
from tierwise.nouns import Case, Provider, Score, Trial, Usage
from tierwise.upstream import Deployment
from unit.lab.made import Fake, accurate, manifest, runner, suite

QUICK = Work(jobs=4, backoff_s=0.0, retries=2)


async def test_every_case_is_asked_once_of_every_tier_and_kept(tmp_path: Path) -> None:
    tiers = [Fake("a", accurate(0.5, 1)), Fake("b", accurate(1, 1))]
    made = runner(tmp_path, suite(30), tiers, QUICK)
    await made.run()
    made.folder.close()
    assert [sorted(t.asked) for t in tiers] == [sorted(f"q{i}" for i in range(30))] * 2
    assert made.spent_pico == 60 * 1000
    assert made.tallies["b"].mean() == 1
    lines = list(RunFolder(tmp_path / "run-1").lines())
    assert sum(isinstance(line, Intent) for line in lines) == 60
    assert sum(isinstance(line, Record) for line in lines) == 60


async def test_going_on_asks_only_what_is_missing_and_bills_nothing_twice(tmp_path: Path) -> None:
    made = runner(tmp_path, suite(20), [Fake("a", accurate(1, 1))], QUICK)
    await made.run()
    made.folder.close()
    path = tmp_path / "run-1" / "trials.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    # Killed while writing: eight lines are lost, the last one is torn.
    path.write_bytes(b"".join(lines[:-8]) + lines[-8][:15])
    again = Fake("a", accurate(1, 1))
    resumed = runner(tmp_path, suite(20), [again], QUICK)
    kept = 20 - resumed.missing("a")
    assert resumed.spent_pico == kept * 1000
    assert resumed.in_doubt == sum(b'"intent"' in line for line in lines[:-8]) - kept
    await resumed.run()
    resumed.folder.close()
    assert len(again.asked) == 20 - kept > 0
    assert resumed.spent_pico == 20 * 1000
    assert resumed.tallies["a"].ended == 20


async def test_two_processes_cannot_run_the_same_run(tmp_path: Path) -> None:
    made = runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))], QUICK)
    with pytest.raises(SuiteError, match="Another process"):
        RunFolder(tmp_path / "run-1").open_to_write()
    made.folder.close()


async def test_infrastructure_errors_are_retried_then_kept_as_unscored_then_asked_again(
    tmp_path: Path,
) -> None:
    tries: dict[str, int] = {}

    def said(id_: str, repeat: int) -> Any:
        tries[id_] = tries.get(id_, 0) + 1
        if id_ == "q1" and tries[id_] <= 2:
            return UpstreamStatus(503, "busy")
        return UpstreamTimeout("too slow") if id_ == "q2" else "right"

    made = runner(tmp_path, suite(5), [Fake("a", said)], QUICK)
    await made.run()
    made.folder.close()
    assert tries["q1"] == tries["q2"] == 3
    assert made.tallies["a"].count("ok") == 4
    assert made.tallies["a"].count("error") == 1
    assert made.tallies["a"].unscored == 1
    healed = Fake("a", accurate(1, 1))
    resumed = runner(tmp_path, suite(5), [healed], QUICK)
    await resumed.run()
    resumed.folder.close()
    assert healed.asked == ["q2"]
    assert resumed.tallies["a"].unscored == 0


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_refused_key_or_unknown_model_ends_the_run_at_once(tmp_path: Path, status: int) -> None:
    tiers = [Fake("a", lambda id_, repeat: UpstreamStatus(status, "no")), Fake("b", accurate(1, 1))]
    made = runner(tmp_path, suite(200), tiers, QUICK)
    with pytest.raises(SuiteError) as caught:
        await made.run()
    made.folder.close()
    assert "a cannot be asked" in caught.value.message
    assert caught.value.hint
    assert len(tiers[0].asked) <= 4
    assert len(tiers[1].asked) < 20


async def test_who_waits_for_its_turn_when_the_run_ends_is_not_asked(tmp_path: Path) -> None:
    tiers = [Fake("a", lambda id_, repeat: UpstreamStatus(401, "no")), Fake("b", accurate(1, 1))]
    made = runner(tmp_path, suite(20), tiers, Work(jobs=1))
    with pytest.raises(SuiteError, match="a cannot be asked"):
        await made.run()
    made.folder.close()
    assert [len(tier.asked) for tier in tiers] == [1, 0]


@pytest.mark.parametrize(
    "error", [UpstreamBroke("cut"), Reply("", "rejected", Usage(), 0, 5, error="no such field")]
)
async def test_a_tier_that_answers_nothing_is_given_up_early(tmp_path: Path, error: Any) -> None:
    bad = Fake("a", lambda id_, repeat: error)
    made = runner(tmp_path, suite(500), [bad], Work(jobs=2, backoff_s=0.0, retries=0))
    with pytest.raises(SuiteError, match="answered none") as caught:
        await made.run()
    made.folder.close()
    assert ". Check the model's name" in caught.value.sentence()
    assert len(bad.asked) <= 12


async def test_the_cost_limit_is_not_passed_and_the_run_can_go_on(tmp_path: Path) -> None:
    tier = Fake("a", accurate(1, 1), cost=1_000_000)
    # A call is reckoned at its prompt and ten answer tokens: 4 × 10⁶ + 10 × 5 × 10⁶ pico-dollars.
    limit = 20 * 54_000_000
    work = Work(jobs=8, backoff_s=0.0, limit_pico=limit)
    tier._cost, tier.longest = 50_000_000, 10
    made = runner(tmp_path, suite(300), [tier], work)
    await made.run()
    made.folder.close()
    assert made.halted == "the cost limit is reached"
    assert limit - 2 * 54_000_000 <= made.spent_pico <= limit
    more = runner(tmp_path, suite(300), [Fake("a", accurate(1, 1), cost=0)], QUICK)
    assert more.missing("a") == 300 - len(tier.asked)
    more.folder.close()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("请把这段话归入一个类别。" * 20, 320), ("Say yes.", 15), ("Which label fits the ticket? " * 20, 200)],
    ids=["1.33 tokens a character", "what a turn takes beside its words", "a tokenizer for other languages"],
)
async def test_the_cost_limit_holds_where_prompts_have_more_tokens_than_bytes_tell(
    tmp_path: Path, text: str, tokens: int
) -> None:
    """From the second call on what the provider counted is known; the first may be reckoned too low."""
    cost = tokens * 10**6 + 5 * 10**6
    found = make_suite("made", [(f"q{i}", Case(f"q{i}", text + str(i), "right")) for i in range(40)], Shape())
    tier = Fake("a", lambda id_, repeat: Reply("right", "ok", Usage(tokens, output=1), cost, 2000, 1000))
    tier.longest = 1
    made = runner(tmp_path, found, [tier], Work(jobs=4, backoff_s=0.0, limit_pico=20 * cost + 1))
    await made.run()
    made.folder.close()
    assert made.halted == "the cost limit is reached"
    assert 17 * cost <= made.spent_pico <= 20 * cost
    again = runner(tmp_path, found, [tier], QUICK)
    assert again._call_bound(tier, found.cases[0]) >= cost
    again.folder.close()


async def test_what_recorded_answers_once_cost_is_not_spent_again(tmp_path: Path) -> None:
    recorded, asked = Fake("a", accurate(1, 1), cost=10**12), Fake("b", accurate(1, 1), cost=1_000)
    recorded.free, asked.longest = True, 10
    work = Work(jobs=8, backoff_s=0.0, limit_pico=10**9)
    made = runner(tmp_path, suite(40), [recorded, asked], work)
    await made.run()
    made.folder.close()
    assert (made.halted, made.spent_pico) == ("", 40 * 1_000)
    assert made.tallies["a"].spent_pico == 40 * 10**12
    again = runner(tmp_path, suite(40), [recorded, asked], work)
    assert again.spent_pico == 40 * 1_000
    again.folder.close()


async def test_what_calls_under_way_set_aside_does_not_end_a_run(tmp_path: Path) -> None:
    """Before the first answer a call is reckoned at a long one: the others wait for it, none is given up."""
    tiers = [Fake("a", accurate(1, 1)), Fake("b", accurate(1, 1))]
    for tier in tiers:
        tier._cost = 10_000_000
    made = runner(tmp_path, suite(40), tiers, Work(jobs=8, backoff_s=0.0))
    most = made._bound(tiers[0], suite(1).cases[0])
    made.work = structs.replace(made.work, limit_pico=2 * most)
    await made.run()
    made.folder.close()
    assert made.halted == ""
    assert made.spent_pico == 80 * 10_000_000 < 2 * most


async def test_repeats_are_asked_each_and_not_mixed_up(tmp_path: Path) -> None:
    tier = Fake("a", lambda id_, repeat: "right" if repeat == 0 else "wrong")
    made = runner(tmp_path, suite(6), [tier], QUICK, repeats=2)
    await made.run()
    made.folder.close()
    assert len(tier.asked) == 12
    assert [made.tallies["a"].score(i) for i in range(6)] == [0.5] * 6


async def test_an_answer_paid_for_but_not_scored_yet_is_scored_without_asking(tmp_path: Path) -> None:
    made = runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))], QUICK)
    made._slow = True
    await made.run()
    made.folder.close()
    path = tmp_path / "run-1" / "trials.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if b'"value":1.0' not in line]
    assert len(kept) == 6
    path.write_bytes(b"".join(kept))
    tier = Fake("a", accurate(1, 1))
    resumed = runner(tmp_path, suite(3), [tier], QUICK)
    await resumed.run()
    resumed.folder.close()
    assert tier.asked == []
    assert resumed.tallies["a"].mean() == 1
    assert resumed.spent_pico == 3000


async def test_concurrency_stays_under_j_over_all_tiers(tmp_path: Path) -> None:
    tiers = [Fake("a", accurate(1, 1)), Fake("b", accurate(1, 1))]
    made = runner(tmp_path, suite(60), tiers, Work(jobs=5, backoff_s=0.0))
    await made.run()
    made.folder.close()
    assert 2 <= max(t.most for t in tiers) <= 5


async def test_pace_doubles_then_halves_once_per_round_then_creeps() -> None:
    pace = Pace(100)
    tickets = [await pace.enter() for _ in range(16)]
    for ticket in tickets:
        pace.leave(ticket, False)
    assert pace.limit == 32
    tickets = [await pace.enter() for _ in range(32)]
    for ticket in tickets:
        pace.leave(ticket, True)
    assert pace.limit == 16
    for _ in range(16):
        pace.leave(await pace.enter(), False)
    assert 16.5 < pace.limit < 17.5
    for _ in range(200):
        pace.leave(await pace.enter(), True)
    assert pace.limit == 1


def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "trials.jsonl").write_bytes(b'{"trial": oops}\n{"intent":"a","tier":"b","repeat":0}\n')
    with pytest.raises(SuiteError, match=r"trials\.jsonl:1 is damaged"):
        list(RunFolder(folder).lines())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cases.jsonl", None, "cannot be read"),
        ("cases.jsonl", b'{"id": "q0", "inp', "cannot be read"),
        ("cases.jsonl", b"", "holds 0 of 3 Cases"),
        ("prompt.txt", None, "cannot be read"),
        ("run.json", b"{", "cannot be read"),
    ],
)
def test_a_damaged_run_is_refused_with_its_file(
    tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    made = runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))])
    made.folder.close()
    path = made.folder.path / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(SuiteError, match=words) as caught:
        made.folder.suite()
    assert "Start a new run" in caught.value.hint


def test_calls_cut_off_by_a_crash_are_counted_though_they_were_made_again(tmp_path: Path) -> None:
    made = runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))])
    folder = made.folder
    # The first process: a call that failed and was made again, then the end.
    folder.intend("q0", "a", 0)
    folder.intend("q0", "a", 0, 1)
    folder.intend("q1", "a", 0)
    folder.keep(Record(Trial("q1", "a", 0, "right", Score(1.0), Usage(), 1, None, 1, "ok")))
    # The second makes it again, and ends before its answer, too.
    folder.intend("q0", "a", 0)
    folder.close()
    assert runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))]).in_doubt == 2


def test_cases_that_were_changed_since_are_not_those_that_were_answered(tmp_path: Path) -> None:
    folder = runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))]).folder
    assert folder.suite().hash == suite(3).hash
    path = folder.path / "cases.jsonl"
    path.write_text(path.read_text().replace('"right"', '"wrong"', 1))
    with pytest.raises(SuiteError, match="changed since"):
        folder.suite()
    folder.close()


async def test_calls_cut_off_by_a_crash_count_against_the_cost_limit(tmp_path: Path) -> None:
    made = runner(tmp_path, suite(300), [Fake("a", accurate(1, 1))])
    for i in range(15):
        made.folder.intend(f"q{i}", "a", 0)
    made.folder.close()
    tier = Fake("a", accurate(1, 1), cost=54_000_000)
    tier.longest = 10
    # A call is reckoned at its prompt, 3 or 4 tokens here, and ten answer tokens of 5 × 10⁶ pico-dollars.
    work = Work(jobs=4, backoff_s=0.0, limit_pico=20 * 54_000_000)
    again = runner(tmp_path, suite(300), [tier], work)
    assert (again.in_doubt, again.doubtful_pico) == (15, 10 * 53_000_000 + 5 * 54_000_000)
    await again.run()
    again.folder.close()
    assert (len(tier.asked), again.halted) == (5, "the cost limit is reached")


def test_runs_are_found_by_beginning_and_the_last_by_default(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no run"):
        find_run("", tmp_path)
    for name in ("20261101-1-aa", "20261102-1-bb", "20261102-2-cc"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text("{}")
    assert find_run("", tmp_path).name == "20261102-2-cc"
    assert find_run("20261101", tmp_path).name == "20261101-1-aa"
    assert find_run(os.fspath(tmp_path / "20261102-1-bb"), tmp_path).name == "20261102-1-bb"
    with pytest.raises(SuiteError, match="2 runs begin"):
        find_run("20261102", tmp_path)


def test_runs_begun_in_the_same_instant_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tierwise.lab.running.store.now_us", lambda: 1_800_000_000_999_998)
    one, tiers = suite(2), [Fake("a", accurate(1, 1))]
    begun = [RunFolder.create(manifest(one, tiers, "a"), one, tmp_path) for _ in range(4)]
    assert {run.path.stat().st_mode & 0o777 for run in begun} == {0o700}
    assert len({each.path for each in begun}) == 4
    assert [each.manifest().id for each in begun] == [each.path.name for each in begun]
    later = [each.id for each in begun[1:]]
    assert later == sorted(later)


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        ({}, 10),
        ({"temperature": 0}, 10),
        ({"max_tokens": 4000}, 4000),
        ({"max_completion_tokens": 5, "max_tokens": 20}, 20),
        ({"generationConfig": {"maxOutputTokens": 30}}, 30),
        ({"max_tokens": -1}, None),
    ],
)
def test_a_tiers_own_limit_is_reckoned_with_for_it_outranks_the_runs(settings, longest) -> None:
    provider = Provider("p", "openai_chat", "http://127.0.0.1:9/v1")
    deployment = Deployment(model_at(provider, "m"), provider, None)
    card = TierCard("a", "provider", "p/m", "", "a")
    assert ChatTier(card, deployment, None, Knobs(max_tokens=10), settings).longest == longest


async def test_a_run_that_cannot_be_kept_ends_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    tiers = [Fake("a", accurate(1, 1)), Fake("b", accurate(1, 2))]
    made = runner(tmp_path, suite(40), tiers, QUICK)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3001, limits[1]))  # amid a line
    try:
        with pytest.raises(SuiteError, match="run-1 cannot be kept: File too large"):
            await made.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # What comes next joins no half of a line.
    made.folder.intend("q39", "a", 0)
    made.folder.close()
    resumed = runner(tmp_path, suite(40), tiers, QUICK)
    assert 0 < resumed.missing("a") < 40
    await resumed.run()
    resumed.folder.close()
    assert [resumed.missing(name) for name in "ab"] == [0, 0]


def test_a_damaged_folder_is_told_as_such(tmp_path: Path) -> None:
    made = runner(tmp_path, suite(3), [Fake("a", accurate(1, 1))], QUICK)
    made.folder.close()
    run = RunFolder(tmp_path / "run-1")
    (run.path / "trials.jsonl").unlink()
    (run.path / "trials.jsonl").mkdir()
    with pytest.raises(SuiteError, match=r"trials\.jsonl cannot be written: Is a directory"):
        run.open_to_write()
    found = run.manifest()
    run.write_manifest(structs.replace(found, terms=structs.replace(found.terms, reference="gone")))
    with pytest.raises(SuiteError, match=r"run\.json names no tier 'gone', its reference"):
        run.manifest()


CUT = UpstreamBroke("The line is cut.")


class Told:
    """Who watches a run, and keeps what it says."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def trial(self, runner: Runner, tier: str) -> None:
        pass

    def told(self, words: str) -> None:
        self.words.append(words)


@pytest.mark.parametrize(("jobs", "calls"), [(1, 160), (32, 250)])
async def test_a_run_waits_for_a_tier_that_is_away_and_asks_again_what_that_cost(
    tmp_path: Path, jobs: int, calls: int
) -> None:
    away = iter(range(calls))
    gone = Fake("a", lambda id_, _: "right" if len(gone.asked) < 50 or next(away, None) is None else CUT)
    made = runner(tmp_path, suite(200), [gone], Work(jobs=jobs, retries=6, backoff_s=0.0))
    made.observer = told = Told()
    await made.run()
    made.folder.close()
    assert made.tallies["a"].count("ok") == 200
    assert told.words[0].startswith("a answers no more, 20 Cases in a row: The line is cut.")
    assert told.words[-1] == "a answers again."


@pytest.mark.parametrize("jobs", [1, 32])
async def test_a_tier_that_stays_away_ends_the_run_and_scattered_failures_do_not(
    tmp_path: Path, jobs: int
) -> None:
    found, work = suite(200), Work(jobs=jobs, retries=0, backoff_s=0.0)
    scattered = Fake("a", lambda id_, _: CUT if int(id_[1:]) % 4 else "right")
    made = runner(tmp_path / "scattered", found, [scattered], work)
    await made.run()
    made.folder.close()
    assert made.tallies["a"].count("error") == 150
    gone = Fake("a", lambda id_, _: "right" if len(gone.asked) < 50 else CUT)
    made = runner(tmp_path / "gone", found, [gone], work)
    with pytest.raises(SuiteError, match="a answers no more, 21 Cases in a row: The line is cut"):
        await made.run()
    made.folder.close()
    assert len(gone.asked) <= 50 + 20 + jobs + 31
