"""What a store's `open` gives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

from ..nouns import Open

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
