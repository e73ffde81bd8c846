"""What a store's `open` gives, and how it tells of a row that it cannot keep."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator
from typing import Any

from ..errors import StoreError
from ..nouns import Close, Open

log = logging.getLogger("tierwise")

ABANDONED_S = 5.0
"""How long an OPEN whose caller went away while it waited may stay open before it is swept at no cost."""


class Opening:
    """Awaits the row. A caller cancelled while it waits, or just after, has sent nothing: `abandon` is
    called.
    """

    __slots__ = ("_abandon", "_future", "_row")

    def __init__(self, future: asyncio.Future[None], row: Open, abandon: Callable[[Open], None]) -> None:
        self._future = future
        self._row = row
        self._abandon = abandon

    def __await__(self) -> Generator[Any, None, None]:
        try:
            yield from self._future
        except asyncio.CancelledError:
            self._future.get_loop().call_later(ABANDONED_S, self._abandon, self._row)
            raise


def again(fault: StoreError) -> StoreError:
    """The same words in an error of its own: each waiter gets one traceback."""
    return StoreError(fault.message, fault.hint)


def lost(row: Open | Close, future: asyncio.Future[None] | None, why: str) -> None:
    """Logs that `row` is not kept, and tells whoever waits for it in `future`: a StoreError."""
    fault = StoreError(f"Attempt {row.attempt} cannot be written: {why}.", "It is not kept.")
    log.warning("%s", fault.sentence())
    if future is not None and not future.done():
        future.set_exception(fault)
