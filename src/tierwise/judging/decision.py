"""The three-way decision: switch, keep the reference, or not enough evidence; with its reasons in words.

Three-sided testing (Goeman, Solari & Stijnen 2010): *switch* if the lower bound of cheap − reference is above
−margin, *keep* if the upper bound is below it, otherwise *not enough* with how many more Cases would likely
decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from ..errors import SuiteError
from ..money import usd_text
from ..nouns import Bar, Counts, Decision, Verdict
from .evidence import Evidence, Reading, from_counts, from_pairs
from .paired import Pair
from .power import MOST_CASES
from .sequential import check_margin, decide, ln_threshold, statement

MOST_MISSING = 0.02
"""Above this share of pairs lost to infrastructure errors or left unscored there is no verdict."""


class Terms(Struct, frozen=True):
    """What is fixed before the first Case is judged.

    `running`: the numbers are looked at as they come in, so e-values decide; otherwise n was fixed and the
    interval does. `labels` `reference`: the targets were written by the reference tier, so agreement is
    measured, not accuracy. `pair_price_pico`: what one more Case on both tiers costs.
    """

    bar: Bar = Bar()
    cheap: str = ""
    reference: str = ""
    suite_hash: str = ""
    seed: int | None = None
    labels: Literal["human", "reference"] = "human"
    running: bool = False
    pair_price_pico: int | None = None


def judge_counts(counts: Counts, terms: Terms | None = None) -> Verdict:
    """The Verdict of right/wrong scores. Raises SuiteError on bad counts, a margin outside 0..1 or alpha
    outside 0..0.5.
    """
    terms = terms or Terms()
    return _verdict(from_counts(counts, _reading(terms)), terms)


def judge_pairs(pairs: Sequence[Pair], terms: Terms | None = None) -> Verdict:
    """The Verdict of paired scores, graded or not, clustered or not; the method follows from the scores (see
    evidence).

    A pair with an unscored side counts as missing, never as 0.
    """
    terms = terms or Terms()
    unscored = sum(p.cheap is None or p.reference is None for p in pairs)
    return _verdict(from_pairs(pairs, _reading(terms)), terms, unscored)


def more_cost_pico(verdict: Verdict, terms: Terms) -> int | None:
    """What `more_cases` will cost, pico-dollars; None when there are none to run or the price is unknown."""
    if verdict.more_cases is None or terms.pair_price_pico is None:
        return None
    return verdict.more_cases * terms.pair_price_pico


def evidence_line(verdict: Verdict) -> str:
    """One line for a policy rule: `−1.2 points (−3.1 to +0.8, 90 %), n = 400, Tango score interval`."""
    low, high = verdict.interval
    return (
        f"{signed(verdict.difference)} points "
        f"({signed(low)} to {signed(high)}, {_percent(verdict.level)}), "
        f"n = {verdict.n}, {verdict.method}"
    )


def check_bar(bar: Bar) -> None:
    """Raises SuiteError where a Bar asks for what cannot be judged."""
    check_margin(bar.margin)
    if not 0 < bar.alpha < 0.5:
        raise SuiteError(
            f"alpha cannot be {bar.alpha}.", "Use an error rate above 0 and below 0.5, such as 0.05."
        )


def _reading(terms: Terms) -> Reading:
    check_bar(terms.bar)
    return Reading(terms.bar.margin, terms.bar.alpha, terms.seed or 0, terms.running)


def _verdict(found: Evidence, terms: Terms, missing: int = 0) -> Verdict:
    bar = terms.bar
    blocked = _blocked(found, bar, missing)
    decision: Decision = "not_enough" if blocked else _decide(found, terms)
    more = found.more if decision == "not_enough" else None
    if found.n < bar.least_cases and more is not None:
        more = max(more, bar.least_cases - found.n)
    if _lost(found.n, missing):
        # The missing Cases have to be run again; how many new ones it takes cannot be told before.
        more = None
    return Verdict(
        decision=decision,
        difference=found.difference,
        interval=found.interval,
        level=1 - 2 * bar.alpha,
        n=found.n,
        method=found.method + (" of agreement" if terms.labels == "reference" else ""),
        margin=bar.margin,
        alpha=bar.alpha,
        seed=(terms.seed or 0) if found.drawn else terms.seed,
        suite_hash=terms.suite_hash,
        cheap=terms.cheap,
        reference=terms.reference,
        counts=found.counts,
        clusters=found.clusters,
        discordance=found.discordance,
        mcnemar_midp=found.midp,
        ln_e_switch=found.ln_switch,
        ln_e_keep=found.ln_keep,
        more_cases=more,
        reasons=(
            *_says(found, terms, decision, blocked),
            *_more(more, found, terms, decision),
            *_cautions(found, terms, decision, missing),
        ),
    )


def _decide(found: Evidence, terms: Terms) -> Decision:
    if terms.running:
        return decide(found.ln_switch, found.ln_keep, terms.bar.alpha)
    low, high = found.interval
    if low > -terms.bar.margin:
        return "switch"
    return "keep" if high < -terms.bar.margin else "not_enough"


def _lost(n: int, missing: int) -> bool:
    return missing > MOST_MISSING * (n + missing)


def cases_text(n: int) -> str:
    """`1 Case`, `20 Cases`."""
    return f"{n:,} Case{'' if n == 1 else 's'}"


def too_few(n: int, bar: Bar) -> str:
    """Why so many Cases bear no verdict."""
    are = "is" if n == 1 else "are"
    return f"{cases_text(n)} {are} fewer than the {bar.least_cases} a verdict takes at least."


def _blocked(found: Evidence, bar: Bar, missing: int) -> str:
    """Why no decision may be drawn whatever the numbers say; "" when one may."""
    if _lost(found.n, missing):
        pairs = found.n + missing
        return (
            f"{missing} of {pairs} pairs have no score ({_percent(missing / pairs)}): "
            f"above {_percent(MOST_MISSING)} there is no verdict. Run those Cases again."
        )
    if found.blocked:
        return found.blocked
    if found.n < bar.least_cases:
        return too_few(found.n, bar)
    return ""


def _says(found: Evidence, terms: Terms, decision: Decision, blocked: str) -> tuple[str, ...]:
    """What was seen, and what the decision rests on."""
    bar, (low, high) = terms.bar, found.interval
    cheap, reference = terms.cheap or "the cheap tier", terms.reference or "the reference"
    what = "agreement with the reference" if terms.labels == "reference" else "score"
    seen = (
        f"Observed {what} of {cheap} minus {reference}: "
        f"{signed(found.difference)} points on {cases_text(found.n)}; "
        f"{_percent(1 - 2 * bar.alpha)} interval {signed(low)} to {signed(high)}."
    )
    sure, margin = _percent(1 - bar.alpha), _points(bar.margin)
    if blocked:
        return seen, blocked
    if decision == "switch" and low < 0:
        return (
            seen,
            f"The loss is below {_points(-low)} points at {sure} confidence, inside the margin of {margin}.",
        )
    if decision == "switch":
        return seen, f"There is no loss at {sure} confidence; the margin is {margin} points."
    if decision == "keep":
        return (
            seen,
            f"The loss is above {_points(-high)} points at {sure} confidence, beyond the margin of {margin}.",
        )
    return seen, f"The interval reaches to both sides of −{margin} points: neither is shown."


def _more(more: int | None, found: Evidence, terms: Terms, decision: Decision) -> tuple[str, ...]:
    if decision != "not_enough":
        return ()
    if more is None:
        if found.more is None and found.difference >= 0:
            # A gap in the cheap tier's favour is planned for as none: a lucky start promises nothing.
            return (f"If the tiers are truly equal, more than {MOST_CASES:,} Cases would be needed.",)
        if found.more is None:
            return (
                "The observed loss lies so close to the margin that no feasible number of Cases decides.",
            )
        return ()
    cost = ""
    if terms.pair_price_pico is not None:
        cost = f" for {usd_text(more * terms.pair_price_pico, 2)}"
    truth = "if the tiers stay as observed"
    if found.more_if_equal:
        truth = "if the tiers are truly equal"
    elif found.difference > 0:
        truth = "even if the tiers are truly equal"
    return (f"About {more:,} more Case{'' if more == 1 else 's'}{cost} would likely decide {truth}.",)


def _cautions(found: Evidence, terms: Terms, decision: Decision, missing: int) -> tuple[str, ...]:
    bar, notes, counts = terms.bar, [], found.counts
    if counts is not None and counts.neither == counts.n:
        notes.append("Neither tier was ever right: they are equal on paper only. Look at targets and scorer.")
    if bar.margin <= bar.refuse < -found.difference:
        notes.append(
            f"The observed loss is above {_points(bar.refuse)} points, "
            "where retries and error handling eat the saving."
        )
    if terms.labels == "reference":
        notes.append("The reference tier wrote the labels: this measures agreement with it, not accuracy.")
    if missing and not _lost(found.n, missing):
        notes.append(_left_out(found, bar, decision, missing))
    threshold = ln_threshold(bar.alpha)
    if terms.running:
        side: Literal["switch", "keep"] = "keep" if found.ln_keep > found.ln_switch else "switch"
        notes.append(statement(found.ln_keep if side == "keep" else found.ln_switch, bar.alpha, side))
    elif decision == "not_enough":
        takes = ""
        if found.more_running is not None and not _lost(found.n, missing):
            more = max(found.more_running, bar.least_cases - found.n)
            takes = f", which takes about {more:,} more"
        notes.append(
            f"Reading this interval again after adding Cases is peeking: let the e-values decide then{takes}."
        )
    elif max(found.ln_switch, found.ln_keep) < threshold:
        notes.append("This holds for a number of Cases fixed beforehand; the e-values do not decide yet.")
    return tuple(notes)


def _left_out(found: Evidence, bar: Bar, decision: Decision, missing: int) -> str:
    """Pairs lost by chance change nothing; lost where a tier fails, on the hard Cases, they may."""
    words = "1 pair has no score and was left out"
    if missing > 1:
        words = f"{missing} pairs have no score and were left out"
    (low, high), n, pairs = found.interval, found.n, found.n + missing
    if decision == "switch" and (low * n - missing) / pairs <= -bar.margin:
        return f"{words}: had the cheap tier alone been wrong there, this would not be shown."
    if decision == "keep" and (high * n + missing) / pairs >= -bar.margin:
        return f"{words}: had the reference alone been wrong there, this would not be shown."
    return f"{words}."


def _points(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0")


def signed(share: float) -> str:
    """A difference in 0..1 as points with its sign, one decimal."""
    text = f"{share * 100:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def _percent(share: float) -> str:
    return f"{share * 100:.1f}".removesuffix(".0") + " %"
