"""What may not change when a run goes on: its terms, its Cases, and the tiers still to be asked."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tierwise.errors import SuiteError
from tierwise.lab.running.fixed import check_fixed, check_names, check_same
from tierwise.lab.running.records import TierCard
from unit.lab.made import Fake, accurate, manifest, suite

RUN = manifest(suite(3), [Fake("a", accurate(1, 1)), Fake("b", accurate(1, 1))], "b", seed=5, repeats=2)
GIVEN: dict[str, Any] = {
    "margin": None, "alpha": None, "reference": "", "repeats": None, "max_tokens": None, "temperature": None,
    "seed": 0, "sequential": False, "labels": "", "task": "", "prompt": "", "system": "", "columns": "",
    "n": None,
}  # fmt: skip


def check(with_suite: bool = False, **given: Any) -> None:
    check_fixed(RUN, {**GIVEN, **given}, with_suite)


@pytest.mark.parametrize(
    ("word", "same", "other"),
    [
        ("margin", RUN.terms.bar.margin, 0.2), ("alpha", RUN.terms.bar.alpha, 0.2), ("reference", "b", "a"),
        ("repeats", 2, 1), ("seed", 5, 6), ("task", "classification", "qa"),
        ("labels", RUN.suite.labels, "x"),
        ("temperature", None, 0.0), ("max_tokens", None, 1), ("sequential", False, True),
    ],
)  # fmt: skip
def test_terms_stay_and_may_be_said_again(word: str, same: object, other: object) -> None:
    check(**{word: same})
    with pytest.raises(SuiteError, match=f"begun with {word} .* cannot become {other}"):
        check(**{word: other})


@pytest.mark.parametrize("word", ["prompt", "system", "columns"])
def test_cases_are_made_once_unless_the_suite_is_given_too(word: str) -> None:
    check(with_suite=True, **{word: "x"})
    with pytest.raises(SuiteError, match=f"has its Cases already; {word} would change them"):
        check(**{word: "x"})


CARD = RUN.tiers[0]


@pytest.mark.parametrize(
    ("was", "now", "same"),
    [
        (CARD, CARD, True),
        (CARD, replace(CARD, model="agg/other"), False),
        (replace(CARD, settings="t=0"), replace(CARD, settings="t=0"), True),
        (replace(CARD, settings="t=0"), replace(CARD, settings="t=1"), False),
        (replace(CARD, settings=None), replace(CARD, settings="t=1"), True),
        (replace(CARD, settings="t=0"), replace(CARD, settings=None), True),
        (replace(CARD, settings=None), replace(CARD, settings="t=1", model="agg/other"), False),
        (CARD, replace(CARD, name="new"), True),
    ],
)
def test_a_tier_that_is_still_to_be_asked_is_the_one_the_run_began_with(
    was: TierCard, now: TierCard, same: bool
) -> None:
    begun = replace(RUN, tiers=(was,))
    check_same(begun, [now], lambda _: 0)
    if same:
        check_same(begun, [now], lambda _: 1)
    else:
        with pytest.raises(SuiteError, match="was begun with a as agg/a"):
            check_same(begun, [now], lambda name: int(name == was.name))


def test_a_run_may_grow_and_not_shrink() -> None:
    for n in (3, 4, 1000):
        check(n=n)
    with pytest.raises(SuiteError, match="begun with 3 Cases; it cannot go on with 2"):
        check(n=2)


def test_a_name_stands_for_what_it_stood_for() -> None:
    check_names(RUN, ["a", "b=b", "b=tier/b", "new=agg/other", "other"])
    with pytest.raises(SuiteError, match="begun with a as a; it cannot become agg/other"):
        check_names(RUN, ["a=agg/other"])
