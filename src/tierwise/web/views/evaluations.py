"""Evaluations: the run folders of `tierwise eval`, and their reports."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tierwise.errors import NotFound

from ..site import Site
from .ranges import Nothing

_VERDICT = "verdict.json"
_MOST = 200
_BIGGEST = 8 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
SHOWN = {
    ".html": "text/html; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".jsonl": "text/plain; charset=utf-8",
    ".csv": "text/plain; charset=utf-8",
    ".toml": "text/plain; charset=utf-8",
    ".svg": "text/plain; charset=utf-8",
}
Word = Annotated[str, Meta(max_length=128)]


class Compared(Struct, frozen=True):
    """A cheap tier against the reference: difference of quality (cheap − reference, in −1..1) with its
    interval at `level`, and what it supports. `standing`: whether the decision stands beside the others."""

    cheap: str
    reference: str
    decision: str
    difference: float
    low: float
    high: float
    level: float
    margin: float
    n: int
    method: str
    reasons: list[str]
    standing: bool = True
    why_not: str = ""


class Run(Struct, frozen=True):
    """One run folder: `cases` and `trials` counted, None: not known; files that can be read."""

    id: str
    created: str
    suite: str
    task: str
    tiers: list[str]
    reference: str
    cases: int | None
    trials: int | None
    decisions: list[str]
    compared: list[Compared]
    decision: str
    chosen: str
    files: list[str]
    trouble: str


class Evaluations(Struct, frozen=True):
    """Runs, newest first."""

    folder: str
    runs: list[Run]


class OneRun(Struct, frozen=True):
    """Which run, by its whole id."""

    run: Word


class OneFile(Struct, frozen=True):
    """Which file of which run."""

    run: Word
    file: Word


def evaluations(site: Site, asked: Nothing) -> Evaluations:
    """The runs of this folder."""
    folder = site.runs
    names = []
    if folder.is_dir():
        names = sorted((each.name for each in folder.iterdir() if _NAME.fullmatch(each.name)), reverse=True)
    runs = [_run(folder / name) for name in names[:_MOST] if (folder / name).is_dir()]
    return Evaluations(str(folder), runs)


def one(site: Site, asked: OneRun) -> Run:
    """One run. Raises NotFound."""
    folder = site.runs / asked.run
    if not _NAME.fullmatch(asked.run) or not folder.is_dir() or folder.is_symlink():
        raise NotFound(f"There is no run {asked.run!r}.", "The runs are listed under Evaluations.")
    return _run(folder)


def verdict_file(site: Site, run: str) -> Path:
    """The verdict of a run. Raises NotFound."""
    found = one(site, OneRun(run))
    if _VERDICT not in found.files:
        raise NotFound(
            f"Run {found.id} has no verdict yet.", f"Finish it: `tierwise eval --resume {found.id}`."
        )
    return site.runs / found.id / _VERDICT


def file_of(site: Site, asked: OneFile) -> tuple[bytes, str]:
    """A file of a run and its media type. Raises NotFound."""
    run = one(site, OneRun(asked.run))
    if asked.file not in run.files:
        raise NotFound(f"Run {run.id} has no file {asked.file!r}.", "Its files are listed on its page.")
    path = site.runs / run.id / asked.file
    return path.read_bytes(), SHOWN[path.suffix]


def _run(folder: Path) -> Run:
    manifest, trouble = _json(folder / "run.json")
    suite, terms = _table(manifest, "suite"), _table(manifest, "terms")
    tiers = manifest.get("tiers")
    names = (
        [str(each.get("name", "")) for each in tiers if isinstance(each, dict)]
        if isinstance(tiers, list)
        else []
    )
    verdict, _ = _json(folder / _VERDICT)
    comparisons = _comparisons(verdict)
    return Run(
        id=folder.name,
        created=str(manifest.get("created", "")),
        suite=str(suite.get("name", "")),
        task=str(suite.get("task", "")),
        tiers=names,
        reference=str(terms.get("reference", "")),
        cases=suite.get("cases") if isinstance(suite.get("cases"), int) else None,
        trials=_trials(folder / "trials.jsonl"),
        decisions=[f"{each.cheap}: {each.decision}" for each in comparisons],
        compared=comparisons,
        decision=str(verdict.get("decision", "")),
        chosen=str(verdict.get("chosen", "")),
        files=sorted(each.name for each in folder.iterdir() if _readable(each)),
        trouble=trouble,
    )


def _readable(path: Path) -> bool:
    return (
        path.suffix in SHOWN
        and _NAME.fullmatch(path.name) is not None
        and path.is_file()
        and not path.is_symlink()
        and path.stat().st_size <= _BIGGEST
    )


def _json(path: Path) -> tuple[dict[str, Any], str]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except FileNotFoundError:
        return {}, f"{path.name} is missing"
    except (OSError, msgspec.DecodeError) as error:
        return {}, f"{path.name} cannot be read: {error}"
    return (found, "") if isinstance(found, dict) else ({}, f"{path.name} is no JSON object")


def _table(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    found = manifest.get(name)
    return found if isinstance(found, dict) else {}


def _trials(path: Path) -> int | None:
    """Answers so far: lines with a trial (lines of intent stand before each)."""
    try:
        if path.stat().st_size > _BIGGEST:
            return None
        with path.open("rb") as lines:
            return sum(b'"trial"' in line[:40] for line in lines)
    except OSError:
        return None


def _comparisons(verdict: dict[str, Any]) -> list[Compared]:
    """What `verdict.json` says of each cheap tier; one that cannot be read is left out."""
    found = []
    listed = verdict.get("comparisons")
    for each in listed if isinstance(listed, list) else []:
        said = each.get("verdict") if isinstance(each, dict) else None
        interval = said.get("interval") if isinstance(said, dict) else None
        if not isinstance(said, dict) or not isinstance(interval, list) or len(interval) != 2:
            continue
        known = {**said, "low": interval[0], "high": interval[1], "standing": each.get("standing", True),
                 "why_not": each.get("why_not", "")}  # fmt: skip
        try:
            found.append(msgspec.convert(known, Compared))
        except msgspec.ValidationError:
            continue
    return found[:8]
