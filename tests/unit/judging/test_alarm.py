"""The alarm on a rule: what agreement is, when it contradicts, and that it survives being put away."""

from __future__ import annotations

import math
import random

import msgspec
import pytest

from tierwise.errors import SuiteError
from tierwise.judging.alarm import Alarm, Bets, Record, Said, Watch, agreement, allowance_of, compare
from tierwise.judging.sequential import EProcess
from tierwise.nouns import Counts, Score

WATCH = Watch("classification", "haiku", "opus", served="haiku")
RIGHT, WRONG = Score(1.0), Score(0.0)


def fed(alarm: Alarm, values: list[float]) -> list[bool]:
    return [alarm.add(Score(value), f"2026-11-22T00:00:{n:02d}Z") for n, value in enumerate(values)]


@pytest.mark.parametrize(
    ("cheap", "reference", "value"),
    [
        ("Billing", "**billing.**", 1.0),
        ("Billing", "Technical", 0.0),
        ('{"a": 1, "b": [2]}', '{"b":[2],"a":1}', 1.0),
        ('```json\n{"a": 1}\n```', '{"a": 1}', 1.0),
        ('{"a": 2}', '{"a": 1}', 0.0),
        ("", "Billing", 0.0),
    ],
)
def test_agreement_is_the_same_words_or_the_same_json(cheap: str, reference: str, value: float) -> None:
    assert compare(Said(cheap), Said(reference), agreement()).value == value


def test_a_configured_scorer_takes_the_references_answer_as_its_target() -> None:
    near = agreement('numeric:{"tolerance": 0.1}')
    assert compare(Said("about 3.05"), Said("3"), near).value == 1.0
    assert compare(Said("3.2"), Said("3"), near).value == 0.0
    with pytest.raises(SuiteError, match="numerik"):
        agreement("numerik")
    with pytest.raises(SuiteError):
        agreement("numeric:{oops}")


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_score_outside_0_to_1_proves_nothing(value: float) -> None:
    assert compare(Said("a"), Said("a"), lambda *_: Score(value)).value is None


def test_tool_calls_are_compared_by_name_and_arguments() -> None:
    def call(arguments: str) -> Said:
        return Said(msgspec.json.encode([{"name": "find", "arguments": arguments}]).decode(), calls=True)

    judge = agreement()
    assert compare(call('{"q": 1, "r": 2}'), call('{"r":2,"q":1}'), judge) == RIGHT
    assert compare(call('{"q": 1}'), call('{"q": 2}'), judge) == WRONG
    assert compare(Said("I found nothing"), call('{"q": 1}'), judge).value == 0.0
    assert compare(call('{"q": 1}'), Said("nothing to call"), judge).value == 0.0
    assert compare(call('{"q": 1}'), Said(""), judge).value == 0.0


def test_a_cut_or_refused_answer_is_the_cheap_tiers_fault_and_no_measure_of_the_references() -> None:
    judge = agreement()
    assert compare(Said("Bil", outcome="truncated"), Said("Billing"), judge).value == 0.0
    assert compare(Said("no", outcome="refused"), Said("Billing"), judge).value == 0.0
    assert compare(Said("Billing"), Said("Bil", outcome="truncated"), judge).value is None
    assert compare(Said("Billing"), Said(" "), judge).value is None


def test_it_contradicts_once_when_disagreement_goes_on() -> None:
    alarm = Alarm(WATCH, "2026-11-22")
    said = fed(alarm, [1, 0] * 30)
    assert said.count(True) == 1
    n = said.index(True) + 1
    # Half the money is at work from the start: a single bettor needs ln 2 less.
    process = EProcess(0.05)
    reached = []
    for d in [0, -1] * 30:
        process.add(d)
        reached.append(process.ln_keep)
    assert reached[n - 1] >= math.log(20) > reached[n - 1] - math.log(2) - 0.6
    record = alarm.record()
    assert record.contradicted == f"2026-11-22T00:00:{n - 1:02d}Z"
    assert record.n == 60
    assert record.agreement == 0.5
    assert "contradict, 2026-11-22" in record.sentence()


