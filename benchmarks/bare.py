"""What this machine lets a Python gateway reach: raw protocols on uvloop, httptools and msgspec, with a
durable row before the call and one before the reply, and nothing else.

No authentication, routing, pricing, limits, time-outs, back-pressure or error handling: it is a yardstick for
plain calls, never a product. `python -m benchmarks.bare PORT UPSTREAM_PORT DATABASE`.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import httptools
import msgspec
import uvloop

_COLUMNS = 19
_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
_REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class _Asked(msgspec.Struct):
    model: str
    stream: bool = False


class _Used(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int


class _Tail(msgspec.Struct):
    usage: _Used


_ASKED, _TAIL = msgspec.json.Decoder(_Asked), msgspec.json.Decoder(_Tail)


class Rows:
    """One table of 19 columns and one budget row; the rows of a loop's turn are one transaction."""

    def __init__(self, path: str, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.database = sqlite3.connect(path, isolation_level=None)
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = NORMAL")
        names = ", ".join(f"c{n}" for n in range(_COLUMNS))
        self.database.execute(f"CREATE TABLE rows (seq INTEGER PRIMARY KEY, {names})")
        self.database.execute("CREATE TABLE budget (spent INTEGER)")
        self.database.execute("INSERT INTO budget VALUES (0)")
        self.insert = f"INSERT INTO rows VALUES ({','.join('?' * (_COLUMNS + 1))})"
        self.queue: list[tuple[Any, ...]] = []
        self.after: list[Callable[[], None]] = []
        self.spent = 0
        self.due = False

    def add(self, row: tuple[Any, ...], after: Callable[[], None]) -> None:
        """Writes `row`, then calls `after`."""
        self.queue.append(row)
        self.after.append(after)
        if not self.due:
            self.due = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """One transaction."""
        rows, after, self.queue, self.after, self.due = self.queue, self.after, [], [], False
        self.spent += len(rows)
        self.database.execute("BEGIN IMMEDIATE")
        self.database.executemany(self.insert, rows)
        self.database.execute("UPDATE budget SET spent = ?", (self.spent,))
        self.database.execute("COMMIT")
        for then in after:
            then()


class Upstream(asyncio.Protocol):
    """One pooled connection to the provider."""

    def __init__(self, idle: list[Upstream]) -> None:
        self.idle = idle
        self.pieces: list[bytes] = []
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def call(self, body: bytes, then: Callable[[bytes], None]) -> None:
        """Sends `body`; `then` gets the reply's."""
        self.then = then
        self.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (_HEAD, len(body), body))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self.pieces)
        self.pieces.clear()
        self.idle.append(self)
        self.then(body)


class Client(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, rows: Rows, idle: list[Upstream], port: int) -> None:
        self.rows, self.idle, self.port = rows, idle, port
        self.pieces: list[bytes] = []
        self.parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        body = b"".join(self.pieces)
        self.pieces.clear()
        asked = _ASKED.decode(body)
        self.body = body.replace(asked.model.encode(), b"bench", 1)
        self.row = (asked.model, time.time_ns(), *("text",) * (_COLUMNS - 4))
        self.rows.add((None, *self.row, 0, 0), self.opened)

    def opened(self) -> None:
        if self.idle:
            self.idle.pop().call(self.body, self.answered)
        else:
            self.rows.loop.create_task(self.connect())

    async def connect(self) -> None:
        _, upstream = await self.rows.loop.create_connection(
            lambda: Upstream(self.idle), "127.0.0.1", self.port
        )
        upstream.call(self.body, self.answered)

    def answered(self, body: bytes) -> None:
        used = _TAIL.decode(b"{" + body[body.rfind(b'"usage"') :]).usage
        self.answer = _REPLY % len(body) + body
        self.rows.add((None, *self.row, used.prompt_tokens, used.completion_tokens), self.closed)

    def closed(self) -> None:
        self.transport.write(self.answer)


async def main(port: int, upstream: int, database: str) -> None:
    """Serves until it is killed."""
    loop = asyncio.get_running_loop()
    rows, idle = Rows(database, loop), list[Upstream]()
    server = await loop.create_server(lambda: Client(rows, idle, upstream), "127.0.0.1", port, backlog=1024)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
