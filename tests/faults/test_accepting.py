"""Connections that wait to be accepted: all of them within a few turns of the loop, on both event loops."""

import asyncio
import socket

import pytest
import uvloop

from tierwise.http1 import Reply, Request, Server

POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"


async def echo(request: Request, reply: Reply) -> None:
    reply.send(200, [], await request.body())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_all_who_wait_are_accepted_in_few_turns(loop):
    async def script():
        server = Server(echo)
        await server.start("127.0.0.1", 0)
        callers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        turns = 0
        while len(server.inbound) < len(callers):
            await asyncio.sleep(0)
            turns += 1
        # uvloop by itself takes a turn for each.
        assert turns <= 20
        for caller in callers:
            caller.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(caller, POST)
        for caller in callers:
            got = b""
            while not got.endswith(b"\r\n\r\nhi"):
                got += await asyncio.get_running_loop().sock_recv(caller, 4096)
            caller.close()
        while server.inbound:
            await asyncio.sleep(0.01)
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port))

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(script(), 60))
