"""What a client may ask of the server."""

from __future__ import annotations

import msgspec

MOST_CONNECTIONS = 10_000


class Limits(msgspec.Struct, frozen=True):
    """What a client may ask of the server. Sizes in bytes, times in seconds.

    `body_idle_s`: time in which 4 KB more of a body must come. `write_idle_s`: time in which a client that
    reads too slowly must read something. `larger`: ends of paths whose bodies may have so many bytes,
    not `max_body`. `at_once`: requests with a body that one turn of the event loop begins; `max_waiting`:
    those that may wait for a turn of theirs, more are refused.
    """

    max_headers: int = 64
    max_header_bytes: int = 32768
    max_body: int = 32 * 2**20
    larger: tuple[tuple[str, int], ...] = ()
    header_timeout_s: float = 15
    body_idle_s: float = 30
    keep_alive_s: float = 75
    max_connections: int = MOST_CONNECTIONS
    at_once: int = 32
    max_waiting: int = 4000
    write_high_water: int = 65536
    write_idle_s: float = 60

    def most_body(self, path: str) -> int:
        """Bytes that a body sent to `path` may have."""
        return max((size for end, size in self.larger if path.endswith(end)), default=self.max_body)
