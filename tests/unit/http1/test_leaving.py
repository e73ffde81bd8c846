"""A client that leaves or reads too slowly, in memory: what becomes of its handler."""

import asyncio
import re

from tierwise.http1 import Reply, Request
from unit.http1.memory import GET, Wire, echo, settle


async def test_losing_the_connection_cancels_the_handler():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            reply.send(200, [])
            raise

    wire = Wire(handle)
    await wire.feed(GET)
    wire.inbound.connection_lost(ConnectionResetError())
    await settle()
    assert seen == ["cancelled"]
    assert wire.server.in_flight == 0
    assert wire.transport.sent == b""


async def test_losing_the_connection_before_the_handler_began_leaves_nothing_behind():
    wire = Wire(echo)
    wire.inbound.data_received(GET)
    assert wire.server.in_flight == 1
    wire.inbound.connection_lost(None)
    await settle()
    assert wire.server.in_flight == 0
    assert not wire.server.tasks


async def test_a_handler_is_not_cancelled_for_its_own_abort():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        reply.abort()
        await asyncio.sleep(0)
        seen.append("finished")

    wire = Wire(handle)
    await wire.feed(GET)
    assert wire.transport.closed
    wire.inbound.connection_lost(None)
    await settle()
    assert seen == ["finished"]
    assert wire.server.in_flight == 0


async def test_losing_the_connection_after_the_reply_leaves_the_handler_alone():
    seen = []

    async def handle(request: Request, reply: Reply) -> None:
        reply.send(200, [])
        await asyncio.sleep(0)
        seen.append("finished")

    wire = Wire(handle)
    await wire.feed(GET)
    wire.inbound.connection_lost(None)
    await settle()
    assert seen == ["finished"]


async def test_writing_waits_while_the_client_reads_too_slowly():
    progress = []

    async def handle(request: Request, reply: Reply) -> None:
        reply.start(200, [])
        for number in range(3):
            await reply.write(b"x")
            progress.append(number)
        reply.end()

    wire = Wire(handle)
    assert wire.transport.high == 65536
    wire.inbound.pause_writing()
    await wire.feed(GET)
    assert progress == []
    wire.inbound.resume_writing()
    assert (await wire.feed()) == b""
    await settle()
    assert progress == [0, 1, 2]


async def test_the_next_request_waits_until_earlier_replies_are_read():
    wire = Wire(echo)
    wire.inbound.pause_writing()
    sent = await wire.feed(GET * 3)
    assert sent.count(b"HTTP/1.1 200") == 1
    assert not wire.transport.reading
    wire.inbound.resume_writing()
    assert (await wire.feed()) == b""
    await settle()
    assert wire.transport.sent.count(b"HTTP/1.1 200") == 2
    assert wire.transport.reading


async def test_the_date_is_sent():
    wire = Wire(echo)
    wire.inbound.data_received(GET)
    await settle()
    assert re.search(rb"\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", wire.transport.sent)
