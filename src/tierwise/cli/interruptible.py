"""Commands in an event loop that Ctrl-C ends in order, however often it is pressed."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

_T = TypeVar("_T")


def run(doing: Coroutine[Any, Any, _T]) -> _T:
    """What `doing` gives back. Ctrl-C cancels it, so that it may clean up, and raises KeyboardInterrupt.

    The handler of `uvloop.run` raises amid the loop at a second SIGINT, such as `timeout -s INT` sends: a
    wake-up was lost there, and the command never ended.
    """

    async def cancellable() -> _T:
        task = asyncio.current_task()
        assert task is not None
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
        return await doing

    try:
        return uvloop.run(cancellable())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
