"""Calibrating: a judge held against human labels, and verdicts corrected for its errors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from ...errors import SuiteError
from ...judging import Pair, judge_pairs
from ...judging.calibration import LEAST_LABELS, Calibration, calibrate, corrected_difference
from ...judging.decision import Terms as JudgingTerms
from ...judging.decision import signed
from ...judging.intervals import two_sided_z
from ...nouns import Case, Decision, Verdict
from ..cases.rows import Row, read_sheet
from ..results import JudgeResult
from ..running.pace import each_of
from ..running.store import RunFolder
from .judges import PointwiseJudge

CALIBRATION = "calibration.json"
NOT_CALIBRATED = "judge not calibrated"
_GOOD = ("1", "1.0", "true", "yes", "pass", "good", "right")
_BAD = ("0", "0.0", "false", "no", "fail", "bad", "wrong")


class Labelled(Struct, frozen=True):
    """An answer that a human called good or not."""

    case: Case
    answer: str
    good: bool


class Calibrated(Struct, frozen=True):
    """calibration.json: a judge against the labels of one file. `scorer` as it was then; `unscored`: labelled
    answers the judge gave no readable score to.
    """

    scorer: str
    labels_hash: str
    calibration: Calibration
    unscored: int = 0


def read_labels(path: Path, cases: Sequence[Case]) -> list[Labelled]:
    """The labels of a file: `id` of a Case of the suite, or `input` (and `target`); `answer`; `label` 0 or 1.

    Raises SuiteError with the line at fault, and below 100 labels.
    """
    by_name = {case.input: case for case in cases} | {case.id: case for case in cases}
    found = [_labelled(row, by_name) for row in read_sheet(path).rows]
    if len({(each.case.id, each.case.input, each.answer) for each in found}) < len(found):
        raise SuiteError(f"{path.name} labels an answer twice.", "Label every answer once.")
    if len(found) < LEAST_LABELS:
        raise SuiteError(
            f"A judge needs {LEAST_LABELS} human labels to be believed, {path.name} holds {len(found)}.",
            "Label more answers, or leave --calibrate out: the report then says so.",
        )
    return found


def file_hash(path: Path) -> str:
    """SHA-256 of a file, 16 hex digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


async def calibrate_judge(
    judge: PointwiseJudge, labels: Sequence[Labelled], jobs: int
) -> tuple[Calibration, int]:
    """The calibration, and how many labels the judge gave no readable score to. Raises SuiteError when fewer
    than 100 are left or the judge is no better than chance.
    """
    seen: list[tuple[bool, bool]] = []

    async def one(label: Labelled) -> None:
        score = await judge(label.case, label.answer)
        if score.value is not None:
            seen.append((score.value >= 0.5, label.good))

    await each_of(labels, jobs, one)
    return calibrate(seen), len(labels) - len(seen)


def kept_calibration(folder: RunFolder, scorer: str) -> Calibrated | None:
    """What calibration.json says of this scorer; None: nothing."""
    path = folder.path / CALIBRATION
    if not path.exists():
        return None
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Calibrated)
    except msgspec.DecodeError as error:
        raise SuiteError(f"{path} cannot be read: {error}.", "Remove it and calibrate again.") from None
    return found if found.scorer == scorer else None


def judged(pairs: Sequence[Pair], terms: JudgingTerms, judge: JudgeResult | None) -> Verdict:
    """The Verdict of paired scores. Where a judge gave them: corrected for its errors, else marked as not
    calibrated.
    """
    if judge is None or judge.kind == "similarity":
        return judge_pairs(pairs, terms)
    if judge.calibration is not None:
        return corrected(pairs, terms, judge.name, judge.calibration)
    found = judge_pairs(pairs, terms)
    note = f"{NOT_CALIBRATED}: its errors are not in the interval; --calibrate takes human labels."
    return structs.replace(
        found, method=f"{found.method}, {NOT_CALIBRATED}", reasons=(*found.reasons, note.capitalize())
    )


def corrected(pairs: Sequence[Pair], terms: JudgingTerms, name: str, judge: Calibration) -> Verdict:
    """The Verdict on the true scale. The judge shows a true gap shrunk by Se + Sp − 1, so what it shows is
    held against the margin shrunk alike; then difference and interval are divided by it and widened by the
    labels' own uncertainty (delta method), each end by its own.
    """
    bar = terms.bar
    shown_margin = bar.margin * judge.shrinkage
    shown = judge_pairs(pairs, structs.replace(terms, bar=structs.replace(bar, margin=shown_margin)))
    z, level = two_sided_z(shown.level), shown.level
    low, high = shown.interval
    ends = (
        corrected_difference(shown.difference, (shown.difference - low) / z, judge, level).interval[0],
        corrected_difference(shown.difference, (high - shown.difference) / z, judge, level).interval[1],
    )
    found = max(min(shown.difference / judge.shrinkage, 1.0), -1.0)
    decision: Decision = "not_enough"
    if shown.decision == "switch" and ends[0] > -bar.margin:
        decision = "switch"
    elif shown.decision == "keep" and ends[1] < -bar.margin:
        decision = "keep"
    said: tuple[str, ...] = (
        f"As the judge shows it: {shown.reasons[0]}",
        f"The judge {name} agrees with {judge.labels} human labels: sensitivity {judge.sensitivity:.1%}, "
        f"specificity {judge.specificity:.1%}. It shows {judge.shrinkage:.0%} of a true gap.",
        f"Corrected for that: {signed(found)} points, {level:.0%} interval {signed(ends[0])} to "
        f"{signed(ends[1])}, the labels' own uncertainty included; margin {bar.margin * 100:g} points.",
    )
    if shown.decision != decision:
        said = (*said, "With the labels' uncertainty it reaches to both sides of the margin: label more.")
    elif decision == "not_enough":
        said = (*said, *shown.reasons[1:])
    return structs.replace(
        shown,
        decision=decision,
        difference=found,
        interval=ends,
        margin=bar.margin,
        method=f"{shown.method}, corrected for the judge",
        more_cases=shown.more_cases if decision == shown.decision else None,
        reasons=said,
    )


def _labelled(row: Row, by_name: dict[str, Case]) -> Labelled:
    fields: dict[str, Any] = row.fields
    answer, label = fields.get("answer"), str(fields.get("label", "")).strip().lower()
    if answer is None or label not in (*_GOOD, *_BAD):
        raise SuiteError(
            f"{row.place} has no answer, or its label {label!r} is neither 0 nor 1.",
            "Columns: id or input, answer, label.",
        )
    name = fields.get("id") or fields.get("input")
    if name in (None, ""):
        raise SuiteError(
            f"{row.place} names neither an id nor an input.", "Columns: id or input, answer, label."
        )
    case = by_name.get(str(name))
    if case is None and not fields.get("input"):
        raise SuiteError(f"{row.place}: the suite has no Case {name!r}.", "Give its input, too.")
    if case is None:
        case = Case(str(name), str(fields["input"]), fields.get("target") or None)
    return Labelled(case, str(answer), label in _GOOD)
