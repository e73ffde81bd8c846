"""Native: rows that go to a provider's own batch, at its batch price, and how they come back.

A job is one such batch. Its rows and their pages are kept before anything is opened in the ledger, and they
are opened before anything goes upstream, so that after a crash nothing is paid that is not known.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec import Struct, structs

from tierwise.batches import Batch, BatchStore, Job, Row, RowState, jobs
from tierwise.clock import new_id, now_us, tick_us
from tierwise.errors import BudgetRefused, TierwiseError, UpstreamError, UpstreamRefused, UpstreamStatus
from tierwise.nouns import Usage
from tierwise.upstream import ENDPOINTS, Deployment, Item, Place, Said, Ticket, place_of

from .. import calling
from ..exchange import Gate, choosing, outlined
from ..walk import Walk
from . import pages
from .asking import walk_of
from .paths import asked_as
from .written import answered_line, ended_line

log = logging.getLogger("tierwise")

_MOST_ROWS = 5000
"""Rows of one job; a larger batch makes several."""
_TRIES = 4
_FIRST_WAIT_S = 1.0
_LEAST_LOOK_US, _MOST_LOOK_US, _PAUSE_US = 500_000, 60_000_000, 5_000_000
_HOUR_US = 3_600_000_000
_GROUP = 50
_AGAIN = (408, 409, 429, 500, 502, 503, 504, 529)
_BUSY = (429, 503, 529)
"""Refusals that say for certain that nothing was taken."""
T = TypeVar("T")


class Handed(Struct):
    """A row on its way to a job."""

    row: Row
    body: bytes


class Native:
    """The providers' batches of one batch of ours."""

    def __init__(self, gate: Gate, store: BatchStore, owner: str) -> None:
        self._gate = gate
        self._store = store
        self._owner = owner
        self._look_us: dict[str, int] = {}
        self._cancel_us: dict[str, float] = {}
        self._broken = 0
        self.handed_over = False
        """Whether every row that a provider's batch may take has been given to one."""

    def suits(self, batch: Batch) -> bool:
        """Whether a provider's batch has the time it may take."""
        terms = self._gate.snapshot.settings.batches
        return bool(terms.native) and batch.expires_us - batch.at_us >= terms.native_hours * _HOUR_US

    async def hand_over(self, batch: Batch) -> None:
        """Gives every row whose provider has batches of its own to one. The others stay queued."""
        after = 0
        while rows := await jobs.fresh(self._store, batch.id, after, _MOST_ROWS):
            after = rows[-1].n
            groups: dict[tuple[str, str], list[Handed]] = {}
            deployments: dict[tuple[str, str], Deployment] = {}
            for row in rows:
                found = self._written(batch, row)
                if found is not None:
                    handed, deployment = found
                    spot = (deployment.provider.name, deployment.name)
                    deployments[spot] = deployment
                    groups.setdefault(spot, []).append(handed)
                await asyncio.sleep(0)  # thousands of rows must not hold the loop
            for spot, group in groups.items():
                job = Job(new_id("job"), batch.id, *spot, at_us=now_us())
                await self._start(batch, job, deployments[spot], group)
        self.handed_over = True

    async def follow(self, batch: Batch) -> None:
        """Looks after the jobs under way: what came back is settled, what a crash left is taken up."""
        for job in await jobs.unfinished(self._store, batch.id):
            try:
                deployment = self._gate.snapshot.deployment(job.model)
            except TierwiseError as error:
                await self._wait_for(batch, job, error)
                continue
            place = self._place(batch, deployment)
            try:
                if job.state != "sent":
                    await self._take_up(batch, job, place)
                elif tick_us() >= self._look_us.get(job.id, 0) or self._ends(batch, job):
                    await self._look(batch, job, place)
            except UpstreamError as error:
                await self._wait_for(batch, job, error)

    async def _wait_for(self, batch: Batch, job: Job, error: TierwiseError) -> None:
        """A provider that cannot be asked about its batch is asked again; an hour after the batch's end it is
        given up, and the ledger's sweep books what is open at its reservation."""
        log.warning("batch %s at %s: %s", batch.id, job.provider, error.sentence())
        self._look_us[job.id] = tick_us() + _PAUSE_US
        if now_us() > batch.expires_us + _HOUR_US:
            for row in (await jobs.held(self._store, job)).values():
                await self._store.put_back(row, 0.0)
            await jobs.save(self._store, structs.replace(job, state="ended"))

    # --- to the provider

    def _written(self, batch: Batch, row: Row) -> tuple[Handed, Deployment] | None:
        """The row as its provider takes it; None: it is asked at leisure, and told any error there."""
        kind = asked_as(batch.endpoint)[1]
        try:
            walk = walk_of(self._gate, batch, row)
            walk.kind = kind
            outline = outlined(walk, kind, row.request)
            walk.read(row.request, outline)
            choosing(self._gate, walk)
            assert walk.route is not None
            candidate = walk.route.candidates[0]
            deployment = walk.snapshot.deployment(candidate.model)
            if outline.stream or not self._takes(deployment, walk) or self._leaks(deployment, walk):
                return None
            sent = calling.write(walk, deployment, candidate)
        except TierwiseError:
            return None
        page = pages.leaf_of(walk, deployment)
        return Handed(structs.replace(row, page=page), sent.body), deployment

    def _takes(self, deployment: Deployment, walk: Walk) -> bool:
        native = walk.snapshot.settings.batches.native
        if deployment.provider.name not in native:
            return False
        return walk.kind.errand is None or walk.kind.errand.suffix == "/embeddings"

    def _leaks(self, deployment: Deployment, walk: Walk) -> bool:
        """Whether a budget could not be charged with a row, since no batch price of its model is known."""
        cost = deployment.priced.cost(Usage(input=1, service_tier=pages.BATCH), now_us())
        return cost.pico is None and bool(self._gate.ledger.capped(walk.scopes))

    def _place(self, batch: Batch, deployment: Deployment) -> Place:
        _, kind = asked_as(batch.endpoint)
        endpoint = ENDPOINTS.get(deployment.dialect.name, "")
        if kind.errand is not None:
            endpoint = f"/v1{kind.errand.suffix}"
        return place_of(self._gate.caller.pool, deployment, endpoint)

    async def _start(self, batch: Batch, job: Job, deployment: Deployment, group: list[Handed]) -> None:
        if not await jobs.assign(self._store, self._owner, job, [handed.row for handed in group]):
            return
        kept = []
        for first in range(0, len(group), _GROUP):
            part = group[first : first + _GROUP]
            opened = await asyncio.gather(
                *(pages.opened(self._gate, batch, handed.row) for handed in part), return_exceptions=True
            )
            for handed, refusal in zip(part, opened, strict=True):
                if refusal is None:
                    kept.append(handed)
                elif isinstance(refusal, TierwiseError):
                    # Asked at leisure, its budget may have room again, or the row is told that it has not.
                    tries = 1 if isinstance(refusal, BudgetRefused) else 0
                    await self._store.put_back(structs.replace(handed.row, tries=tries), 0.0)
                else:
                    raise refusal
        if not kept:
            await jobs.save(self._store, structs.replace(job, state="ended"))
            return
        items = [Item(name_of(handed.row), handed.body) for handed in kept]
        try:
            await self._submit(job, self._place(batch, deployment), items)
        except (UpstreamStatus, UpstreamRefused) as error:
            log.warning(
                "batch %s: %s takes no batch, its %d rows are asked one by one at the full price: %s",
                batch.id, job.provider, len(kept), error.sentence(),
            )  # fmt: skip
            await self._give_back(batch, job, [handed.row for handed in kept], error)
        except UpstreamError as error:
            # It may have been taken: `follow` asks.
            log.warning("batch %s at %s: %s", batch.id, job.provider, error.sentence())

    async def _submit(self, job: Job, place: Place, items: Sequence[Item]) -> None:
        file = await patiently(lambda: place.upload(job.id, items))
        job = structs.replace(job, state="submitting", input_file=file)
        await jobs.save(self._store, job)
        try:
            # Asked twice only where it was refused in passing: a provider that broke off may have taken it.
            upstream = await patiently(lambda: place.submit(job.id, file, items), _BUSY)
        except (UpstreamStatus, UpstreamRefused):
            await _forget(job, place)
            raise
        await jobs.save(self._store, structs.replace(job, state="sent", upstream=upstream))
        log.info("%d rows are batch %s at %s", len(items), upstream, job.provider)

    async def _give_back(
        self, batch: Batch, job: Job, rows: Sequence[Row], error: TierwiseError | None
    ) -> None:
        """Closes rows that no provider answered, and queues them to be asked at leisure."""
        for row in rows:
            status = error.status if error is not None else 499
            await pages.Returned(self._gate, batch, row).unanswered(status, error)
            await self._store.put_back(structs.replace(row, tries=1), 0.0)
        await jobs.save(self._store, structs.replace(job, state="ended"))

    async def _take_up(self, batch: Batch, job: Job, place: Place) -> None:
        """A job that a crash, or a break of the connection, left half handed over."""
        upstream = await place.find(job.id) if job.state == "submitting" else ""
        if upstream:
            await jobs.save(self._store, structs.replace(job, state="sent", upstream=upstream))
            return
        await _forget(job, place)
        rows = await jobs.held(self._store, job)
        if upstream is None:
            log.warning(
                "batch %s: %s may have taken %d rows: booked by estimate, they are asked again",
                batch.id, job.provider, len(rows),
            )  # fmt: skip
        for row in rows.values():
            returned = pages.Returned(self._gate, batch, row)
            await (returned.lost() if upstream is None else returned.unanswered(499, None))
            await self._store.put_back(row, 0.0)
        await jobs.save(self._store, structs.replace(job, state="ended"))
        self._broken += 1
        self.handed_over = self._broken >= _TRIES  # where it always breaks they are asked one by one

    # --- back from the provider

    def _ends(self, batch: Batch, job: Job) -> bool:
        """Whether the provider is yet to be told, or to be told again, that its batch is to end."""
        return is_over(batch) and tick_us() >= self._cancel_us.get(job.id, 0)

    async def _end(self, job: Job, place: Place) -> None:
        """Ends the provider's batch; what fails in passing is tried again after a pause."""
        self._cancel_us[job.id] = tick_us() + _PAUSE_US
        try:
            await place.cancel(job.upstream)
        except UpstreamError as error:
            log.info("batch %s at %s: %s", job.upstream, job.provider, error.sentence())
            if not isinstance(error, UpstreamStatus) or error.status in _AGAIN:
                return
        self._cancel_us[job.id] = math.inf

    async def _look(self, batch: Batch, job: Job, place: Place) -> None:
        if self._ends(batch, job):
            await self._end(job, place)
        ticket = await place.look(job.upstream)
        if not ticket.ended:
            age_us = now_us() - job.at_us
            self._look_us[job.id] = tick_us() + min(max(age_us // 20, _LEAST_LOOK_US), _MOST_LOOK_US)
            return
        if ticket.failed:
            log.warning("batch %s failed at %s: %s", job.upstream, job.provider, ticket.failed)
        await self._collect(batch, job, place, ticket)

    async def _collect(self, batch: Batch, job: Job, place: Place, ticket: Ticket) -> None:
        rows = {name_of(row): row for row in (await jobs.held(self._store, job)).values()}
        settled: dict[RowState, list[tuple[Row, bytes]]] = {}
        for number, said in enumerate(await place.outcomes(ticket), 1):
            row = rows.pop(said.name, None)
            if row is not None:
                state, line = await self._came_back(batch, row, said)
                if line:
                    settled.setdefault(state, []).append((row, line))
            if number % _GROUP == 0:
                await self._settle(settled)
        await self._settle(settled)
        # What the provider says nothing of was not answered.
        await self._give_back(batch, job, list(rows.values()), None)
        await _forget(job, place, ticket)

    async def _came_back(self, batch: Batch, row: Row, said: Said) -> tuple[RowState, bytes]:
        """What is to be kept of a row; no line: it was queued again."""
        returned = pages.Returned(self._gate, batch, row)
        over = is_over(batch)
        if said.over:
            await returned.unanswered(499, None)
            if over:
                state: RowState = "canceled" if batch.state == "cancelling" else "expired"
                return state, ended_line(batch, row, state)
            await self._store.put_back(structs.replace(row, tries=1), 0.0)
            return "queued", b""
        told = await returned.answered(said)
        if said.status in _AGAIN and not over:
            await self._store.put_back(structs.replace(row, tries=1), _FIRST_WAIT_S)
            return "queued", b""
        state = "succeeded" if told.status < 300 else "errored"
        return state, answered_line(batch, row, told)

    async def _settle(self, settled: dict[RowState, list[tuple[Row, bytes]]]) -> None:
        for state, ended in settled.items():
            await self._store.settle(ended, state)
            self._gate.metrics.batch_settled[state] += len(ended)
        settled.clear()


async def patiently(ask: Callable[[], Awaitable[T]], only: tuple[int, ...] = ()) -> T:
    """`ask`, again after a pause where it failed in passing, with `only` where it failed with one of these.
    Raises UpstreamError.
    """
    tries = 0
    while True:
        try:
            return await ask()
        except UpstreamError as error:
            tries += 1
            passing = error.status in (only or _AGAIN) if isinstance(error, UpstreamStatus) else not only
            if tries >= _TRIES or not passing:
                raise
        await asyncio.sleep(_FIRST_WAIT_S * 2**tries)


async def _forget(job: Job, place: Place, ticket: Ticket | None = None) -> None:
    """Deletes what the provider holds of a job; no `ticket`: it made no batch of what was uploaded."""
    try:
        await place.forget(ticket or Ticket(""), job.input_file)
    except UpstreamError as error:
        log.info("left at %s: %s", job.provider, error.sentence())


def is_over(batch: Batch) -> bool:
    """Whether nothing more of a batch is to be asked: it is being cancelled, or its time has passed."""
    return batch.state == "cancelling" or now_us() >= batch.expires_us


def name_of(row: Row) -> str:
    """What a row is called at a provider: callers' own names may be of a kind it does not take."""
    return f"r{row.n}"
