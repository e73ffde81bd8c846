"""Host names: one whose name server hangs holds up nobody else; of several addresses one that answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from tierwise.errors import UpstreamRefused
from tierwise.http1 import Call, Origin, Pool

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


class Resolver:
    """In place of the system's: `hangs.test` has no answer until `end` is set."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.end = threading.Event()
        self.real = socket.getaddrinfo

    def __call__(self, host: str, *rest: Any, **more: Any) -> list[Any]:
        self.asked[host] += 1
        if host == "hangs.test":
            self.end.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        if host == "two.test":
            # Nobody listens at the first.
            return [*self.real("127.0.0.2", *rest, **more), *self.real("127.0.0.1", *rest, **more)]
        return self.real("127.0.0.1", *rest, **more)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr("tierwise.http1.names.socket.getaddrinfo", made)
    yield made
    made.end.set()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(PLAIN)
    writer.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_name_that_hangs_holds_up_no_other(resolver: Resolver, loop: Any) -> None:
    complaints: list[Any] = []

    async def script() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what))
        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        pool = Pool()

        def call(host: str) -> Any:
            return pool.send(Call(Origin("http", host, port), "GET", "/", [], connect_timeout_s=0.2))

        hanging = [asyncio.create_task(call("hangs.test")) for _ in range(20)]
        await asyncio.sleep(0)
        for host in ("good.test", "two.test", "127.0.0.1"):
            response = await pool.send(Call(Origin("http", host, port), "GET", "/", []))
            assert await response.read(10) == b"hello"
        for task in hanging:
            with pytest.raises(UpstreamRefused, match="in time"):
                await task
        # Twenty asked, and once for all of them; an address is looked up by nobody.
        assert resolver.asked == {"hangs.test": 1, "good.test": 1, "two.test": 1}
        # Nobody waits for the answer any more.
        resolver.end.set()
        while pool._names._asked:
            await asyncio.sleep(0.01)
        with pytest.raises(UpstreamRefused, match="no name server answers"):
            await pool.send(Call(Origin("http", "hangs.test", port), "GET", "/", []))
        await pool.close()
        listener.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(script(), 60))
    assert complaints == []


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_address_that_says_nothing_is_left_for_the_next(resolver: Resolver, loop: Any) -> None:
    async def script() -> None:
        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        # A queue that is full: the system drops whoever wants to connect.
        full = socket.create_server(("127.0.0.2", port), backlog=0)
        filling = [socket.socket() for _ in range(4)]
        for caller in filling:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.2", port))
        pool = Pool()
        response = await pool.send(
            Call(Origin("http", "two.test", port), "GET", "/", [], connect_timeout_s=30)
        )
        assert await response.read(10) == b"hello"
        for held in (full, *filling):
            held.close()
        await pool.close()
        listener.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(script(), 60))
