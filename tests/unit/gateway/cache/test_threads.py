"""Threads: what hangs in one of them holds up no other, and nobody's end."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from tierwise.gateway.cache.threads import Threads


async def test_work_is_done_elsewhere_and_told_here() -> None:
    threads = Threads(1)
    thread = await threads.run(threading.current_thread)
    assert thread is not threading.current_thread()
    assert thread.daemon, "an executor's threads are waited for when the process ends"
    assert await threads.run(threading.current_thread) is thread
    for work, raised in ((lambda: 1 / 0, ZeroDivisionError), (sys.exit, RuntimeError)):
        with pytest.raises(raised):
            await threads.run(work)
    assert await threads.run(threading.current_thread) is thread


async def test_what_hangs_takes_one_thread_and_what_nobody_wants_none() -> None:
    threads, over, done = Threads(2), threading.Event(), []
    hangs = asyncio.create_task(threads.run(over.wait))
    assert await threads.run(lambda: "soon") == "soon"
    other = asyncio.create_task(threads.run(over.wait))
    unwanted = asyncio.create_task(threads.run(lambda: done.append("unwanted")))
    await asyncio.sleep(0)
    unwanted.cancel()
    over.set()
    assert await asyncio.gather(hangs, other) == [True, True]
    assert await threads.run(lambda: len(done)) == 0
