"""Rescore: a finished run's answers under another scorer, without asking anybody again."""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import structs

from ..errors import SuiteError
from ..judging.decision import check_bar
from .compare import Seen
from .evaluation import Done, Options, cheap_tiers, finish
from .order import ordered
from .results import Evaluation
from .scoring import judge_of, mark, parse_spec
from .store import RunFolder, find_run
from .tally import PENDING, TierTally


async def rescore(run: str, options: Options) -> Done:
    """The Evaluation of run `run` with `options.scorer` (or margin, or alpha) in place of its own, and a note
    that this was chosen after the answers were seen. Raises SuiteError.
    """
    folder = RunFolder(find_run(run, Path(options.runs)))
    manifest, suite = folder.manifest(), folder.suite()
    spec = parse_spec(options.scorer or manifest.suite.scorer)
    bar = structs.replace(
        manifest.terms.bar,
        margin=manifest.terms.bar.margin if options.margin is None else options.margin,
        alpha=manifest.terms.bar.alpha if options.alpha is None else options.alpha,
    )
    check_bar(bar)
    changed = [
        word
        for word, same in (
            ("scorer", spec.text() == manifest.suite.scorer),
            ("bar", bar == manifest.terms.bar),
        )
        if not same
    ]
    manifest = structs.replace(
        manifest,
        suite=structs.replace(manifest.suite, scorer=spec.text()),
        terms=structs.replace(manifest.terms, bar=bar),
    )
    order = ordered(suite.cases, manifest.terms.seed, manifest.terms.n)
    judge = judge_of(spec, suite.cases, options.allow_code)
    at = {case.id: position for position, case in enumerate(order)}
    tallies = {card.name: TierTally(len(order), manifest.terms.repeats) for card in manifest.tiers}
    for record in folder.records():
        trial, tally = record.trial, tallies.get(record.trial.tier)
        position = at.get(trial.case)
        if tally is None or position is None or trial.repeat >= manifest.terms.repeats:
            continue
        score = await mark(judge, order[position], trial.answer, trial.outcome)
        tally.put(position, structs.replace(record, trial=structs.replace(trial, score=score)))
        if trial.score.why != PENDING:
            tally.bill(record)
    notes = (f"The {' and '.join(changed)} changed after the answers were seen.",) if changed else ()
    before = read_evaluation(folder.path / "verdict.json")
    cheap = [each.verdict.cheap for each in before.comparisons]
    dearer = frozenset(each.verdict.cheap for each in before.comparisons if each.dearer)
    seen = Seen(manifest, order, tallies, cheap_tiers(manifest, cheap), {}, dearer, notes)
    return finish(folder, seen, None, f"verdict-{_plain(spec.name)}.json" if changed else "verdict.json")


def read_evaluation(path: Path) -> Evaluation:
    """The Evaluation in a file (`eval --json`, or verdict.json of a run). Raises SuiteError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Evaluation)
    except FileNotFoundError:
        raise SuiteError(f"There is no {path}.", "The run has no verdict yet: go on with --resume.") from None
    except (OSError, msgspec.DecodeError) as error:
        raise SuiteError(f"{path} holds no verdict: {error}.", "Give the JSON of `tierwise eval`.") from None


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
