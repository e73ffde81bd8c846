"""From Trials to the decision: verdicts, money, latency, several tiers, several suites, running looks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from tierwise.errors import SuiteError, UpstreamTimeout
from tierwise.judging import judge_pairs
from tierwise.judging.decision import Terms as JudgingTerms
from tierwise.lab.compare import Seen, evaluate_seen, holm_over_suites, slower_ms
from tierwise.lab.results import Evaluation
from tierwise.lab.running.looking import Look, Looking
from tierwise.lab.running.order import ordered
from tierwise.lab.running.plan import bill, warnings_of, what_n_shows
from tierwise.lab.running.replies import Reply
from tierwise.lab.running.runner import Work
from tierwise.lab.running.tally import pairs_of
from tierwise.nouns import Bar, Case, Suite, Usage
from unit.lab.made import Fake, accurate, manifest, runner, suite

QUICK = Work(jobs=8, backoff_s=0.0, retries=0)


async def judged(folder: Path, found: Suite, tiers: list[Fake], **terms: Any) -> tuple[Evaluation, Any]:
    """Runs and judges; the tiers from cheap to dear, the last one the reference."""
    made = runner(folder, found, tiers, QUICK, terms.get("repeats", 1))
    await made.run()
    made.folder.close()
    card = manifest(found, tiers, tiers[-1].card.name, **terms)
    cheap = tuple(tier.card.name for tier in tiers[:-1])
    return evaluate_seen(Seen(card, found.cases, made.tallies, cheap)), made


def scripted(right: Callable[[int], bool]) -> Callable[[str, int], str]:
    return lambda id_, repeat: "right" if right(int(id_[1:])) else "wrong"


async def test_counts_difference_and_decision_are_those_of_the_vectors(tmp_path: Path) -> None:
    # (20, 24, 456): e-value and interval both say switch.
    cheap = Fake("cheap", scripted(lambda i: i >= 24), cost=1000)
    dear = Fake("dear", scripted(lambda i: not 24 <= i < 44), cost=5000)
    found, _ = await judged(tmp_path, suite(500), [cheap, dear])
    verdict = found.comparisons[0].verdict
    assert verdict.counts is not None
    assert (verdict.counts.cheap_only, verdict.counts.ref_only) == (20, 24)
    assert verdict.interval == pytest.approx((-0.0305, 0.0142), abs=1e-4)
    assert verdict.ln_e_switch == pytest.approx(3.482723, abs=1e-4)
    assert (found.decision, found.chosen) == ("switch", "cheap")
    assert found.spent_pico == 500 * 6000
    compared = found.comparisons[0]
    assert compared.saving_pico == 4000
    # L* = (5000 − 1000)/(480/500 − 476/500) pico-dollars.
    assert compared.break_even_pico == pytest.approx(500_000, abs=1)
    assert found.tier("cheap").per_success.pico == round(500_000 / 476)
    assert found.tier("cheap").per_case_pico == 1000
    assert compared.slower_ms.value == 0
    assert (compared.missing, compared.disagreements, compared.dearer) == (0, 44, False)
    assert found.tier("dear").total_p99_ms == 2


def test_how_much_slower_is_told_by_ranks_of_the_paired_gaps() -> None:
    def timed(times: list[int]) -> Any:
        return SimpleNamespace(total_us=times)

    gaps = list(range(1, 101))
    random.Random(1).shuffle(gaps)
    other = [random.Random(gap).randrange(10**6) for gap in gaps]
    mine = [time + gap * 1000 for time, gap in zip(other, gaps, strict=True)]
    # One of the two was not timed: no gap. The interval leaves 39 of 100 out on either side.
    found = slower_ms(timed([*mine, -1, 7]), timed([*other, 7, -1]))
    assert (found.low, found.high) == (40, 61)
    assert found.value == 50.5
    assert slower_ms(timed(other), timed(mine)).low == -61
    few = slower_ms(timed(mine[:7]), timed(other[:7]))
    assert (few.value is not None, few.low, few.high) == (True, None, None)


async def test_keep_and_beyond_the_refusal(tmp_path: Path) -> None:
    tiers = [Fake("cheap", scripted(lambda i: i % 3 > 0)), Fake("dear", scripted(lambda i: True))]
    found, _ = await judged(tmp_path, suite(150), tiers)
    assert (found.decision, found.chosen) == ("keep", "dear")
    assert found.comparisons[0].beyond_refuse


async def test_not_enough_says_how_many_more_and_what_they_cost(tmp_path: Path) -> None:
    cheap = Fake("cheap", scripted(lambda i: i >= 6 or i < 0))
    dear = Fake("dear", scripted(lambda i: not 6 <= i < 9))
    found, _ = await judged(tmp_path, suite(100), [cheap, dear])
    assert found.decision == "not_enough"
    [compared] = found.comparisons
    assert compared.verdict.more_cases
    assert compared.more_pico == compared.verdict.more_cases * 2000


async def test_a_tier_that_fails_on_every_case_gives_no_verdict(tmp_path: Path) -> None:
    broken = Fake("cheap", lambda id_, repeat: UpstreamTimeout("never"))
    broken.free = True
    tiers = [broken, Fake("dear", accurate(1, 1))]
    with pytest.raises(SuiteError, match="answered none of 40 Cases"):
        await judged(tmp_path, suite(40), tiers)


async def test_nothing_scored_is_an_error_and_a_few_unscored_are_told(tmp_path: Path) -> None:
    found = suite(60)
    tiers = [Fake("cheap", accurate(1, 1)), Fake("dear", accurate(1, 1))]
    made = runner(tmp_path, found, tiers, QUICK)

    def odd(case: Case, answer: str) -> Any:
        return 10 if case.id == "q3" else True

    made._judge = odd
    await made.run()
    made.folder.close()
    card = manifest(found, tiers, "dear")
    result = evaluate_seen(Seen(card, found.cases, made.tallies, ("cheap",)))
    assert result.comparisons[0].verdict.n == 59
    assert result.comparisons[0].missing == 1
    assert any("unscored" in note and "outside 0..1" in note for note in result.notes)

    silent = runner(tmp_path / "other", found, tiers, QUICK)
    silent._judge = lambda case, answer: None  # type: ignore[assignment,return-value]
    await silent.run()
    silent.folder.close()
    with pytest.raises(SuiteError, match="could be scored"):
        evaluate_seen(Seen(card, found.cases, silent.tallies, ("cheap",)))


async def test_infrastructure_above_two_percent_is_no_verdict(tmp_path: Path) -> None:
    cheap = Fake("cheap", lambda id_, repeat: UpstreamTimeout("x") if id_ in ("q1", "q2", "q3") else "right")
    found, _ = await judged(tmp_path, suite(100), [cheap, Fake("dear", accurate(1, 1))])
    assert found.decision == "not_enough"
    assert any("3 of 100" in reason for reason in found.comparisons[0].verdict.reasons)


def width(span: Any) -> float:
    return float(span.high - span.low)


async def test_repeats_and_clusters_do_not_make_a_tier_s_own_intervals_narrower(tmp_path: Path) -> None:
    """Three times the same answer is one answer; ten Cases of a document that share their fate are one."""
    tiers = [Fake("cheap", scripted(lambda i: i % 5 > 0), cost=1000), Fake("dear", accurate(1, 1), cost=5000)]
    once, _ = await judged(tmp_path / "once", suite(60), tiers)
    thrice, _ = await judged(tmp_path / "thrice", suite(60), tiers, repeats=3)
    first, third = once.tier("cheap"), thrice.tier("cheap")
    assert (third.scored, third.score.value, third.per_case_pico) == (180, 0.8, 1000)
    assert width(third.score) >= 0.95 * width(first.score)
    assert width(third.per_success) >= 0.95 * width(first.per_success)
    assert thrice.tier("dear").score.low == once.tier("dear").score.low
    grouped = structs.replace(
        suite(200),
        cases=tuple(structs.replace(c, cluster=f"d{i // 10}") for i, c in enumerate(suite(200).cases)),
    )
    whole = [Fake("cheap", scripted(lambda i: i // 10 % 5 > 0), cost=1000), tiers[1]]
    score = (await judged(tmp_path / "grouped", grouped, whole))[0].tier("cheap").score
    apart = (await judged(tmp_path / "apart", suite(200), whole))[0].tier("cheap").score
    assert width(score) > 2.5 * width(apart)


async def test_too_few_clusters_cannot_say(tmp_path: Path) -> None:
    tiers = [Fake("cheap", accurate(1, 1)), Fake("dear", accurate(1, 1))]
    found, _ = await judged(tmp_path, suite(90, clusters=9), tiers)
    assert found.decision == "not_enough"
    assert any("9 clusters are too few" in reason for reason in found.comparisons[0].verdict.reasons)
    assert "9 clusters" in warnings_of(suite(90, 9).cases, 9, Bar())[0]


def test_questions_that_come_again_are_told_before_anything_is_spent() -> None:
    cases = [*suite(30).cases, *(structs.replace(case, id=f"again {case.id}") for case in suite(2).cases)]
    [warning] = warnings_of(cases, None, Bar())
    assert "2 Cases ask just what another one does" in warning
    assert warnings_of(cases, 12, Bar()) == warnings_of(suite(30).cases, None, Bar()) == ()


async def test_agreement_is_called_so(tmp_path: Path) -> None:
    tiers = [Fake("cheap", accurate(1, 1)), Fake("dear", accurate(1, 1))]
    made = runner(tmp_path, suite(90), tiers, QUICK)
    await made.run()
    made.folder.close()
    card = manifest(suite(90), tiers, "dear")
    from msgspec.structs import replace

    card = replace(card, suite=replace(card.suite, labels="reference"))
    found = evaluate_seen(Seen(card, made.order, made.tallies, ("cheap",)))
    assert "agreement" in found.comparisons[0].verdict.method
    assert any("agreement" in reason for reason in found.comparisons[0].verdict.reasons)


async def test_cached_answers_are_not_timed_nor_priced(tmp_path: Path) -> None:
    def said(id_: str, repeat: int) -> Reply:
        cached = int(id_[1:]) < 30
        cost = 0 if cached else 1000
        return Reply(
            "right",
            "ok",
            Usage(1, output=1),
            cost,
            1 if cached else 9000,
            None if cached else 3000,
            cached=cached,
        )

    tiers = [Fake("cheap", said), Fake("dear", accurate(1, 1))]
    found, _ = await judged(tmp_path, suite(100), tiers)
    cheap = found.tier("cheap")
    assert (cheap.total_p50_ms, cheap.ttft_p50_ms, cheap.cached) == (9, 3, 30)
    assert cheap.per_case_pico == 1000
    assert cheap.cost_pico == 70 * 1000


async def test_a_tier_that_several_models_answered_for_is_told(tmp_path: Path) -> None:
    """A fallback of the gateway that was asked, or a provider that changed its model amid the run."""

    def answer(id_: str, repeat: int) -> Reply:
        model = "new" if id_ == "q7" else "old"
        return Reply("right", "ok", Usage(10, output=5), 1000, 2000, 1000, served=model)

    found, _ = await judged(tmp_path, suite(100), [Fake("cheap", answer), Fake("dear", accurate(1, 1))])
    assert [note for note in found.notes if "not one model" in note] == [
        "cheap was not one model: new, old answered, and the figures are of them together."
    ]


async def test_unpriced_is_unknown_not_zero(tmp_path: Path) -> None:
    tiers = [Fake("cheap", accurate(1, 1), cost=None), Fake("dear", accurate(1, 1))]
    found, _ = await judged(tmp_path, suite(100), tiers)
    assert found.tier("cheap").cost_pico is None
    assert found.spent_pico is None
    assert found.comparisons[0].break_even_pico is None
    assert any("could not be priced" in note for note in found.notes)


async def test_tiers_are_tested_from_dear_to_cheap_and_the_first_failure_stops(tmp_path: Path) -> None:
    tiers = [
        Fake("a", scripted(lambda i: True)),
        Fake("b", scripted(lambda i: i % 4 > 0)),
        Fake("c", scripted(lambda i: True)),
    ]
    found, _ = await judged(tmp_path, suite(200), tiers)
    first, second = found.comparisons
    assert (first.verdict.decision, first.standing) == ("switch", False)
    assert (second.verdict.decision, second.standing) == ("keep", True)
    assert "b" in first.why_not
    assert found.decision != "switch"


async def test_several_suites_take_more_evidence_each(tmp_path: Path) -> None:
    def close_call() -> list[Fake]:
        # (6, 5, 89): switch at alpha 0.05, not at 0.05/3.
        return [Fake("cheap", scripted(lambda i: i >= 5)), Fake("dear", scripted(lambda i: not 5 <= i < 11))]

    results = [await judged(tmp_path / str(k), suite(100), close_call()) for k in range(3)]
    evaluations = [found for found, _ in results]
    assert [one.decision for one in evaluations] == ["switch"] * 3
    pairs = [
        {"cheap": pairs_of(made.tallies["cheap"], made.tallies["dear"], made.order)} for _, made in results
    ]
    held = holm_over_suites(evaluations, pairs)
    assert [one.decision for one in held] == ["not_enough"] * 3
    assert all("Holm" in one.comparisons[0].why_not for one in held)
    alone = holm_over_suites(evaluations[:1], pairs[:1])
    assert alone[0].decision == "switch"


def test_the_order_is_drawn_by_seed_and_grows_at_its_end() -> None:
    found = suite(50).cases
    assert ordered(found, 1) == ordered(found, 1) != ordered(found, 2)
    assert ordered(found, 1, 10) == ordered(found, 1, 20)[:10]
    clustered = ordered(suite(60, clusters=12).cases, 3, 11)
    assert len(clustered) == 15
    assert len({case.cluster for case in clustered}) == 3
    assert [c.cluster for c in clustered] == sorted(
        (c.cluster for c in clustered), key=[c.cluster for c in clustered].index
    )


def test_what_n_shows_and_the_bill() -> None:
    shown = {each.discordance: each.needed for each in what_n_shows(100, Bar())}
    assert shown == {0.05: 128, 0.10: 256, 0.20: 510}
    from unit.lab.made import PRICE

    cases = [Case("1", "abcdefg", "x" * 35, messages=({"role": "user", "content": "abcdefg"},))]
    # 2 prompt tokens at 10⁶, 20 answer tokens at 5 × 10⁶.
    assert bill(cases, 3, PRICE, None, False).about_pico == 3 * (2 * 10**6 + 20 * 5 * 10**6)
    assert bill(cases, 3, PRICE, 8, False).most_pico == 3 * (2 * 10**6 + 8 * 5 * 10**6)
    assert bill(cases, 3, None, 8, False).about_pico is None
    assert bill(cases, 3, None, 8, True).about_pico == 0


def looking(made: Any) -> Looking:
    terms = JudgingTerms(bar=Bar(), running=True)
    look = Look(made.tallies["cheap"], made.tallies["dear"], made.order, terms)
    return Looking({"cheap": look}, "dear", 16)


async def test_sequential_stops_early_and_does_not_depend_on_the_order_answers_come_in(
    tmp_path: Path,
) -> None:
    stops = []
    for jobs in (1, 3, 8):
        tiers = [Fake("cheap", accurate(0.97, 5)), Fake("dear", accurate(0.97, 5))]
        made = runner(tmp_path / str(jobs), suite(1500), tiers, Work(jobs=jobs, backoff_s=0.0))
        made.looking = looking(made)
        jitter = random.Random(jobs)

        async def slow(case: Any, repeat: int, tier: Fake = tiers[0], draw: random.Random = jitter) -> Reply:
            for _ in range(draw.randrange(5)):
                await asyncio.sleep(0)
            return await Fake.answer(tier, case, repeat)

        tiers[0].answer = slow  # type: ignore[method-assign]
        await made.run()
        made.folder.close()
        decided = made.looking.looks["cheap"].decided
        assert decided is not None
        assert decided < 150
        assert max(len(t.asked) for t in tiers) <= decided + 16 + jobs
        pairs = pairs_of(made.tallies["cheap"], made.tallies["dear"], made.order, decided)
        assert judge_pairs(pairs, JudgingTerms(running=True)).decision == "switch"
        stops.append(decided)
    assert len(set(stops)) == 1
