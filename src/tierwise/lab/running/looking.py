"""Looking: the running comparison of `--sequential`. Cases count in the order drawn beforehand, whatever
order the answers come in, so that the decision depends on the seed and not on speed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from msgspec import structs

from ...judging import EProcess, judge_pairs
from ...judging.decision import MOST_MISSING
from ...judging.decision import Terms as JudgingTerms
from ...judging.sequential import ln_threshold
from ...nouns import Case
from ..compare import grown
from ..results import read_evaluation
from .records import Manifest
from .store import RunFolder
from .tally import TierTally, pairs_of


class Look:
    """One cheap tier against the reference: an e-value over the Cases that both have ended, in order.

    `decided` is after how many Cases of the order a decision fell, None: none yet.
    """

    def __init__(
        self, cheap: TierTally, reference: TierTally, order: Sequence[Case], terms: JudgingTerms
    ) -> None:
        self.decided: int | None = None
        self.position = 0
        self.process = EProcess(terms.bar.margin)
        self._cheap, self._reference = cheap, reference
        self._order = order
        self._terms = terms
        self._clustered = any(case.cluster for case in order)
        self._cluster: list[float] = []
        self._scored = self._missing = 0

    def advance(self) -> bool:
        """Takes in what has come; True when the position moved."""
        before = self.position
        while (
            self.decided is None
            and self.position < len(self._order)
            and self._cheap.complete(self.position)
            and self._reference.complete(self.position)
        ):
            self._take(self.position)
            self.position += 1
            if self._whole():
                self._look()
        return self.position > before

    def _take(self, at: int) -> None:
        cheap, reference = self._cheap.score(at), self._reference.score(at)
        if cheap is None or reference is None:
            self._missing += 1
        else:
            self._scored += 1
            self._cluster.append(cheap - reference)

    def _whole(self) -> bool:
        """Whether the next Case belongs to another cluster; then the cluster's mean is bet on."""
        if self._clustered and self.position < len(self._order):
            ended = self._order[self.position].cluster != self._order[self.position - 1].cluster
        else:
            ended = True
        if ended and self._cluster:
            self.process.add(math.fsum(self._cluster) / len(self._cluster))
            self._cluster = []
            return True
        return False

    def _look(self) -> None:
        bar = self._terms.bar
        enough = max(self.process.ln_switch, self.process.ln_keep) >= ln_threshold(bar.alpha)
        lost = self._missing > MOST_MISSING * (self._scored + self._missing)
        if not enough or lost or self._scored < bar.least_cases:
            return
        pairs = pairs_of(self._cheap, self._reference, self._order, self.position)
        if judge_pairs(pairs, self._terms).decision != "not_enough":
            self.decided = self.position


class Looking:
    """All cheap tiers' Looks. Keeps every tier within `window` Cases of the slowest, so that no answer is
    paid for that a decision would have made needless.
    """

    def __init__(self, looks: dict[str, Look], reference: str, window: int) -> None:
        self.looks = looks
        self._reference = reference
        self._window = window
        self._stopped = False
        self._waiting: list[asyncio.Future[None]] = []

    def wanted(self, tier: str) -> bool:
        """Whether answers of this tier are still needed."""
        if self._stopped:
            return False
        if tier == self._reference:
            return any(look.decided is None for look in self.looks.values())
        return self.looks[tier].decided is None

    def advance(self) -> None:
        """To be called after each Trial."""
        moved = [look.advance() for look in self.looks.values()]
        if any(moved):
            self.wake()

    def stop(self) -> None:
        """Nothing is needed any more."""
        self._stopped = True
        self.wake()

    def wake(self) -> None:
        """Lets everyone who waits look again."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def turn(self, tier: str, position: int) -> bool:
        """Waits until the Case at `position` is near enough; False when it is not needed any more."""
        while self.wanted(tier):
            running = [look.position for look in self.looks.values() if look.decided is None]
            if not running or position < min(running) + self._window:
                return bool(running)
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return False


def after_a_look(run: RunFolder, tallies: Mapping[str, TierTally], manifest: Manifest) -> Manifest:
    """The manifest, which says so when Cases were added after a verdict had been drawn (with a larger -n, or
    a raised cost limit): that is optional stopping, and from here on e-values decide.
    """
    path, terms = run.path / "verdict.json", manifest.terms
    if terms.sequential or not path.exists() or not grown(read_evaluation(path), tallies):
        return manifest
    manifest = structs.replace(manifest, terms=structs.replace(terms, judged=terms.judged + 1))
    run.write_manifest(manifest)
    return manifest
