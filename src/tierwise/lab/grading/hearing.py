"""Hearing: the judge of one run, from its name in the scorer to its cost and how far it can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from ...errors import SuiteError
from ...nouns import Case
from ..cases.suites import text_hash
from ..results import JudgeResult
from ..running.asking import Knobs
from ..running.plan import Bill, answer_tokens
from ..running.store import RunFolder
from ..running.tally import TierTally
from ..running.tiers import Places, named, open_tiers
from .calibrating import (
    CALIBRATION,
    Calibrated,
    Labelled,
    calibrate_judge,
    file_hash,
    kept_calibration,
    read_labels,
)
from .desk import Asking, Desk, check_limit
from .embedding import embedder_of
from .judges import KINDS, Asked, PairwiseJudge, PointwiseJudge, completed, judge_at, longest_of, who
from .pairing import compare_all, later
from .scoring import Judge, Spec

_TOKEN_BYTES = 3.5


class Summons(Struct, frozen=True):
    """Whom to ask and how: the scorer's spec, the labels file ("" none), and how calls are made."""

    spec: Spec
    labels: str = ""
    asking: Asking = Asking()


class Hearing:
    """A judge at its desk, with the labels it is to be calibrated on."""

    def __init__(
        self, summons: Summons, places: Places, folder: RunFolder | None, cases: Sequence[Case]
    ) -> None:
        spec = summons.spec
        self.summons = summons
        self.labels: list[Labelled] = []
        self.calibrated: Calibrated | None = None
        if summons.labels:
            self.labels = read_labels(Path(summons.labels), cases)
        name = str(spec.options[who(spec)])
        if named(name)[1].startswith("file:"):
            raise SuiteError("Recorded answers cannot judge.", "Name a tier or model.")
        self._longest: int = longest_of(spec)
        tier = open_tiers([name], structs.replace(places, knobs=Knobs(self._longest)))[0]
        if spec.name == "similarity":
            tier = embedder_of(tier, places.pool)
        asked = {key: value for key, value in spec.options.items() if key != "pass_at"}
        by = text_hash(f"{spec.name} {sorted(asked.items())}")
        self.desk = Desk(tier, structs.replace(summons.asking, by=by), folder)
        check_limit(self.desk, summons.asking.limit_pico)
        self.asked: Asked = judge_at(self.desk, spec)
        self._folder = folder
        if folder is not None:
            self.calibrated = kept_calibration(folder, spec.text())

    @property
    def scorer(self) -> Judge:
        """What scores one answer while the run is under way; a pairwise judge does so afterwards."""
        return later if isinstance(self.asked, PairwiseJudge) else self.asked

    async def calibrate(self) -> None:
        """Asks about the labelled answers, where there are any. Raises SuiteError, before anything else is
        spent, when the judge cannot be believed.
        """
        if not self.labels or self._folder is None or not isinstance(self.asked, PointwiseJudge):
            return
        found, unscored = await calibrate_judge(self.asked, self.labels, self.summons.asking.jobs)
        digest = file_hash(Path(self.summons.labels))
        self.calibrated = Calibrated(self.summons.spec.text(), digest, found, unscored)
        self._folder.write_json(CALIBRATION, self.calibrated)

    async def compare(self, order: Sequence[Case], tallies: Mapping[str, TierTally], reference: str) -> None:
        """The pairwise judge's part, once the answers are there; nothing for others."""
        if isinstance(self.asked, PairwiseJudge) and self._folder is not None:
            jobs = self.summons.asking.jobs
            records = self._folder.records()
            await compare_all(self.asked, records, order, tallies, reference=reference, jobs=jobs)

    def bound(self, case: Case, answer_bytes: int) -> int:
        """Pico-dollars that judging one answer is reckoned to cost at most; 0 where it is done afterwards."""
        if isinstance(self.asked, PairwiseJudge):
            return 0
        return self.desk.bound(_bytes(self.asked, case, answer_bytes))

    def bill(self, order: Sequence[Case], tiers: int, repeats: int, max_tokens: int | None) -> Bill:
        """What judging the whole run will cost, less what was judged before."""
        answers = repeats * (2 * (tiers - 1) if isinstance(self.asked, PairwiseJudge) else tiers)
        size = 0
        for case in order:
            said = round(answer_tokens(case, max_tokens) * _TOKEN_BYTES)
            size += answers * _bytes(self.asked, case, said)
        size += sum(_bytes(self.asked, label.case, len(label.answer.encode())) for label in self.labels)
        whole = answers * len(order) + len(self.labels)
        left = max(0, whole - self.desk.calls)
        return self.desk.bill(left, size * left // max(whole, 1), self._longest)

    def result(self) -> JudgeResult:
        """What is to be said of the judge."""
        found, pairs = self.calibrated, self.asked if isinstance(self.asked, PairwiseJudge) else None
        return JudgeResult(
            kind=self.summons.spec.name,
            name=self.desk.tier.card.name,
            model=self.desk.tier.card.model,
            calls=self.desk.calls,
            cost_pico=None if self.desk.unpriced else self.desk.spent_pico,
            failed=self.desk.failed,
            calibration=found.calibration if found else None,
            labels_hash=found.labels_hash if found else "",
            labels_unscored=found.unscored if found else 0,
            pairs=pairs.pairs if pairs else 0,
            swayed=pairs.swayed if pairs else 0,
        )


def summoned(spec: Spec, given: tuple[str, str, str], labels: str, sequential: bool) -> Spec:
    """The spec as --judge, --rubric and --embedder (`given`) complete it. With labels, scores are read as
    pass from one half up: only right and wrong can be corrected. SuiteError on what does not go together.
    """
    spec = completed(spec, *given)
    if labels and spec.name != "judge":
        raise SuiteError(
            f"--calibrate holds a pointwise judge against labels, not the scorer {spec.name}.",
            "Leave it out, or use --scorer judge.",
        )
    if sequential and (labels or spec.name == "pairwise"):
        what = "A calibrated judge's interval is" if labels else "Pairs are judged and their interval is"
        raise SuiteError(f"{what} drawn when the run is over.", "Leave --sequential out.")
    if labels and "pass_at" not in spec.options:
        spec = structs.replace(spec, options={**spec.options, "pass_at": 0.5})
    return spec


def hears(spec: Spec) -> bool:
    """Whether a scorer asks a model."""
    return spec.name in KINDS


def _bytes(asked: Asked, case: Case, answer_bytes: int) -> int:
    """How long a judge's prompt is, its answer not yet known."""
    if isinstance(asked, PairwiseJudge):
        size = 2 * answer_bytes + len(_text(asked.prompt(case, "", "")))
    else:
        size = answer_bytes + len(_text(asked.prompt(case, "")))
    return size


def _text(prompt: Case) -> bytes:
    said = [str(turn["content"]) for turn in prompt.messages] or [prompt.input, str(prompt.target)]
    return "".join(said).encode()
