"""Which of a host's addresses takes a connection (RFC 8305): where the first is silent, as IPv6 is behind
many a broken router, the next is tried beside it and not when its time is up.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from itertools import zip_longest

_NEXT_S = 0.25


async def connected(
    addresses: Sequence[str], port: int, next_s: float = _NEXT_S
) -> tuple[socket.socket, str]:
    """A socket connected to one of `addresses`, and which. Each has `next_s`, or until it refuses, before
    the next is tried too. OSError, the last one's, when none takes it."""
    if len(addresses) == 1:
        return await _connect(addresses[0], port), addresses[0]
    loop = asyncio.get_running_loop()
    left = alternating(addresses)
    trying: dict[asyncio.Task[socket.socket], str] = {}
    fault: BaseException = OSError("no address")
    try:
        while left or trying:
            if left:
                trying[loop.create_task(_connect(left[0], port))] = left[0]
                left = left[1:]
            done, _ = await asyncio.wait(
                trying, timeout=next_s if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                failed = task.exception()
                if failed is None:
                    return task.result(), trying.pop(task)
                fault = failed
                del trying[task]
        raise fault
    finally:
        for task in trying:
            if not task.cancel() and not task.exception():
                task.result().close()  # connected in the same moment


def alternating(addresses: Sequence[str]) -> list[str]:
    """`addresses` with the two families in turn, each in its order, that of the first one first: a family
    that is dead is dead at all of its addresses."""
    families: tuple[list[str], list[str]] = ([], [])
    for address in addresses:
        families[(":" in address) is not (":" in addresses[0])].append(address)
    return [address for pair in zip_longest(*families) for address in pair if address is not None]


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock
