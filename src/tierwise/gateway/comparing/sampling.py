"""Sampling: prompts and answers of tasks that opted in, kept in files beside the policy, never in the ledger.

The caller has its reply before anything here begins; reading, masking and writing happen in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from tierwise.clock import now_us, rfc3339
from tierwise.config.samplefile import Kept, Sample, keep_samples, sample_line, samples_folder
from tierwise.dialects import registry
from tierwise.errors import TierwiseError
from tierwise.judging.alarm import Said
from tierwise.nouns import Candidate, Task

from ..calling import Live
from ..metrics import Metrics
from ..snapshot import Snapshot
from ..walk import Walk
from .second import refuse_acts
from .shadow import MOST_BODY, drawn

log = logging.getLogger("tierwise")

_MOST_WAITING = 256
_DAY_US = 86_400_000_000
Listened = Callable[[], Said | None]
_FIELDS = ("tools", "tool_choice", "response_format")


class Heard(Struct, frozen=True):
    """One call that is to be kept."""

    task: Task
    walk: Walk
    candidate: Candidate
    said: Listened


class Samples:
    """The samples of this process. Counted in `metrics.samples`: `kept`, `dropped` (no room to wait),
    `capped` (the day has its number), `failed` (no whole answer, or it would act twice if asked again).
    """

    def __init__(self, metrics: Metrics) -> None:
        self._counts = metrics.samples
        self._tasks: Mapping[str, Task] = MappingProxyType({})
        self._waiting: deque[Heard] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._days: dict[str, tuple[int, Kept]] = {}
        self._full: dict[str, int] = {}

    def use(self, snapshot: Snapshot) -> None:
        """From now on samples as `snapshot` says."""
        tasks = {name: task for name, task in snapshot.policy.tasks.items() if task.sample_share > 0}
        self._tasks = MappingProxyType(tasks)

    def wants(self, walk: Walk, live: Live) -> bool:
        """Whether this Exchange is in the sample: a question of an opted-in task, answered by a tier, and
        drawn by its id.
        """
        tasks, route = self._tasks, walk.route
        if not tasks or route is None:
            return False
        task, outline = tasks.get(route.task), walk.outline
        return (
            task is not None
            and walk.kind.errand is None
            and live.entry.candidate.tier != ""
            and not outline.thinking_history
            and outline.choices == 1
            and len(walk.body) <= MOST_BODY
            and self._full.get(task.name) != walk.at_us // _DAY_US
            and drawn(walk.id, task.sample_share, b"sample")
        )

    def consider(self, walk: Walk, candidate: Candidate, said: Listened) -> None:
        """Takes up a reply that was sent. Returns at once; when there is no room, drops it."""
        task = self._tasks.get(walk.route.task) if walk.route is not None else None
        if task is None:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._counts[task.name, "dropped"] += 1
            return
        self._waiting.append(Heard(task, walk, candidate, said))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """What waits is kept."""
        while self._writing is not None:
            await asyncio.wait((self._writing,))

    async def _write(self) -> None:
        try:
            while self._waiting:
                batch = [*self._waiting]
                self._waiting.clear()
                await asyncio.to_thread(self._keep, batch)
        except Exception:  # recorded: the log; a sample must never end the gateway
            log.exception("samples could not be kept")
        finally:
            self._writing = None

    def _keep(self, batch: list[Heard]) -> None:
        """In a thread: reads, masks and appends."""
        at_us = now_us()
        today, day = at_us // _DAY_US, rfc3339(at_us)[:10]
        by_task: dict[str, list[Heard]] = {}
        for heard in batch:
            by_task.setdefault(heard.task.name, []).append(heard)
        for name, several in by_task.items():
            folder = samples_folder(several[0].walk.snapshot.settings.policy_path, name)
            known, seen = self._days.get(name, (0, Kept()))
            seen = seen if known == today else Kept()
            most = several[0].task.sample_daily
            lines = [line for each in several if (line := self._line(each))]
            if not lines:
                continue
            try:
                now = keep_samples(folder, day, lines, most, seen)
            except TierwiseError as error:
                self._counts[name, "failed"] += len(lines)
                log.error("%s", error.sentence())
                continue
            self._days[name] = (today, now)
            self._counts[name, "kept"] += now.added
            if now.added < len(lines):
                self._counts[name, "capped"] += len(lines) - now.added
                self._full[name] = today

    def _line(self, heard: Heard) -> bytes:
        try:
            sample = sample_of(heard)
        except TierwiseError as error:
            log.debug("no sample: %s", error.sentence())
            sample = None
        if sample is None:
            self._counts[heard.task.name, "failed"] += 1
            return b""
        return sample_line(sample, heard.walk.snapshot.settings.secrets)


def sample_of(heard: Heard) -> Sample | None:
    """The call as a Sample; None without a whole answer. Raises LossRefused where asking it again would do
    something again, BadRequest when it cannot be read.
    """
    walk, said = heard.walk, heard.said()
    if said is None or said.outcome != "ok" or not said.text.strip():
        return None
    ask = walk.ask()
    refuse_acts(ask)
    deployment = walk.snapshot.deployment(heard.candidate.model)
    written = registry.get("openai_chat").write_request(ask, deployment.model)
    body: dict[str, Any] = msgspec.json.decode(written.body)
    return Sample(
        at=rfc3339(walk.at_us),
        exchange=walk.id,
        tier=heard.candidate.tier,
        model=heard.candidate.model,
        messages=body["messages"],
        answer=said.text,
        fields={name: body[name] for name in _FIELDS if body.get(name)},
    )
