"""The alarm on a rule: what live traffic says of it, read after every pair without inflating the error.

With no truth at hand the dearer tier stands for it: D = agreement − 1, in −1..0, where agreement is how the
cheaper tier's answer scores with the dearer one's as its target. Bettors as in `sequential` bet that D is
below −margin; their money reaching 1/alpha contradicts the rule.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field, structs

from ..errors import SuiteError
from ..nouns import Case, Counts, Score
from .scorers import scorer
from .scorers_json import tool_call
from .scorers_text import Scorer
from .sequential import WEIGHTS, EProcess, check_margin, ln_threshold

AGREEMENT = "agreement"
BLOCK = 100
"""A new bettor begins every so many pairs."""


class Said(Struct, frozen=True):
    """One tier's answer: its text, or its tool calls as JSON (`calls`), and whether it is whole; `rejected`:
    there is none, since its provider does not take the request."""

    text: str
    calls: bool = False
    outcome: Literal["ok", "truncated", "refused", "rejected"] = "ok"


class Watch(Struct, frozen=True):
    """What one alarm watches: two tiers, of which the rule serves one. Whatever is different makes it another
    test, which starts anew.

    `cheap_model`, `reference_model`: a tier's model and its settings. `allowance`: disagreement that the
    rule's own Verdict explains, see `allowance_of`. `verdict`: its id.
    """

    task: str
    cheap: str
    reference: str
    served: str
    cheap_model: str = ""
    reference_model: str = ""
    scorer: str = AGREEMENT
    margin: float = 0.05
    allowance: float = 0.0
    alpha: float = 0.05
    verdict: str = ""


class Record(Struct, frozen=True, omit_defaults=True):
    """An alarm as it is kept: agreement (to three decimals) → pairs, and how far the evidence ever was.

    `unscored` pairs could not be compared. Dates are RFC 3339; `contradicted` "": not so far.
    """

    watch: Watch
    since: str
    updated: str = ""
    scores: dict[str, int] = field(default_factory=dict)
    unscored: int = 0
    ln_e_keep: float = 0.0
    ln_e_switch: float = 0.0
    peak_keep: float = 0.0
    peak_switch: float = 0.0
    ln_money: tuple[float, ...] = ()
    """ln of what each stake's bettors have, see Bets."""
    contradicted: str = ""

    @property
    def n(self) -> int:
        """Pairs compared."""
        return sum(self.scores.values())

    @property
    def agreement(self) -> float | None:
        """Mean agreement, None before the first pair."""
        total = sum(float(score) * count for score, count in self.scores.items())
        return total / self.n if self.n else None

    def sentence(self) -> str:
        """What it shows, in one line."""
        watch, mean = self.watch, self.agreement
        if mean is None:
            return f"shadow: {watch.cheap} against {watch.reference}, no pair compared yet"
        needed = f"{1 / watch.alpha:,.0f}"
        if self.contradicted:
            end = (
                f"e = {_e_text(self.peak_keep)}, past the {needed} that contradict, {self.contradicted[:10]}"
            )
        elif watch.served == watch.cheap:
            end = f"e = {_e_text(self.ln_e_keep)} of the {needed} that contradict"
        else:
            end = f"e = {_e_text(self.ln_e_switch)} of the {needed} that show {watch.cheap} within the margin"
        shown = f"agreed {mean * 100:.1f} % over {self.n} calls"
        return f"shadow: {watch.cheap} and {watch.reference} {shown}; {end}"


