"""The alarm on a rule: what live traffic says of it, read after every pair without inflating the error.

With no truth at hand the dearer tier stands for it: D = agreement − 1, in −1..0, where agreement is how the
cheaper tier's answer scores with the dearer one's as its target. The e-process of `sequential` bets on D; its
`keep` side reaching 1/alpha contradicts the rule.
"""

from __future__ import annotations

import json
import math
from typing import Literal

import msgspec
from msgspec import Struct, field

from ..errors import SuiteError
from ..nouns import Case, Counts, Score
from .scorers import scorer
from .scorers_json import read_json, tool_call
from .scorers_text import RIGHT, WRONG, Scorer, normal_text
from .sequential import EProcess, ln_threshold

AGREEMENT = "agreement"


class Said(Struct, frozen=True):
    """One tier's answer: its text, or its tool calls as JSON (`calls`), and whether it is whole."""

    text: str
    calls: bool = False
    outcome: Literal["ok", "truncated", "refused"] = "ok"


class Watch(Struct, frozen=True):
    """What one alarm watches: two tiers, of which the rule serves one. Whatever is different makes it another
    test, which starts anew.

    `allowance`: disagreement that the rule's own Verdict explains, see `allowance_of`. `verdict`: its id.
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


class Alarm:
    """A running test of one rule. `add` each pair once, in order of arrival."""

    def __init__(self, watch: Watch, since: str, record: Record | None = None) -> None:
        """`record`: what an earlier process kept of the same watch. Raises SuiteError on a bad margin or
        alpha."""
        self.watch = watch
        self.since = record.since if record else since
        self.updated = record.updated if record else ""
        self.contradicted = record.contradicted if record else ""
        self.unscored = record.unscored if record else 0
        self.scores: dict[str, int] = dict(record.scores) if record else {}
        self._bar = ln_threshold(watch.alpha)
        self._process = EProcess(min(watch.margin + watch.allowance, 0.99))
        if record is not None:
            for score, count in self.scores.items():
                self._process.add_all([float(score) - 1] * count)
            self._process.peak_keep = record.peak_keep
            self._process.peak_switch = record.peak_switch

    def add(self, score: Score, at: str) -> bool:
        """One pair more; whether this is the pair that contradicts the rule, which only one that serves the
        cheaper tier can be. Scores are rounded up to three decimals: the evidence against stays valid."""
        self.updated = at
        if score.value is None:
            self.unscored += 1
            return False
        rounded = math.ceil(score.value * 1000 - 1e-9) / 1000
        name = f"{rounded:g}"
        self.scores[name] = self.scores.get(name, 0) + 1
        self._process.add(rounded - 1)
        claimed = self.watch.served == self.watch.cheap
        if not claimed or self.contradicted or self._process.peak_keep < self._bar:
            return False
        self.contradicted = at
        return True

    def record(self) -> Record:
        """What to keep of it."""
        process = self._process
        return Record(
            self.watch, self.since, self.updated, dict(self.scores), self.unscored, process.ln_keep,
            process.ln_switch, process.peak_keep, process.peak_switch, self.contradicted,
        )  # fmt: skip


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
    if name in ("", AGREEMENT):
        return _same
    try:
        return scorer(name.strip(), json.loads("{" + rest) if brace else {})
    except json.JSONDecodeError as error:
        raise SuiteError(
            f"The scorer's options are no JSON object: {error}.", 'Write numeric:{"tolerance": 0.01}.'
        ) from None


def compare(cheap: Said, reference: Said, judge: Scorer) -> Score:
    """How far the cheap tier's answer agrees with the reference's. A truncated or refused answer of the cheap
    tier is wrong; of the reference, there is nothing to agree with. Tool calls are compared, never run."""
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


def _same(case: Case, answer: str) -> Score:
    if normal_text(case.target) == normal_text(answer):
        return RIGHT
    try:
        wanted = read_json(case.target, strict=True)
        given = read_json(answer)
    except ValueError:
        return WRONG
    if isinstance(wanted, str | int | float) or wanted is None:
        return WRONG
    return RIGHT if _canonical(wanted) == _canonical(given) else WRONG


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def _e_text(ln_value: float) -> str:
    return "over a million" if ln_value > 13.8 else f"{math.exp(ln_value):,.2g}"
