"""Attempt: one try at one Deployment. Bytes in, an open reply or an error out, with its times."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from tierwise.errors import UpstreamError, UpstreamStatus
from tierwise.http1 import Block, Call, Pool, Response

from .deployment import Deployment, Header

# An error body larger than this says nothing more than its beginning.
_ERROR_BODY = 1 << 20
# Nor is one worth waiting for that takes longer.
_ERROR_WAIT_S = 10.0


class Sent:
    """What is sent: `body` and `headers` for `path` at a Deployment."""

    __slots__ = ("body", "headers", "path")

    def __init__(self, path: str, headers: list[Header] | Block, body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body


async def send(pool: Pool, deployment: Deployment, sent: Sent, again: bool = False) -> Response:
    """The open reply, status below 300. What is sent `again` goes over a new connection: a kept one may be
    what failed.

    Raises UpstreamRefused (nothing was sent), UpstreamTimeout, UpstreamBroke, or UpstreamStatus with the
    provider's own error read by its dialect. Cancelling aborts the connection.
    """
    provider = deployment.provider
    # By position, in the order of the fields: by name it takes five times as long.
    call = Call(
        deployment.origin,
        "POST",
        sent.path,
        sent.headers,
        sent.body,
        provider.connect_timeout_s,
        provider.first_byte_timeout_s,
        provider.idle_timeout_s,
        again,
    )
    response = await pool.send(call)
    if response.status < 300:
        return response
    raise await read_refusal(deployment, response)


async def read_refusal(deployment: Deployment, response: Response) -> UpstreamStatus:
    """The error a reply of status ≥ 300 stands for. Redirects are not followed: they are errors too."""
    try:
        body = await beginning(response)
    finally:
        response.close()
    headers = {name.decode("latin1"): value.decode("latin1") for name, value in response.headers}
    if response.status < 400:
        return UpstreamStatus(
            502, "The provider answered with a redirect, which is never followed.", "redirect"
        )
    if response.status > 599:  # some clients fall over what is no status
        return UpstreamStatus(502, f"The provider answered with status {response.status}, which is none.")
    return deployment.dialect.read_error(response.status, headers, body)


async def beginning(response: Response, wait_s: float = _ERROR_WAIT_S) -> bytes:
    """The body of an error, or what came of it: the head has said already what it was, whether or not the
    rest is too long, breaks off or falls silent."""
    pieces: list[bytes] = []
    with suppress(UpstreamError, TimeoutError):
        async with asyncio.timeout(wait_s):
            while sum(map(len, pieces)) < _ERROR_BODY and (piece := await response.chunk()):
                pieces.append(piece)
    return b"".join(pieces)
