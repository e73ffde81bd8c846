"""Work: one batch from its first row to its last, by the process that has the lease on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from msgspec import structs

from tierwise.batches import ENDED, Batch, BatchStore, File, Row, RowState, inputs
from tierwise.clock import new_id, now_us
from tierwise.errors import StoreError, TierwiseError

from ..exchange import Gate
from .asking import Answered, Later, ask
from .lines import Lines, fault
from .native import Native, is_over
from .written import answered_line, ended_line

log = logging.getLogger("tierwise")

_LOOK_S = 2.0
_STORE_REST_S = 2.0
_CHUNK = 500


class Room:
    """How many rows of all batches may be asked at once, as the configuration now in force says."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.running = 0
        self.hungry: set[str] = set()
        """Batches that have rows to ask; they share the room evenly."""

    def free(self, own: int) -> int:
        """Rows that a batch with `own` under way may begin now: none while the gateway is half full of its
        callers' own requests."""
        admission = self._gate.admission
        if admission.draining or admission.running - self.running > admission.most // 2:
            return 0
        most = self._gate.snapshot.settings.batches.at_once
        share = max(1, most // max(1, len(self.hungry)))
        return max(0, min(most - self.running, share - own))


class Work:
    """One batch being worked by its owner. `wake` makes it look again at once."""

    def __init__(self, gate: Gate, store: BatchStore, room: Room, owner: str, id: str) -> None:
        self._gate = gate
        self._store = store
        self._room = room
        self._asking: set[asyncio.Task[None]] = set()
        self._bell = asyncio.Event()
        self._native = Native(gate, store, owner)
        self._owner = owner
        self.id = id
        self.stopping = False

    def wake(self) -> None:
        """There may be something new: room, a cancellation, a result."""
        self._bell.set()

    async def run(self) -> None:
        """Works until the batch has ended or the process stops; rows under way are waited for."""
        try:
            while not self.stopping:
                try:
                    if await self._step():
                        return
                except TierwiseError as error:
                    log.warning("batch %s waits: %s", self.id, error.sentence())
                    await asyncio.sleep(_STORE_REST_S)
            while self._asking:
                await asyncio.wait(tuple(self._asking))
        finally:
            self._room.hungry.discard(self.id)
            for task in self._asking:
                task.cancel()

    async def _step(self) -> bool:
        """One look at the batch; whether it has ended."""
        batch = await self._store.mine(self._owner, self.id)
        if batch is None:
            # Another replica took it while this one could not renew; what is under way is waited for.
            self.stopping = True
            return False
        if batch.state in ENDED:
            return True
        if batch.state == "validating":
            return await self._validate(batch)
        if self._native.suits(batch):
            await self._native.follow(batch)
        if is_over(batch):
            return await self._end_early(batch)
        if self._native.suits(batch) and not self._native.handed_over:
            await self._native.hand_over(batch)
        wait_s = _LOOK_S
        self._room.hungry.add(self.id)
        free = self._room.free(len(self._asking))
        if free > 0:
            rows = await self._store.take(self._owner, self.id, free)
            for row in rows:
                self._begin(batch, row)
            if not rows and not self._asking:
                self._room.hungry.discard(self.id)
                queued, sent, wait_s = await self._store.waiting(self.id)
                if not queued and not sent:
                    await self._finish(batch, "completed")
                    return True
        await self._sleep(min(max(wait_s, 0.01), _LOOK_S))
        return False

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            pass
        self._bell.clear()

    # --- beginning and end

    async def _validate(self, batch: Batch) -> bool:
        """Reads the input file; whether that was the batch's end."""
        # What is there is from a validation that broke off.
        if not await inputs.forget(self._store, self._owner, batch.id):
            return False
        file = await self._store.file(batch.key, batch.input_file)
        if file is None:
            errors = [fault("invalid_file", "The input file is no longer there.", param="input_file_id")]
        else:
            lines = Lines(batch.id, batch.endpoint, self._gate.snapshot.settings.batches.max_rows)
            await inputs.begin(self._store, self._owner, batch.id, file, lines)
            errors = lines.errors
        if not errors or not await inputs.forget(self._store, self._owner, batch.id):
            return False
        await self._store.finish(structs.replace(batch, state="failed", errors=tuple(errors)))
        return True

    async def _end_early(self, batch: Batch) -> bool:
        """Cancelled or expired: what runs may end, what waits is told so."""
        if self._asking:
            await self._sleep(_LOOK_S)
            return False
        if batch.started_us is None:
            # Cancelled while its file was read: only some of its rows are there.
            await inputs.forget(self._store, self._owner, batch.id)
        cancelled = batch.state == "cancelling"
        state: RowState = "canceled" if cancelled else "expired"
        while rows := await self._store.queued(self.id, _CHUNK):
            await self._store.settle([(row, ended_line(batch, row, state)) for row in rows], state)
            self._gate.metrics.batch_settled[state] += len(rows)
        _, sent, _ = await self._store.waiting(self.id)
        if sent:
            await self._sleep(_LOOK_S)
            return False
        await self._finish(batch, "cancelled" if cancelled else "expired")
        return True

    async def _finish(self, batch: Batch, state: str) -> None:
        counts = (await self._store.counts([batch.id]))[batch.id]
        if state == "expired" and not counts.expired:
            state = "completed"  # every row was asked in time
        ended = structs.replace(batch, state=state)
        files = []
        if batch.surface != "anthropic_messages":
            lost = counts.errored + counts.canceled + counts.expired
            if counts.succeeded:
                files.append(self._file(batch, "output"))
                ended = structs.replace(ended, output_file=files[-1].id)
            if lost:
                files.append(self._file(batch, "error"))
                ended = structs.replace(ended, error_file=files[-1].id)
        await self._store.finish(ended, files)
        log.info("batch %s %s: %d of %d rows succeeded", batch.id, state, counts.succeeded, counts.total)

    def _file(self, batch: Batch, part: str) -> File:
        at_us = now_us()
        keep_us = self._gate.snapshot.settings.batches.keep_us
        if batch.output_keep_us is not None:
            keep_us = min(keep_us, batch.output_keep_us)
        name = f"{batch.id}_{part}.jsonl"
        id = new_id("file", at_us).replace("_", "-")
        return File(id, batch.key, at_us, name, "batch_output", 0, at_us + keep_us, batch.id, part)

    # --- rows

    def _begin(self, batch: Batch, row: Row) -> None:
        self._room.running += 1
        task = asyncio.get_running_loop().create_task(self._one(batch, row))
        self._asking.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._room.running -= 1
        self._bell.set()

    async def _one(self, batch: Batch, row: Row) -> None:
        try:
            told = await ask(self._gate, batch, row, alone=self._room.running <= 1)
        except Exception:  # recorded: the log, and the row's own result
            log.exception("batch %s: row %d failed inside the gateway", batch.id, row.n)
            told = Answered(500, b'{"error":{"message":"Something went wrong inside the gateway."}}', "")
        if isinstance(told, Later):
            row = structs.replace(row, tries=row.tries + told.counts)
            await self._held(self._store.put_back, row, told.seconds)
            return
        state: RowState = "succeeded" if told.status < 300 else "errored"
        await self._held(self._store.settle, [(row, answered_line(batch, row, told))], state)
        self._gate.metrics.batch_settled[state] += 1

    async def _held(self, write: Callable[..., Awaitable[None]], *values: object) -> None:
        """Writes what became of a row, however long the store is away: it was paid for."""
        while True:
            try:
                await write(*values)
                return
            except StoreError as error:
                log.warning("batch %s: a result waits for the store: %s", self.id, error.sentence())
                await asyncio.sleep(_STORE_REST_S)
