"""Runner: takes the batches that are to be worked, keeps the lease on them, and works each."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from tierwise.batches import LEASE_US, BatchStore
from tierwise.clock import new_id, tick_us
from tierwise.errors import StoreError

from ..exchange import Gate
from .work import Room, Work

log = logging.getLogger("tierwise")

_MOST = 8
"""Batches worked at once; others wait their turn."""
_RENEW_S = 5.0
_PURGE_US = 600_000_000
_AFTER_FAULT_S = 30.0


class Runner:
    """The batches this process works. Belongs to the data plane's event loop; costs nothing while there are
    none."""

    def __init__(self, gate: Gate, store: BatchStore) -> None:
        self._gate = gate
        self._store = store
        self._room = Room(gate)
        self._owner = new_id("owner")
        self._working: dict[str, tuple[Work, asyncio.Task[None]]] = {}
        self._bell = asyncio.Event()
        self._purged_us: int | None = None
        self._looked_us: int | None = None
        self._trusts_us = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins, with what an earlier process left."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self, batch: str = "") -> None:
        """There is a new batch, or something new about that one."""
        self._bell.set()
        if batch in self._working:
            self._working[batch][0].wake()

    async def drain(self, timeout_s: float) -> None:
        """Begins no more rows and waits for those under way."""
        self._stopping = True
        works = list(self._working.values())
        for work, _ in works:
            work.stopping = True
            work.wake()
        if works:
            await asyncio.wait([task for _, task in works], timeout=max(timeout_s, 0.1))

    async def close(self) -> None:
        """Lets go of its batches, once drained; what is cut off is asked again at the next start."""
        works = list(self._working.values())
        for task in (*([self._task] if self._task else []), *(task for _, task in works)):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._store.opened:
            with suppress(StoreError):
                await self._store.release(self._owner)
        await self._store.close()

    async def _run(self) -> None:
        away = False
        while not self._stopping:
            try:
                await self._look()
                away = False
            except StoreError as error:
                if not away:
                    log.warning("batches wait: %s", error.sentence())
                away = True
            quiet = not self._working and not self._store.shared and not away
            with suppress(TimeoutError):
                async with asyncio.timeout(_PURGE_US / 1e6 if quiet else _RENEW_S):
                    await self._bell.wait()
            self._bell.clear()

    async def _look(self) -> None:
        if not self._store.used():
            return
        if self._working:
            mine = await self._store.renew(self._owner)
            for id, (work, task) in self._working.items():
                if id not in mine and not task.done():
                    # It ended just now, or another replica took it while this one could not renew.
                    work.stopping = True
                    work.wake()
        for batch in await self._store.claim(self._owner, _MOST - len(self._working), self._trusts):
            self._work(batch.id)
        self._looked_us = tick_us()
        self._gate.metrics.batch_rows = await self._store.census()
        if self._purged_us is None or tick_us() - self._purged_us > _PURGE_US:
            self._purged_us = tick_us()
            await self._store.purge(self._gate.snapshot.settings.batches.keep_us)

    def _trusts(self) -> bool:
        """Whether a lease that is over means that its owner is dead. Where the store was away, or this
        process stood still, every lease looks over: each owner gets one to come back. From the store's
        thread."""
        now = tick_us()
        if self._looked_us is None or now - self._looked_us > LEASE_US // 2:
            self._looked_us, self._trusts_us = now, now + LEASE_US
        return now >= self._trusts_us

    def _work(self, id: str) -> None:
        work = Work(self._gate, self._store, self._room, self._owner, id)
        task = asyncio.get_running_loop().create_task(self._guarded(work))
        self._working[id] = (work, task)

    async def _guarded(self, work: Work) -> None:
        try:
            await work.run()
        except Exception:  # recorded: the log; the batch is taken up again after a pause
            log.exception("batch %s stopped", work.id)
            await asyncio.sleep(_AFTER_FAULT_S)
            with suppress(StoreError):
                await self._store.release(self._owner, work.id)
        finally:
            self._working.pop(work.id, None)
            self._bell.set()
