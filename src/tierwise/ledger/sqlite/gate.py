"""Whose turn it is on a SQLite connection, and whether it lasts too long."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import StoreError

LOOKS = 5
"""A thread that still has its turn after so many looks, a second apart, stands before a disk that hangs."""
FOREVER = -1.0
HUNG = f"its disk has not answered for {LOOKS} s"


class Gate:
    """A lock. The event loop takes it at once or not at all; threads wait, and are looked at."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks = 0
        # The lock's own: the event loop passes with every transaction.
        self.acquire, self.release = self._lock.acquire, self._lock.release

    @contextmanager
    def turn(self, patience_s: float = LOOKS) -> Iterator[None]:
        """For threads beside the event loop. Raises StoreError where the turn before does not end in time."""
        if not self._lock.acquire(timeout=patience_s):
            raise StoreError(
                f"The ledger cannot be used: {HUNG}.", "Look at its disk; calls resume when it answers."
            )
        self._looks = 0
        try:
            yield
        finally:
            self._looks = 0
            self._lock.release()

    def look(self) -> bool:
        """Counts a second that somebody's turn lasts; whether it hangs. Looks are counted, not time: while
        the whole process stood still no disk was to blame."""
        self._looks += 1
        return self.hangs()

    def hangs(self) -> bool:
        """Whether a thread's turn has lasted too long."""
        return self._looks >= LOOKS
