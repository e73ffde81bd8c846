"""Threads for functions of the user's: one that hangs holds up neither the gateway nor its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Made = TypeVar("Made")
_Job = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class Threads:
    """At most `most` threads, started as they are wanted. They end with the process: an executor's would be
    waited for then."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._jobs: SimpleQueue[_Job] = SimpleQueue()

    async def run(self, work: Callable[[], Made]) -> Made:
        """What `work` gives. Raises what it raises. What nobody waits for any more is not begun."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Made] = loop.create_future()
        self._jobs.put((loop, done, work))
        if self._left:
            self._left -= 1
            Thread(target=self._serve, name="vectors", daemon=True).start()
        return await done

    def _serve(self) -> None:
        while True:
            loop, done, work = self._jobs.get()
            if done.done():
                continue
            made: Any = None
            failed: Exception | None = None
            try:
                made = work()
            except BaseException as error:  # noqa: BLE001  # recorded: by whoever waits
                # A function that says SystemExit must not end the gateway.
                said = f"{type(error).__name__}: {error}"
                failed = error if isinstance(error, Exception) else RuntimeError(said)
            try:
                loop.call_soon_threadsafe(_tell, done, made, failed)
            except RuntimeError:  # the gateway has ended
                return


def _tell(done: asyncio.Future[Any], made: Any, failed: Exception | None) -> None:
    if done.done():
        return
    if failed is None:
        done.set_result(made)
    else:
        done.set_exception(failed)
