"""Aside: what is done with a reply after its caller has it: a shadow call, a sample. Both hear it once."""

from __future__ import annotations

from msgspec import Struct

from tierwise.judging.alarm import Said
from tierwise.nouns import Candidate

from ..calling import Caller, Live
from ..snapshot import Snapshot
from ..walk import Walk
from .overheard import Overheard
from .sampling import Samples
from .shadow import Shadow


class Kept(Struct, frozen=True):
    """An answer that is listened to, by whom it was given, and what it is for."""

    heard: Overheard
    candidate: Candidate
    shadowed: bool
    sampled: bool


class Aside:
    """`on`: whether any task asks for either."""

    def __init__(self, caller: Caller) -> None:
        self.shadow = Shadow(caller)
        self.samples = Samples(caller.book.metrics)
        self.on = False

    def use(self, snapshot: Snapshot) -> None:
        """From now on as `snapshot` says. Belongs to the running event loop."""
        self.shadow.use(snapshot)
        self.samples.use(snapshot)
        self.on = any(
            task.shadow_share > 0 or task.sample_share > 0 for task in snapshot.policy.tasks.values()
        )

    def listen(self, walk: Walk, live: Live) -> Kept | None:
        """Begins to listen to an answer that is about to be written; None: nobody wants it."""
        heard, sampled = self.shadow.listen(walk, live), self.samples.wants(walk, live)
        if heard is None and not sampled:
            return None
        return Kept(heard or Overheard(live), live.entry.candidate, heard is not None, sampled)

    def consider(self, walk: Walk, kept: Kept) -> None:
        """Takes up a reply that was sent. Returns at once."""
        if kept.sampled:
            self.samples.consider(walk, kept.candidate, kept.heard.said)
        if kept.shadowed:
            self.shadow.consider(walk, kept.heard, self._tell if kept.sampled else None)

    def _tell(self, walk: Walk, candidate: Candidate, said: Said) -> None:
        """A sampled call's shadow is a sample too: the label of the same question."""
        self.samples.consider(walk, candidate, lambda: said)

    async def close(self) -> None:
        """Ends shadow calls and keeps what is to be kept."""
        await self.shadow.close()
        await self.samples.close()
