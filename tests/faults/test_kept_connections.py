"""Connections that were kept and that the upstream no longer knows, as after a balancer's restart."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from tierwise.errors import UpstreamBroke
from tierwise.http1 import Call, Origin, Pool

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def test_after_one_broke_none_is_trusted_and_a_fresh_call_takes_none() -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN)
        # The second request is read, and then there is no answer.
        await reader.read(1)
        writer.close()

    listener = await asyncio.start_server(once, "127.0.0.1", 0)
    origin = Origin("http", "127.0.0.1", listener.sockets[0].getsockname()[1])
    pool = Pool()

    async def hello(fresh: bool) -> None:
        response = await pool.send(Call(origin, "GET", "/", [], fresh=fresh))
        assert await response.read(10) == b"hello"

    for _ in range(3):
        await hello(fresh=True)
    assert connections == 3
    with pytest.raises(UpstreamBroke) as broke:
        await hello(fresh=False)
    assert broke.value.stale
    assert connections == 3
    await hello(fresh=False)
    assert connections == 4
    await pool.close()
    listener.close()


async def test_what_a_burst_opened_serves_the_next_one_until_it_is_spared() -> None:
    connections = 0

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(PLAIN)
        writer.close()

    listener = await asyncio.start_server(answering, "127.0.0.1", 0, backlog=200)
    call = Call(Origin("http", "127.0.0.1", listener.sockets[0].getsockname()[1]), "GET", "/", [])
    pool = Pool(max_idle_per_origin=150)

    async def burst() -> None:
        responses = await asyncio.gather(*(pool.send(call) for _ in range(150)))
        for response in responses:
            assert await response.read(10) == b"hello"

    await burst()
    await burst()
    assert connections == 150
    pool.spare()
    await burst()
    assert connections == 300
    await pool.close()
    listener.close()
