"""Which alarm of shadow.json is told of a rule."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tierwise.config import RuleBlock, VerdictBlock, read_blocks, write_policy
from tierwise.config.shadowfile import contradict, shadow_by_task, write_shadow
from tierwise.judging.alarm import Record, Watch
from tierwise.nouns import Rule


def alarm(since: str, served: str, verdict: str, contradicted: str = "") -> Record:
    watch = Watch("qa", served, "opus", served, verdict=verdict)
    return Record(watch, since, scores={"1": 3}, contradicted=contradicted)


def test_rules_that_are_contradicted_at_once_are_all_marked(tmp_path: Path) -> None:
    """Several gateways, or two tasks of one: none may write what it read before the other wrote."""
    path = tmp_path / "policy.toml"
    write_policy(path, [RuleBlock(f"t{n}", ["haiku"]) for n in range(20)])
    with ThreadPoolExecutor(20) as several:
        found = several.map(lambda n: contradict(path, Rule(f"t{n}", ("haiku",)), ("opus",), "no"), range(20))
    assert all(found)
    assert {(block.state, *block.tiers) for block in read_blocks(path)} == {("contradicted", "opus")}
    assert [each.name for each in tmp_path.iterdir()] == ["policy.toml"]


def test_a_rule_that_was_measured_anew_meanwhile_is_not_marked(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    verdict = VerdictBlock("switch", 0.0, (-0.02, 0.02), 0.9, 200, "Tango", "2026-11-23", id="new")
    write_policy(path, [RuleBlock("qa", ["haiku"], verdict)])
    before = path.read_text()
    for cited in ("old", None):
        assert not contradict(path, Rule("qa", ("haiku",), "measured", verdict=cited), ("opus",), "no")
    assert path.read_text() == before
    assert contradict(path, Rule("qa", ("haiku",), "measured", verdict="new"), ("opus",), "no")


def test_an_alarm_is_told_of_the_verdict_it_tests_and_of_no_later_one(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    unmeasured = alarm("2026-11-01", "haiku", "")
    first = alarm("2026-11-02", "haiku", "v1", "2026-11-03")
    after = alarm("2026-11-03", "sonnet", "v1")
    write_shadow(path, [after, first, unmeasured])
    for rule, told in (
        (Rule("qa", ("haiku", "opus")), unmeasured),
        (Rule("qa", ("opus",)), None),
        (Rule("qa", ("sonnet", "opus"), "contradicted", verdict="v1"), after),
        (Rule("qa", ("opus",), "contradicted", verdict="v1"), first),
        (Rule("qa", ("haiku", "opus"), "measured", verdict="v2"), None),
        (Rule("qa", ("opus",), "measured", verdict="v2"), None),
        (Rule("other", ("haiku",)), None),
    ):
        assert shadow_by_task(path, {rule.task: rule}).get("qa") == told
