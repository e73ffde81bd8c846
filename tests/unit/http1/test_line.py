"""Requests that come faster than the loop can begin them: in order, bounded, and nobody else waits."""

import asyncio
import re

from tierwise.http1 import Limits, Reply, Request, Server
from tierwise.http1.inbound import Inbound
from tierwise.http1.sweeper import Sweeper
from unit.http1.memory import GET, Memory, settle

POST = b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"


class Crowd:
    """Many connections to one Server in memory. `begun` are the paths it began to answer, turn by turn."""

    def __init__(self, count: int, **limits: int) -> None:
        self.begun: list[list[str]] = [[]]
        self.server = Server(self.handle, Limits(**limits))
        loop = asyncio.get_running_loop()
        self.inbound = [Inbound(self.server, loop, Sweeper(loop)) for _ in range(count)]
        self.transports = [Memory() for _ in range(count)]
        for inbound, transport in zip(self.inbound, self.transports, strict=True):
            inbound.connection_made(transport)

    async def handle(self, request: Request, reply: Reply) -> None:
        self.begun[-1].append(request.path)
        await asyncio.sleep(0)
        reply.send(200, [], await request.body())

    def post(self, *numbers: int) -> None:
        for number in numbers:
            self.inbound[number].data_received(POST % number)

    async def turns(self, count: int) -> list[list[str]]:
        for _ in range(count):
            self.begun.append([])
            await asyncio.sleep(0)
        return self.begun[1:]

    def statuses(self) -> list[list[bytes]]:
        return [re.findall(rb"HTTP/1.1 (\d+)", transport.sent) for transport in self.transports]


async def test_a_turn_begins_so_many_and_the_rest_follow_in_order():
    crowd = Crowd(7, at_once=2)
    crowd.post(*range(7))
    assert crowd.server.in_flight == 7
    assert await crowd.turns(4) == [["/0", "/1"], ["/2", "/3"], ["/4", "/5"], ["/6"]]
    await settle()
    assert crowd.statuses() == [[b"200"]] * 7
    assert (crowd.server.in_flight, crowd.server.line.fresh) == (0, 0)


async def test_how_long_a_request_waited_is_known(monkeypatch):
    now = iter(range(1000, 9000, 1000))
    monkeypatch.setattr("tierwise.http1.inbound.tick_us", lambda: next(now))
    crowd, waited = Crowd(3, at_once=1), []

    async def handle(request: Request, reply: Reply) -> None:
        waited.append(request.waited_us)
        reply.send(200, [])

    crowd.server.handle = handle
    crowd.post(0, 1, 2)
    await settle()
    # The second joined the line at 1000 and left it at 3000, the third at 2000 and 4000.
    assert waited == [0, 2000, 2000]


async def test_what_has_no_body_waits_for_nobody():
    crowd = Crowd(5, at_once=1)
    crowd.post(0, 1, 2, 3)
    crowd.inbound[4].data_received(GET)
    assert await crowd.turns(1) == [["/0", "/a"]]
    await settle()
    assert crowd.statuses() == [[b"200"]] * 5
    assert crowd.server.line.fresh == 0


async def test_too_many_that_wait_are_refused_and_may_ask_again():
    crowd = Crowd(4, at_once=1, max_waiting=1)
    crowd.post(0, 1, 2, 3)
    await settle()
    assert crowd.statuses() == [[b"200"], [b"200"], [b"503"], [b"503"]]
    assert b"1 requests wait here already" in crowd.transports[3].sent
    crowd.post(3)
    await settle()
    assert crowd.statuses()[3] == [b"503", b"200"]
    assert (crowd.server.in_flight, crowd.server.line.fresh) == (0, 0)


async def test_who_leaves_the_line_is_not_begun():
    crowd = Crowd(4, at_once=1)
    crowd.post(0, 1, 2, 3)
    crowd.inbound[1].connection_lost(None)
    crowd.inbound[2].eof_received()
    await settle()
    assert [path for turn in crowd.begun for path in turn] == ["/0", "/3"]
    assert (crowd.server.in_flight, crowd.server.line.fresh) == (0, 0)


async def test_who_leaves_before_the_first_step_lets_the_next_begin():
    crowd = Crowd(3, at_once=1)
    crowd.post(0, 1, 2)
    crowd.inbound[0].connection_lost(None)
    await settle()
    assert [path for turn in crowd.begun for path in turn] == ["/1", "/2"]
    assert (crowd.server.in_flight, crowd.server.line.fresh) == (0, 0)


async def test_requests_of_one_connection_stay_in_order_in_the_line():
    crowd = Crowd(2, at_once=1)
    crowd.inbound[0].data_received(POST % 0 + POST % 1 + POST % 2)
    crowd.post(1)
    await settle()
    assert [path for turn in crowd.begun for path in turn] == ["/0", "/1", "/1", "/2"]
    assert crowd.statuses() == [[b"200"] * 3, [b"200"]]


async def test_a_body_that_comes_while_its_request_waits_is_taken_in():
    crowd = Crowd(2, at_once=1)
    crowd.post(0)
    crowd.inbound[1].data_received((POST % 1)[:-1])
    crowd.inbound[1].data_received(b"i")
    await settle()
    assert crowd.transports[1].sent.endswith(b"hi")
