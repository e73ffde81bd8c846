"""From an Evaluation to a rule, and a policy rehearsed on recorded calls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import live
from tierwise.clock import now_us, rfc3339
from tierwise.config import RuleBlock, Settings, load, read_blocks, write_policy
from tierwise.errors import ConfigError, SuiteError
from tierwise.lab.replay import replay, whole_file
from tierwise.lab.results import Comparison, Evaluation, Span, Spent, TierResult
from tierwise.lab.running.records import SuiteCard, TierCard
from tierwise.lab.telling.publish import propose, rule_of
from tierwise.nouns import Bar, Counts, Verdict


def settings(folder: Path, extra: str = "") -> Settings:
    (folder / "tierwise.toml").write_text(live.config("openai_chat", 9, extra=extra))
    return load(folder / "tierwise.toml", {"UPSTREAM_KEY": "x"})


def tier(name: str) -> TierResult:
    card = TierCard(
        name, "provider", f"agg/anthropic/claude-{name}", "1 in, 5 out", name, served=(f"claude-{name}-x",)
    )
    return TierResult(
        card,
        200,
        200,
        0,
        Span(0.9, 0.85, 0.95),
        10**9,
        10**6,
        Spent(10**6, 10**6, 10**6),
        1,
        2,
        3,
        None,
        {"ok": 200},
    )


def evaluation(decision: Any = "switch", cheap: str = "haiku", reference: str = "opus") -> Evaluation:
    verdict = Verdict(
        decision,
        -0.01,
        (-0.03, 0.01),
        0.9,
        200,
        "Tango score interval",
        0.05,
        0.05,
        0,
        "hash1",
        cheap,
        reference,
        Counts(180, 5, 7, 8),
        None,
        0.06,
        0.77,
        3.2,
        -4.0,
        120 if decision == "not_enough" else None,
        ("a reason",),
    )
    return Evaluation(
        "run-7",
        "2026-11-22T10:00:00Z",
        SuiteCard("t", "classification", "hash1", 200, "exact", "hash2"),
        Bar(),
        0,
        200,
        1,
        False,
        reference,
        (tier(cheap), tier(reference)),
        (Comparison(verdict),),
        decision,
        cheap if decision == "switch" else reference,
        10**10,
    )


def test_a_rule_cites_everything_its_verdict_rests_on(tmp_path: Path) -> None:
    block = rule_of(evaluation(), settings(tmp_path), today=date(2026, 11, 22))
    assert block.task == "classification"
    assert block.tiers == ["haiku", "sonnet", "opus"]
    verdict = block.verdict
    assert verdict is not None
    assert (verdict.counts, verdict.interval, verdict.ln_e_switch) == ((180, 5, 7, 8), (-0.03, 0.01), 3.2)
    assert (verdict.dataset_hash, verdict.prompt_hash, verdict.scorer) == ("hash1", "hash2", "exact")
    assert verdict.models == {"haiku": "claude-haiku-x", "opus": "claude-opus-x"}
    assert verdict.prices == {"haiku": "1 in, 5 out", "opus": "1 in, 5 out"}
    assert (verdict.date, verdict.expires, verdict.id) == ("2026-11-22", "2027-02-20", "run-7/haiku")


def test_a_rule_cites_models_and_settings_where_they_are_known(tmp_path: Path) -> None:
    one = evaluation()
    told = {"haiku": "", "opus": '{"top_p": 1}'}
    one = replace(
        one,
        tiers=tuple(
            replace(each, card=replace(each.card, settings=told.get(each.card.name))) for each in one.tiers
        ),
    )
    verdict = rule_of(one, settings(tmp_path)).verdict
    assert verdict is not None
    assert verdict.tested == {
        "haiku": "agg/anthropic/claude-haiku",
        "opus": 'agg/anthropic/claude-opus {"top_p": 1}',
    }
    assert rule_of(evaluation(), settings(tmp_path)).verdict.tested == {}


def test_keep_makes_a_rule_for_the_reference(tmp_path: Path) -> None:
    block = rule_of(evaluation("keep"), settings(tmp_path))
    assert block.tiers == ["opus"]
    assert block.verdict is not None
    assert block.verdict.decision == "keep"


def test_keep_cites_the_cheaper_tier_not_one_that_is_dearer_and_no_good_either(tmp_path: Path) -> None:
    one = evaluation("keep")
    [cheaper] = one.comparisons
    dearer = replace(cheaper, verdict=replace(cheaper.verdict, cheap="opus-max"), dearer=True)
    one = replace(one, comparisons=(cheaper, dearer), tiers=(*one.tiers, tier("opus-max")))
    block = rule_of(one, settings(tmp_path))
    assert block.verdict is not None
    assert (block.verdict.cheap, block.verdict.id) == ("haiku", "run-7/haiku")


def test_no_rule_from_no_evidence_no_task_or_an_unknown_tier(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        rule_of(evaluation("not_enough"), settings(tmp_path))
    assert "About 120 more" in caught.value.hint
    one = evaluation()
    with pytest.raises(SuiteError, match="belongs to no task"):
        rule_of(replace(one, suite=replace(one.suite, task="")), settings(tmp_path))
    with pytest.raises(SuiteError) as caught:
        rule_of(evaluation(cheap="haikoo"), settings(tmp_path))
    assert "'haiku'" in caught.value.hint


def test_a_policy_that_changed_since_the_difference_was_shown_is_not_written_over(tmp_path: Path) -> None:
    made = settings(tmp_path)
    proposed = propose(rule_of(evaluation(), made), made)
    marked = [RuleBlock("coding", ["opus"], state="contradicted", note="shadow")]
    write_policy(made.policy_path, marked)
    with pytest.raises(ConfigError, match="changed since"):
        proposed.write()
    assert read_blocks(made.policy_path) == marked
    propose(rule_of(evaluation(), made), made).write()
    assert {block.task: block.state for block in read_blocks(made.policy_path)} == {
        "coding": "contradicted",
        "classification": None,
    }


@pytest.mark.parametrize(("found", "said"), [("keep", "switch"), ("switch", "keep")])
def test_no_rule_from_a_decision_that_no_comparison_bears_out(tmp_path: Path, found: str, said: str) -> None:
    altered = replace(evaluation(found), decision=said)
    with pytest.raises(SuiteError, match="no comparison in it says so"):
        rule_of(altered, settings(tmp_path))


def test_the_proposal_shows_the_difference_writes_it_whole_and_keeps_other_rules(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[[rule]]\ntask = "qa"\ntiers = ["sonnet"]\nnote = "by hand"\n')
    found = settings(tmp_path)
    one = replace(evaluation(), created=rfc3339(now_us()))  # a rule is in force until some months after
    proposed = propose(rule_of(one, found), found)
    assert '+task = "classification"' in proposed.diff()
    assert not (tmp_path / "policy.toml").read_text().count("classification")
    proposed.write()
    blocks = read_blocks(tmp_path / "policy.toml")
    assert [block.task for block in blocks] == ["classification", "qa"]
    again = settings(tmp_path)
    assert again.policy.rules["classification"].state == "measured"
    assert not propose(rule_of(one, again), again).changes
    expired = replace(blocks[0], verdict=replace(blocks[0].verdict, expires="2026-11-01"))
    propose(expired, again).write()
    assert settings(tmp_path).policy.rules["classification"].state == "expired"


def rows(task: str, n: int, asked: str = "auto", **over: Any) -> Iterator[dict[str, Any]]:
    usage = {
        "input": 1000,
        "cache_read": 0,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "output": 100,
        "reasoning": 0,
    }
    for _ in range(n):
        yield {"event": "open", "task": task}
        yield {
            "event": "close",
            "task": task,
            "tier": "sonnet",
            "asked": asked,
            "kind": "call",
            "usage": usage,
            "at": "2026-11-20T10:00:00Z",
            # Sonnet: 1,000 × $3/M + 100 × $15/M.
            "cost_pico": 4_500_000_000,
            **over,
        }


TODAY = "2026-11-22"


def block_of(folder: Path, one: Evaluation, task: str) -> RuleBlock:
    return replace(rule_of(one, settings(folder)), task=task)


def test_a_measured_move_to_a_cheaper_tier_saves_exactly_and_is_no_fault(tmp_path: Path) -> None:
    block = block_of(tmp_path, evaluation(reference="sonnet"), "coding")
    ledger = [
        *rows("coding", 10),
        *rows("coding", 5, asked="tier/opus"),
        *rows("qa", 5),
        *rows("coding", 1, kind="eval"),
    ]
    found = replay(ledger, [block], settings(tmp_path), TODAY)
    assert (found.calls, found.moved) == (20, 10)
    # Haiku: 1,000 × $1/M + 100 × $5/M = $0.0015 a call.
    assert found.delta_pico == 10 * (1_500_000_000 - 4_500_000_000)
    assert found.faults == ()
    assert found.quality is not None
    assert found.quality.value == pytest.approx(-0.01 * 10 / 20)
    assert found.quality.low == pytest.approx(-0.03 * 10 / 20)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": None}, "unmeasured"),
        ({"state": "contradicted"}, "contradicted"),
        ({"expires": "2026-11-01"}, "expired on 2026-11-01"),
        ({"decision": "keep"}, "says keep"),
        ({"reference": "opus"}, "not of haiku against sonnet"),
        ({"tested": {"haiku": "agg/older"}}, "haiku was agg/older when measured"),
    ],
)
def test_a_move_that_evidence_does_not_carry_is_a_fault(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    block = block_of(tmp_path, evaluation(reference="sonnet"), "coding")
    if "verdict" in change or "state" in change:
        block = replace(block, **change)
    else:
        block = replace(block, verdict=replace(block.verdict, **change))
    found = replay(rows("coding", 3), [block], settings(tmp_path), TODAY)
    assert any(words in fault for fault in found.faults)


def test_dearer_is_a_fault_and_the_same_policy_is_none(tmp_path: Path) -> None:
    dearer = RuleBlock("coding", ["opus"])
    found = replay(rows("coding", 2), [dearer], settings(tmp_path), TODAY)
    assert found.delta_pico == 2 * (7_500_000_000 - 4_500_000_000)
    assert found.faults == ("the new policy is dearer",)
    same = replay(rows("coding", 2), [RuleBlock("coding", ["sonnet", "opus"])], settings(tmp_path), TODAY)
    assert (same.moved, same.delta_pico, same.faults) == (0, 0, ())


def test_unpriced_calls_are_not_counted_as_free(tmp_path: Path) -> None:
    block = block_of(tmp_path, evaluation(reference="sonnet"), "coding")
    found = replay(rows("coding", 2, cost_pico=None), [block], settings(tmp_path), TODAY)
    assert found.unpriced == 2
    assert "2 calls could not be priced" in found.faults


def test_calls_the_new_tier_served_already_do_not_move(tmp_path: Path) -> None:
    block = block_of(tmp_path, evaluation(reference="sonnet"), "coding")
    found = replay([*rows("coding", 3), *rows("coding", 4, tier="haiku")], [block], settings(tmp_path), TODAY)
    assert (found.calls, found.moved) == (7, 3)


def test_a_verdict_says_nothing_of_calls_that_a_third_tier_served(tmp_path: Path) -> None:
    block = block_of(tmp_path, evaluation(reference="sonnet"), "coding")
    ledger = [*rows("coding", 3), *rows("coding", 2, tier="opus", cost_pico=7_500_000_000)]
    found = replay(ledger, [block], settings(tmp_path), TODAY)
    [move] = found.tasks
    assert (move.calls, move.others, found.faults) == (5, 2, ())
    assert found.delta_pico == 5 * 1_500_000_000 - 3 * 4_500_000_000 - 2 * 7_500_000_000
    assert move.quality is not None
    assert found.quality is None


def test_a_policy_file_that_drops_a_rule_sends_its_task_back_to_where_it_begins(tmp_path: Path) -> None:
    write_policy(tmp_path / "policy.toml", [RuleBlock("coding", ["haiku"])])
    known = settings(tmp_path)
    found = replay(rows("coding", 3, tier="haiku"), whole_file([], known), known, TODAY)
    [move] = found.tasks
    assert (move.task, move.old, move.new, move.calls) == ("coding", "haiku", "sonnet", 3)


def test_going_back_up_gains_what_the_rule_in_force_says_it_lost(tmp_path: Path) -> None:
    block = block_of(tmp_path, evaluation(reference="sonnet"), "coding")
    write_policy(tmp_path / "policy.toml", [block])
    known = settings(tmp_path)
    assert block.verdict is not None
    low, high = block.verdict.interval
    found = replay(rows("coding", 3, tier="haiku"), whole_file([], known), known, TODAY)
    assert found.quality is not None
    assert (found.quality.value, found.quality.low, found.quality.high) == (0.01, -high, -low)
    # It backs no move down: a rule has to cite its verdict itself.
    write_policy(tmp_path / "policy.toml", [replace(block, tiers=["sonnet", "opus"])])
    down = replay(rows("coding", 3), [RuleBlock("coding", ["haiku"])], settings(tmp_path), TODAY)
    assert down.faults == ("coding: haiku is unmeasured for it",)
