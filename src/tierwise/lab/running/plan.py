"""Plan: what a run can show and what it will cost, said before a cent is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from ...costing import cautious_size, estimate_tokens
from ...judging import too_few
from ...judging.power import binary_variance, needed_pairs, smallest_margin, with_reserve
from ...nouns import Bar, Case, Price
from ..cases.suites import messages_text
from .records import TierCard

DISCORDANCES = (0.05, 0.10, 0.20)
OUTPUT_UNSAID = 256
"""Answer tokens reckoned per Case where neither a limit nor a target says more."""


class Shown(Struct, frozen=True):
    """What n Cases can show when the tiers disagree on `discordance` of them: the smallest loss that can be
    excluded with 80 % power if they are truly equal, and the Cases the margin in force would take.
    """

    discordance: float
    smallest_margin: float
    needed: int | None


class Bill(Struct, frozen=True):
    """What one tier's missing calls will cost, pico-dollars: about, and at most (None: the answer's length is
    not bounded). Both None: no price is known.
    """

    calls: int
    about_pico: int | None
    most_pico: int | None


class Plan(Struct, frozen=True):
    """Everything said before the first call. `about_pico` None: a tier has no price. `judge_bill` is the part
    of the judge called `judge`; `drawn` says what kept calls the suite was made of."""

    suite: str
    suite_hash: str
    scorer: str
    n: int
    clusters: int | None
    repeats: int
    bar: Bar
    reference: str
    sequential: bool
    shown: tuple[Shown, ...]
    tiers: tuple[TierCard, ...]
    bills: dict[str, Bill]
    about_pico: int | None
    most_pico: int | None
    limit_pico: int | None = None
    spent_pico: int = 0
    in_doubt: int = 0
    warnings: tuple[str, ...] = ()
    judge: str = ""
    judge_bill: Bill | None = None
    drawn: str = ""


def what_n_shows(n: int, bar: Bar) -> tuple[Shown, ...]:
    """For 5, 10 and 20 % disagreement."""
    found = []
    for psi in DISCORDANCES:
        needed = needed_pairs(binary_variance(psi), bar.margin, 0.0, bar.alpha)
        found.append(
            Shown(psi, smallest_margin(psi, n, bar.alpha), None if needed is None else with_reserve(needed))
        )
    return tuple(found)


def bill(cases: Sequence[Case], calls: int, price: Price | None, max_tokens: int | None, free: bool) -> Bill:
    """The estimate of `calls` calls spread evenly over the Cases: prompt bytes / 3.5, answers as long as the
    targets suggest.
    """
    if free or calls == 0:
        return Bill(calls, 0, 0)
    if price is None or price.input is None or price.output is None:
        return Bill(calls, None, None)
    prompt = sum(
        estimate_tokens(len(messages_text(case.messages or ({"content": case.input},)).encode()))
        for case in cases
    )
    output = sum(answer_tokens(case, max_tokens) for case in cases)
    about = (prompt * price.input + output * price.output) * calls // len(cases)
    most = None
    if max_tokens is not None:
        cautious = sum(map(reckoned, cases))
        most = (cautious * price.input + max_tokens * len(cases) * price.output) * calls // len(cases)
    return Bill(calls, about, most)


def total(bills: Mapping[str, Bill]) -> tuple[int | None, int | None]:
    """About and at most over all tiers; None as soon as one is not known."""
    about = [each.about_pico for each in bills.values()]
    most = [each.most_pico for each in bills.values()]
    return (
        None if None in about else sum(each or 0 for each in about),
        None if None in most else sum(each or 0 for each in most),
    )


def warnings_of(cases: Sequence[Case], clusters: int | None, bar: Bar) -> tuple[str, ...]:
    """What can be known to spoil the verdict before a call is made."""
    found = []
    if clusters is not None and clusters < 10:
        few = "1 cluster is" if clusters == 1 else f"{clusters} clusters are"
        found.append(f"{few} too few: no verdict below 10, whatever the answers.")
    if len(cases) < bar.least_cases:
        found.append(too_few(len(cases), bar))
    again = len(cases) - len({messages_text(case.messages) or case.input for case in cases})
    if again and clusters is None:
        asks = "1 Case asks" if again == 1 else f"{again} Cases ask"
        found.append(
            f"{asks} just what another one does, which is no further evidence: leave them out, or "
            "name in `cluster` what belongs together."
        )
    return tuple(found)


def reckoned(case: Case) -> int:
    """The tokens that a Case's prompt is reckoned at while no provider has counted one."""
    return estimate_tokens(cautious_size(messages_text(case.messages or ({"content": case.input},))))


def answer_tokens(case: Case, max_tokens: int | None) -> int:
    """How long an answer is reckoned to be before any has been seen."""
    said = case.target if isinstance(case.target, str) else None
    expected = OUTPUT_UNSAID if said is None else max(16, 2 * estimate_tokens(len(said.encode())))
    return expected if max_tokens is None else min(expected, max_tokens)
