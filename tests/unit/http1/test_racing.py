"""Several addresses of one host: who answers first is taken, and nobody waits for one that is silent."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tierwise.http1.racing import alternating, connected


class Net:
    """What the addresses do: "silent" ones never answer, "dead" ones refuse, others take the connection."""

    def __init__(self) -> None:
        self.tried: list[str] = []
        self.ended: list[str] = []
        self.made: list[socket.socket] = []

    async def connect(self, address: str, port: int) -> socket.socket:
        self.tried.append(address)
        try:
            if address.startswith("silent"):
                await asyncio.Event().wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.ended.append(address)
            raise
        if address.startswith("dead"):
            raise ConnectionRefusedError(address)
        self.made.append(socket.socket())
        return self.made[-1]


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Net:
    made = Net()
    monkeypatch.setattr("tierwise.http1.racing._connect", made.connect)
    return made


async def test_one_that_is_silent_is_not_waited_for(net: Net) -> None:
    sock, address = await connected(["silent", "b"], 1, next_s=0)
    assert address == "b"
    await asyncio.sleep(0)
    assert net.ended == ["silent"]
    sock.close()


async def test_one_that_refuses_is_followed_at_once(net: Net) -> None:
    sock, address = await connected(["dead", "b", "c"], 1, next_s=3600)
    assert (address, net.tried) == ("b", ["dead", "b"])
    sock.close()


async def test_the_last_refusal_is_told(net: Net) -> None:
    with pytest.raises(ConnectionRefusedError, match="dead2"):
        await connected(["dead1", "dead2"], 1, next_s=3600)


async def test_two_that_connect_in_the_same_moment_leave_one(net: Net) -> None:
    sock, _ = await connected(["a", "b"], 1, next_s=0)
    for _ in range(5):
        await asyncio.sleep(0)
    assert [made.fileno() == -1 for made in net.made] == [made is not sock for made in net.made]
    sock.close()


async def test_who_gives_up_leaves_nothing_under_way(net: Net) -> None:
    trying = asyncio.create_task(connected(["silent1", "silent2"], 1, next_s=0))
    while len(net.tried) < 2:
        await asyncio.sleep(0)
    trying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trying
    await asyncio.sleep(0)
    assert net.ended == ["silent1", "silent2"]


def test_the_families_take_turns() -> None:
    assert alternating(["::1", "::2", "::3", "1.1.1.1"]) == ["::1", "1.1.1.1", "::2", "::3"]
    assert alternating(["1.1.1.1", "::1", "2.2.2.2"]) == ["1.1.1.1", "::1", "2.2.2.2"]
    assert alternating(["1.1.1.1"]) == ["1.1.1.1"]