def test_the_first_hundred_pairs_are_one_bettor_with_half_the_money() -> None:
    bets, process = Bets(0.05), EProcess(0.05)
    for d in [0, 0, -1, 0, -1] * 20:
        found = bets.add(d)
        process.add(d)
        assert math.exp(found) == pytest.approx(0.5 * math.exp(process.ln_keep) + 0.5)


def test_a_change_after_a_long_good_time_is_still_seen() -> None:
    alarm = Alarm(WATCH, "s")
    assert not any(fed(alarm, [1.0] * 5_000))
    said = fed(alarm, [1, 0] * 60)
    assert said.index(True) < 100
    alone = EProcess(0.05)
    alone.add_all([0.0] * 5_000)
    alone.add_all([0, -1] * 60)
    assert alone.ln_keep < 0


def test_a_rule_that_serves_the_dearer_tier_is_never_contradicted_by_disagreement() -> None:
    alarm = Alarm(msgspec.structs.replace(WATCH, served="opus"), "2026-11-22")
    assert not any(fed(alarm, [0] * 60))
    assert alarm.record().contradicted == ""
    assert "show haiku within the margin" in alarm.record().sentence()
    fed(alarm, [1.0] * 60)
    assert "e = 0.0005 of the 20" in alarm.record().sentence()
    sure = msgspec.structs.replace(alarm.record(), ln_e_switch=1e9)
    assert "e = over a million of the 20" in sure.sentence()


def test_unscored_pairs_are_counted_and_prove_nothing() -> None:
    alarm = Alarm(WATCH, "2026-11-22")
    assert not any(alarm.add(Score(None, "why"), "2026-11-22") for _ in range(500))
    record = alarm.record()
    assert (record.n, record.unscored, record.agreement, record.ln_e_keep) == (0, 500, None, 0.0)
    assert "no pair" in record.sentence()


@pytest.mark.parametrize("cut", [1, 7, 39])
def test_put_away_and_taken_up_again_it_is_the_same(cut: int) -> None:
    draw = random.Random(cut)
    values = [draw.choice([0.0, 0.333, 0.5, 1.0, 1.0, 1.0]) for _ in range(60)]
    whole = Alarm(WATCH, "s")
    broken = Alarm(WATCH, "s")
    at_once = fed(whole, values)
    first = fed(broken, values[:cut])
    kept = msgspec.json.decode(msgspec.json.encode(broken.record()), type=Record)
    again = Alarm(WATCH, "later", kept)
    then = [again.add(Score(v), f"2026-11-22T00:00:{n + cut:02d}Z") for n, v in enumerate(values[cut:])]
    assert first + then == at_once
    one, other = whole.record(), again.record()
    assert (one.scores, one.since, one.contradicted) == (other.scores, other.since, other.contradicted)
    assert other.ln_e_keep == pytest.approx(one.ln_e_keep)
    assert other.peak_keep == pytest.approx(one.peak_keep)
    assert (other.ln_e_switch, other.peak_switch) == pytest.approx((one.ln_e_switch, one.peak_switch))


def test_the_order_scores_are_kept_in_is_no_evidence() -> None:
    alarm = Alarm(WATCH, "s")
    fed(alarm, [1, 0] * 100)
    again = Alarm(WATCH, "s", alarm.record())
    assert again.record().peak_switch == alarm.record().peak_switch < 1


def test_scores_are_rounded_toward_the_rule() -> None:
    alarm = Alarm(WATCH, "s")
    fed(alarm, [0.12345, 0.9999])
    assert alarm.record().scores == {"0.124": 1, "1": 1}


def test_what_the_verdict_explains_is_allowed() -> None:
    # 6 of 100 differ though the cheap tier loses nothing: 3 only it had right, 3 only the reference.
    assert allowance_of(Counts(90, 3, 3, 4)) == 0.1
    assert allowance_of(None) == 0
    plain, allowed = (
        Alarm(msgspec.structs.replace(WATCH, allowance=allowance), "s") for allowance in (0.0, 0.1)
    )
    pairs = [0.0 if n % 8 == 0 else 1.0 for n in range(1200)]
    assert any(plain.add(Score(value), "t") for value in pairs)
    assert not any(allowed.add(Score(value), "t") for value in pairs)
