"""policy.toml: read strictly, written so that it reads back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec import structs

from tierwise.config import (
    RuleBlock,
    VerdictBlock,
    load,
    read_blocks,
    read_policy,
    write_policy,
)
from tierwise.errors import ConfigError
from tierwise.nouns import Bar, Decision, Task, Tier

TIERS = {name: Tier(name, f"agg/{name}") for name in ("haiku", "sonnet", "opus")}
VERDICT = VerdictBlock(
    decision="switch",
    difference=-0.01,
    interval=(-0.035, 0.0142),
    level=0.9,
    n=500,
    method="tango",
    date="2026-11-20",
    id="v1",
    expires="2027-02-20",
    margin=0.05,
    alpha=0.05,
    counts=(400, 20, 24, 56),
    seed=7,
    ln_e_switch=3.482723,
    cheap="haiku",
    reference="opus",
    dataset_hash="abc",
    prompt_hash="def",
    models={"haiku": "agg/anthropic/claude-haiku-4"},
    prices={"haiku": "published:x@2026-04"},
    reasons=['said "so"'],
)
BLOCKS = [RuleBlock("coding", ["sonnet", "opus"]), RuleBlock("classification", ["haiku", "opus"], VERDICT)]


def test_what_is_written_reads_back_the_same(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    text = write_policy(path, BLOCKS)
    assert path.read_text() == text
    assert read_blocks(path, TIERS) == sorted(BLOCKS, key=lambda block: block.task)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_and_its_file_keeps_its_permissions(tmp_path: Path) -> None:
    kept, path = tmp_path / "git" / "policy.toml", tmp_path / "policy.toml"
    kept.parent.mkdir()
    path.symlink_to(kept)
    write_policy(path, BLOCKS)
    assert kept.stat().st_mode & 0o777 == 0o644
    kept.chmod(0o640)
    assert write_policy(path, BLOCKS[:1]) == kept.read_text()
    assert path.is_symlink()
    assert kept.stat().st_mode & 0o777 == 0o640
    assert list(kept.parent.iterdir()) == [kept]


def test_a_file_that_is_read_only_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "policy.toml"
    text = write_policy(path, BLOCKS)
    # root may write everything
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(ConfigError, match=r"policy\.toml cannot be written: it is read-only\."):
        write_policy(path, BLOCKS[:1])
    assert path.read_text() == text


def test_a_rule_says_its_evidence(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    write_policy(path, BLOCKS)
    rules = read_policy(path, TIERS, "2026-11-22")
    measured, by_hand = rules["classification"], rules["coding"]
    assert (measured.state, measured.verdict, measured.expires) == ("measured", "v1", "2027-02-20")
    for words in ("good enough", "-0.010", "90%", "n 500", "opus"):
        assert words in measured.evidence
    assert by_hand.state == "prior"
    assert "unmeasured" in by_hand.evidence


@pytest.mark.parametrize(("today", "state"), [("2027-02-19", "measured"), ("2027-02-20", "expired")])
def test_a_verdict_expires(tmp_path: Path, today: str, state: str) -> None:
    path = tmp_path / "policy.toml"
    write_policy(path, BLOCKS)
    assert read_policy(path, TIERS, today)["classification"].state == state


@pytest.mark.parametrize(
    ("tier", "words"),
    [
        (Tier("haiku", "agg/other"), "haiku was agg/haiku when measured and is agg/other now"),
        (Tier("haiku", "agg/haiku", {"top_p": 1, "seed": 2}), 'is agg/haiku {"seed": 2, "top_p": 1} now'),
        (Tier("opus", "agg/newer"), "opus was agg/opus"),
    ],
)
def test_a_verdict_is_of_the_tiers_as_they_were_measured(tmp_path: Path, tier: Tier, words: str) -> None:
    path = tmp_path / "policy.toml"
    verdict = structs.replace(VERDICT, tested={"haiku": "agg/haiku", "opus": "agg/opus", "gone": "agg/gone"})
    write_policy(path, [RuleBlock("classification", ["haiku", "opus"], verdict)])
    assert read_policy(path, TIERS, "2026-11-22")["classification"].state == "measured"
    rule = read_policy(path, {**TIERS, tier.name: tier}, "2026-11-22")["classification"]
    assert (rule.state, rule.expires, rule.verdict) == ("expired", None, "v1")
    assert words in rule.evidence
    assert "before: good enough" in rule.evidence


@pytest.mark.parametrize(
    ("decision", "bar", "words"),
    [
        ("switch", Bar(), ""),
        ("switch", Bar(margin=0.04), ""),  # its interval ends above that too
        ("switch", Bar(margin=0.035), "the margin was 0.05 when measured and is 0.035 now"),
        ("switch", Bar(alpha=0.01), "alpha was 0.05 when measured and is 0.01 now"),
        ("switch", Bar(margin=0.1, alpha=0.1), ""),
        ("keep", Bar(margin=0.01, alpha=0.01), ""),
    ],
)
def test_a_verdict_speaks_for_the_bar_it_meets(
    tmp_path: Path, decision: Decision, bar: Bar, words: str
) -> None:
    path = tmp_path / "policy.toml"
    verdict = structs.replace(VERDICT, decision=decision)
    first = "haiku" if decision == "switch" else "opus"
    write_policy(path, [RuleBlock("classification", [first], verdict)])
    tasks = {"classification": Task("classification", bar=bar)}
    rule = read_policy(path, TIERS, "2026-11-22", tasks)["classification"]
    assert rule.state == ("expired" if words else "measured")
    assert words in rule.evidence


@pytest.mark.parametrize(
    ("decision", "tiers", "state"),
    [
        ("switch", ["haiku", "sonnet", "opus"], "measured"),
        ("switch", ["sonnet", "opus"], "prior"),
        ("switch", ["opus"], "prior"),
        ("keep", ["opus"], "measured"),
        ("keep", ["haiku", "opus"], "prior"),
        ("not_enough", ["haiku", "opus"], "prior"),
    ],
)
def test_a_tier_put_first_by_hand_is_not_what_the_verdict_speaks_for(
    tmp_path: Path, decision: Decision, tiers: list[str], state: str
) -> None:
    path = tmp_path / "policy.toml"
    verdict = structs.replace(VERDICT, decision=decision)
    write_policy(path, [RuleBlock("classification", tiers, verdict)])
    rule = read_policy(path, TIERS, "2026-11-22")["classification"]
    assert rule.state == state
    assert rule.evidence.startswith("unmeasured (set by hand)") is (state == "prior")
    write_policy(path, [RuleBlock("classification", tiers, verdict, "contradicted", "shadow said so")])
    assert read_policy(path, TIERS, "2026-11-22")["classification"].state == "contradicted"


def test_the_file_outranks_the_prior_for_its_tasks_only(tmp_path: Path) -> None:
    config = tmp_path / "tierwise.toml"
    config.write_text(
        '[[provider]]\nname="agg"\ndialect="openai_chat"\nbase_url="http://127.0.0.1:1"\n'
        'models=["claude-haiku-4","claude-sonnet-4.6","claude-opus-4.7"]\n'
    )
    before = load(config, {}).policy
    write_policy(tmp_path / "policy.toml", [RuleBlock("coding", ["opus"], VERDICT)])
    after = load(config, {}).policy
    assert after.rules["coding"].tiers == ("opus",)
    assert after.rules["qa"] == before.rules["qa"]
    assert after.hash != before.hash


def test_no_file_is_no_rules(tmp_path: Path) -> None:
    assert read_policy(tmp_path / "policy.toml", TIERS, "2026-11-22") == {}


GOOD = '[[rule]]\ntask = "coding"\ntiers = ["opus"]\n'
BLOCK = (
    '[rule.verdict]\ndecision="switch"\ndifference=0.0\ninterval=[0.0,0.0]\nlevel=0.9\nn=1\nmethod="tango"\n'
    'date="2026-11-20"\n'
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("tiers", "tires"), ["'tires'", "'tiers'"]),
        (GOOD.replace("opus", "opsu"), ["'opsu'", "'opus'"]),
        (GOOD + GOOD, ["a rule already"]),
        (GOOD.replace('["opus"]', "[]"), ["no tiers"]),
        (GOOD + BLOCK + "ln_e_swich = 1.0\n", ["'ln_e_swich'", "'ln_e_switch'"]),
        (GOOD + BLOCK.replace("switch", "swich"), ["rule[0].verdict.decision"]),
        (GOOD + BLOCK.replace("2026-11-20", "yesterday"), ["verdict.date", "yesterday"]),
        (GOOD + BLOCK.replace("2026-11-20", "20261120"), ["verdict.date", "20261120", "2026-12-01"]),
        (GOOD + BLOCK.replace("n=1", "n='1'"), ["rule[0].verdict.n"]),
        ("[rules]\n", ["'rules'", "'rule'"]),
        (GOOD.replace('["opus"]', '["opus", "opus"]'), ["names a tier twice"]),
        (GOOD + BLOCK.replace("difference=0.0", "difference=nan"), ["verdict.difference is nan"]),
        (GOOD + BLOCK.replace("[0.0,0.0]", "[0.1,-0.1]"), ["verdict.interval is (0.1, -0.1)"]),
        (GOOD + BLOCK.replace("[0.0,0.0]", "[0.0,inf]"), ["verdict.interval"]),
        (GOOD + BLOCK.replace("[0.0,0.0]", "[0.0]"), ["verdict.interval: expected a list of 2, got 1"]),
        (GOOD + BLOCK.replace("level=0.9", "level=90"), ["verdict.level is 90.0"]),
        (GOOD + BLOCK.replace("n=1", "n=-1"), ["verdict.n is -1"]),
        (GOOD + BLOCK + "counts = [1, 2, -3, 4]\n", ["verdict.counts"]),
        (GOOD + BLOCK + "ln_e_switch = nan\n", ["verdict.ln_e_switch is nan"]),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_policy(path, TIERS, "2026-11-22")
    assert [word for word in ["policy.toml", *words] if word not in caught.value.sentence()] == []
