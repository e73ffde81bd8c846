"""An error whose head has come: its status stands, whatever becomes of its body."""

from __future__ import annotations

import pytest

from tierwise.errors import UpstreamError, UpstreamStatus
from tierwise.http1.response import Response
from tierwise.nouns import Model, Provider
from tierwise.upstream import Deployment, read_refusal
from tierwise.upstream.attempt import beginning

DEPLOYMENT = Deployment(
    Model(name="p/m", provider="p", id="m"), Provider("p", "openai_chat", "http://h/v1"), None
)


class Wire:
    """The connection under a Response: notes whether the reply had been read to its end."""

    whole: bool | None = None

    def wait_starts(self) -> None: ...

    def wait_ends(self) -> None: ...

    def hold_back(self) -> None: ...

    def go_on(self) -> None: ...

    def part_with(self, whole: bool) -> None:
        self.whole = whole


def reply(status: int, *pieces: bytes, **headers: str) -> tuple[Response, Wire]:
    wire = Wire()
    response = Response(wire)
    response.opened(status, [(name.encode(), value.encode()) for name, value in headers.items()])
    response.came(list(pieces))
    return response, wire


async def refusal(response: Response) -> UpstreamStatus:
    return await read_refusal(DEPLOYMENT, response)


async def test_a_whole_body_tells_what_it_was_and_gives_the_connection_back() -> None:
    response, wire = reply(429, b'{"error":{"message":"slow', b' down"}}')
    response.done = True
    assert (await refusal(response)).message == "slow down"
    assert wire.whole is True


async def test_a_body_that_breaks_off_leaves_status_and_retry_after() -> None:
    response, _ = reply(429, b'{"error":{"mess', **{"retry-after": "7"})
    response.failed(UpstreamError("broke off"))
    error = await refusal(response)
    assert (error.status, error.retry_after_s) == (429, 7)


async def test_of_an_endless_body_the_beginning_is_read() -> None:
    response, wire = reply(400, *[b"x" * (1 << 16)] * 20)
    assert (await refusal(response)).status == 400
    assert wire.whole is False


async def test_a_body_that_falls_silent_is_not_waited_for() -> None:
    response, _ = reply(500, b'{"error"')
    assert await beginning(response, wait_s=0) == b'{"error"'
    assert await beginning(reply(500)[0], wait_s=0) == b""


@pytest.mark.parametrize("status", [600, 999])
async def test_what_is_no_status_is_not_passed_on(status: int) -> None:
    response, _ = reply(status)
    response.done = True
    error = await refusal(response)
    assert (error.status, str(status) in error.message) == (502, True)
