"""What the laboratory's tests share: suites and tiers in memory."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tierwise.errors import UpstreamError
from tierwise.lab.cases.suites import Shape, make_suite
from tierwise.lab.grading.scoring import judge_of, parse_spec
from tierwise.lab.running.records import Manifest, SuiteCard, Terms, TierCard
from tierwise.lab.running.replies import Reply
from tierwise.lab.running.runner import Runner, Work
from tierwise.lab.running.store import RunFolder
from tierwise.nouns import Bar, Case, Price, Source, Suite, Usage

PRICE = Price("p", Source("test", "2026-11-22"), input=10**6, output=5 * 10**6)


def cases(n: int, clusters: int = 0) -> list[Case]:
    """n Cases whose right answer is `right`."""
    return [
        Case(f"q{i}", f"question {i}", "right", f"c{i % clusters}" if clusters else None) for i in range(n)
    ]


def suite(n: int, clusters: int = 0, task: str = "classification") -> Suite:
    return make_suite("made", [(c.id, c) for c in cases(n, clusters)], Shape(task=task))


class Fake:
    """A tier whose answer is decided by `said(case id, repeat)`; an exception is raised instead of given."""

    def __init__(self, name: str, said: Callable[[str, int], Any], cost: int | None = 1000) -> None:
        self.card = TierCard(name, "provider", f"agg/{name}", "", name)
        self.price: Price | None = PRICE
        self.longest: int | None = None
        self.free = False
        self.asked: list[str] = []
        self.in_flight = self.most = 0
        self._said = said
        self._cost = cost

    async def answer(self, case: Case, repeat: int) -> Reply:
        self.asked.append(case.id)
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            await asyncio.sleep(0)
            said = self._said(case.id, repeat)
        finally:
            self.in_flight -= 1
        if isinstance(said, UpstreamError):
            raise said
        if isinstance(said, Reply):
            return said
        return Reply(str(said), "ok", Usage(10, output=5), self._cost, 2000, 1000, served=self.card.model)


def accurate(share: float, seed: int) -> Callable[[str, int], str]:
    """Right on about `share` of the Cases, the same ones every time."""
    return lambda id_, repeat: (
        "right" if random.Random(f"{seed}/{id_}/{repeat}").random() < share else "wrong"
    )


def manifest(found: Suite, tiers: Sequence[Fake], reference: str, **terms: Any) -> Manifest:
    card = SuiteCard(found.name, found.task, found.hash, len(found.cases), found.scorer)
    given = {"n": len(found.cases), "bar": Bar(), **terms}
    return Manifest(
        "run-1", "2026-11-22T10:00:00Z", card, Terms(reference, **given), tuple(t.card for t in tiers)
    )


def runner(
    folder: Path, found: Suite, tiers: Sequence[Fake], work: Work | None = None, repeats: int = 1
) -> Runner:
    """A runner over a fresh (or the same) run folder, its trials loaded."""
    run = RunFolder(folder / "run-1")
    if not (folder / "run-1").exists():
        run = RunFolder.create(manifest(found, tiers, tiers[-1].card.name), found, folder)
    run.open_to_write()
    made = Runner(
        run, found.cases, tiers, judge_of(parse_spec(found.scorer), found.cases), work or Work(backoff_s=0.0)
    )
    made.load([tier.card.name for tier in tiers], repeats)
    return made
