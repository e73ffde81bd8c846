"""Rescore: a finished run's answers under another scorer, without asking anybody again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import structs

from ...http1 import Pool
from ...judging.decision import check_bar
from ...nouns import Case
from ..compare import Seen
from ..evaluation import Done, Options, cheap_tiers, finish, hearing_of, places_of, spec_of
from ..results import JudgeResult, read_evaluation
from ..running.order import ordered
from ..running.pace import each_of
from ..running.records import Manifest, Record
from ..running.store import RunFolder, find_run
from ..running.tally import PENDING, TierTally
from ..telling.wording import money
from .hearing import hears
from .judges import UNJUDGED
from .scoring import Judge, Spec, judge_of, mark


async def rescore(run: str, options: Options, say: Callable[[str], None] | None = None) -> Done:
    """The Evaluation of run `run` with `options.scorer` (or margin, or alpha) in place of its own, and a note
    that this was chosen after the answers were seen. A judge's calls are announced to `say` before the first.
    Raises SuiteError.
    """
    folder = RunFolder(find_run(run, Path(options.runs)))
    before, suite = folder.manifest(), folder.suite()
    earlier = read_evaluation(folder.path / "verdict.json")
    spec = spec_of(options.scorer or before.suite.scorer, options, before.terms.sequential)
    manifest, changed = _anew(before, spec, options)
    order = ordered(suite.cases, manifest.terms.seed, manifest.terms.n)
    tallies = {card.name: TierTally(len(order), manifest.terms.repeats) for card in manifest.tiers}
    told = _Retold(folder, order, tallies)
    pool = Pool(max_idle_per_origin=max(64, options.jobs))
    judge: JudgeResult | None = None
    try:
        if hears(spec):
            folder.open_to_write()
            base_url = options.base_url or next((card.base_url for card in before.tiers if card.base_url), "")
            places = structs.replace(places_of(pool, options), base_url=base_url)
            hearing = hearing_of(spec, options, places, folder, suite.cases)
            assert hearing is not None
            if say is not None:
                bill = hearing.bill(order, len(tallies), manifest.terms.repeats, manifest.terms.max_tokens)
                name = hearing.desk.tier.card.name
                say(f"judge {name}: {bill.calls:,} calls, about {money(bill.about_pico)}")
            await hearing.calibrate()
            await told.score(hearing.scorer, options.jobs)
            await hearing.compare(order, tallies, manifest.terms.reference)
            judge = hearing.result()
        else:
            await told.score(judge_of(spec, suite.cases, options.allow_code), 1)
    finally:
        folder.close()
        await pool.close()
    notes = (f"The {' and '.join(changed)} changed after the answers were seen.",) if changed else ()
    cheap = [each.verdict.cheap for each in earlier.comparisons]
    dearer = frozenset(each.verdict.cheap for each in earlier.comparisons if each.dearer)
    seen = Seen(manifest, order, tallies, cheap_tiers(manifest, cheap), {}, dearer, notes, judge)
    return finish(folder, seen, None, f"verdict-{_plain(spec.name)}.json" if changed else "verdict.json")


class _Retold:
    """A run's Trials, told again to another scorer."""

    def __init__(self, folder: RunFolder, order: Sequence[Case], tallies: Mapping[str, TierTally]) -> None:
        self.folder = folder
        self.order = order
        self.tallies = tallies
        self._at = {case.id: position for position, case in enumerate(order)}

    async def score(self, judge: Judge, jobs: int) -> None:
        """Scores every Trial into the tallies; what was paid for is billed once."""
        latest: dict[tuple[str, int, int], bool] = {}

        async def one(record: Record) -> None:
            trial = record.trial
            key = (trial.tier, self._at.get(trial.case, -1), trial.repeat)
            tally = self.tallies.get(trial.tier)
            if tally is None or key[1] < 0 or trial.repeat >= tally.repeats:
                return
            waited = latest.get(key, False)
            latest[key] = trial.score.why.startswith((PENDING, UNJUDGED))
            if not waited:
                tally.bill(record)
            score = await mark(judge, self.order[key[1]], trial.answer, trial.outcome)
            tally.put(key[1], structs.replace(record, trial=structs.replace(trial, score=score)))

        await each_of(self.folder.records(), jobs, one)


def _anew(manifest: Manifest, spec: Spec, options: Options) -> tuple[Manifest, list[str]]:
    """The manifest with another scorer or bar, and which of them changed."""
    bar = structs.replace(
        manifest.terms.bar,
        margin=manifest.terms.bar.margin if options.margin is None else options.margin,
        alpha=manifest.terms.bar.alpha if options.alpha is None else options.alpha,
    )
    check_bar(bar)
    same = {"scorer": spec.text() == manifest.suite.scorer, "bar": bar == manifest.terms.bar}
    found = structs.replace(
        manifest,
        suite=structs.replace(manifest.suite, scorer=spec.text()),
        terms=structs.replace(manifest.terms, bar=bar),
    )
    return found, [word for word, kept in same.items() if not kept]


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
