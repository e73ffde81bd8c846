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
    report, _ = _json(folder / "report.json")
    return Run(
        id=folder.name,
        created=str(manifest.get("created", "")),
        suite=str(suite.get("name", "")),
        task=str(suite.get("task", "")),
        tiers=names,
        reference=str(terms.get("reference", "")),
        cases=suite.get("cases") if isinstance(suite.get("cases"), int) else None,
        trials=_trials(folder / "trials.jsonl"),
        decisions=_decisions(report),
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


def _decisions(report: Any) -> list[str]:
    """What a report decided, wherever it keeps its verdicts."""
    found: list[str] = []
    verdicts = report.get("verdicts") or report.get("comparisons") or []
    for each in verdicts if isinstance(verdicts, list) else []:
        verdict = each.get("verdict", each) if isinstance(each, dict) else {}
        if isinstance(verdict, dict) and isinstance(verdict.get("decision"), str):
            cheap = str(verdict.get("cheap", ""))
            found.append(f"{cheap}: {verdict['decision']}" if cheap else verdict["decision"])
    return found[:8]