class Bets:
    """ln of an e-value against "the mean of D is at least −margin", that also sees what changes late.

    One bettor alone loses so much on a good year that a bad week cannot make it up. So bettor k begins after
    100·k pairs with the share 1/((k + 1)(k + 2)) of the money, which lies still until then; shares add up to
    1, so the sum does not grow on average while the hypothesis is true, and Ville's inequality holds at
    every look. A change after n good pairs costs the evidence about 2·ln(n/100).
    """

    def __init__(self, margin: float, n: int = 0, ln_money: Sequence[float] = ()) -> None:
        """`n` and `ln_money` go on from an earlier one. Raises SuiteError on a margin outside 0..1."""
        check_margin(margin)
        self.margin = margin
        self.n = n
        self.ln_money = list(ln_money) or [-math.inf] * len(WEIGHTS)

    def add(self, difference: float) -> float:
        """One D in −1..1 more; ln of the e-value now."""
        begun, place = divmod(self.n, BLOCK)
        if place == 0:
            stake = -math.log((begun + 1) * (begun + 2))
            self.ln_money = [_ln_sum(money, stake) for money in self.ln_money]
        excess = difference + self.margin
        for j, weight in enumerate(WEIGHTS):
            self.ln_money[j] += math.log1p(-weight / (1 + self.margin) * excess)
        self.n += 1
        return self.ln_e

    @property
    def ln_e(self) -> float:
        """ln of all the money: at work, and still waiting."""
        if not self.n:
            return 0.0
        waiting = -math.log((self.n - 1) // BLOCK + 2)
        total = waiting
        for money in self.ln_money:
            total = _ln_sum(total, money - math.log(len(WEIGHTS)))
        return total


class Alarm:
    """A running test of one rule. `add` each pair once, in order of arrival."""

    def __init__(self, watch: Watch, since: str, record: Record | None = None) -> None:
        """`record`: what an earlier process kept of the same watch. Raises SuiteError on a bad margin or
        alpha."""
        margin = min(watch.margin + watch.allowance, 0.99)
        kept = record or Record(watch, since)
        self.watch = watch
        self._bar = ln_threshold(watch.alpha)
        self._kept = kept
        self._scores = dict(kept.scores)
        self._bets = Bets(margin, kept.n, kept.ln_money)
        self._process = EProcess(margin)
        # At once: a look between two scores would take the order they are kept in for evidence.
        self._process.add_all(float(score) - 1 for score, count in self._scores.items() for _ in range(count))
        self._process.peak_switch = max(self._process.peak_switch, kept.peak_switch)

    @property
    def contradicted(self) -> str:
        """When the rule was contradicted, RFC 3339; "": not so far."""
        return self._kept.contradicted

    def add(self, score: Score, at: str) -> bool:
        """One pair more; whether this is the pair that contradicts the rule, which only one that serves the
        cheaper tier can be. Scores are rounded up to three decimals: the evidence against stays valid."""
        kept = self._kept
        if score.value is None:
            self._kept = structs.replace(kept, updated=at, unscored=kept.unscored + 1)
            return False
        rounded = math.ceil(score.value * 1000 - 1e-9) / 1000
        name = f"{rounded:g}"
        self._scores[name] = self._scores.get(name, 0) + 1
        peak = max(kept.peak_keep, self._bets.add(rounded - 1))
        self._process.add(rounded - 1)
        claimed = self.watch.served == self.watch.cheap
        crossed = claimed and not kept.contradicted and peak >= self._bar
        self._kept = structs.replace(
            kept, updated=at, peak_keep=peak, contradicted=at if crossed else kept.contradicted
        )
        return crossed

    def record(self) -> Record:
        """What to keep of it."""
        return structs.replace(
            self._kept,
            scores=dict(self._scores),
            ln_e_keep=self._bets.ln_e,
            ln_e_switch=self._process.ln_switch,
            peak_switch=self._process.peak_switch,
            ln_money=tuple(self._bets.ln_money) if self._bets.n else (),
        )


def allowance_of(counts: Counts | None) -> float:
    """How much disagreement a Verdict on human labels explains without any loss: (2·b + e)/n.

    Where the reference is wrong, disagreeing with it is no loss. With b = only the cheap tier right, c = only
    the reference, e = neither: disagreement ≤ b + c + e, loss = c − b, so loss ≥ disagreement − 2b − e. Taken
    as it was when measured. 0 without counts, and where the reference wrote the labels.
    """
    if counts is None or not counts.n:
        return 0.0
    return (2 * counts.cheap_only + counts.neither) / counts.n


def agreement(spec: str = AGREEMENT) -> Scorer:
    """The scorer called `spec` (`numeric`, `numeric:{"tolerance": 0.1}`); "" and `agreement`: the same text
    but for case, marks and spacing, or the same JSON value. Raises SuiteError."""
    name, brace, rest = spec.strip().partition(":{")
    try:
        return scorer(name.strip() or AGREEMENT, json.loads("{" + rest) if brace else {})
    except json.JSONDecodeError as error:
        raise SuiteError(
            f"The scorer's options are no JSON object: {error}.", 'Write numeric:{"tolerance": 0.01}.'
        ) from None


def compare(cheap: Said, reference: Said, judge: Scorer) -> Score:
    """How far the cheap tier's answer agrees with the reference's. A truncated or refused answer of the cheap
    tier is wrong, and so is none, where it rejects the request; of the reference, there is nothing to agree
    with. Tool calls are compared, never run."""
    if reference.outcome != "ok":
        return Score(None, f"the reference's answer was {reference.outcome}")
    if cheap.outcome != "ok":
        return Score(0.0, cheap.outcome)
    if cheap.calls or reference.calls:
        target = reference.text if reference.calls else "[]"
        return tool_call()(Case("", "", target=target), cheap.text if cheap.calls else "")
    if not reference.text.strip():
        return Score(None, "the reference said nothing")
    found = judge(Case("", "", target=reference.text), cheap.text)
    if found.value is not None and not 0 <= found.value <= 1:
        return Score(None, f"the scorer gave {found.value}, which is outside 0..1")
    return found


def _ln_sum(a: float, b: float) -> float:
    """ln(e^a + e^b)."""
    high, low = (a, b) if a >= b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def _e_text(ln_value: float) -> str:
    return "over a million" if ln_value > 13.8 else f"{math.exp(ln_value):,.2g}"
