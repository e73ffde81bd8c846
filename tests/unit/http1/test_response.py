"""A reply as it comes: in pieces that a slow reader may hold, and none of them lost."""

import asyncio
from itertools import pairwise

import pytest

from tierwise.http1 import Response


class Connection:
    """Where a reply comes from: whether it is being read, and how it was parted with."""

    def __init__(self) -> None:
        self.reading = True
        self.whole: bool | None = None

    def wait_starts(self) -> None: ...

    def wait_ends(self) -> None: ...

    def hold_back(self) -> None:
        self.reading = False

    def go_on(self) -> None:
        self.reading = True

    def part_with(self, whole: bool) -> None:
        self.whole = whole


BODY = bytes(range(256)) * 1000 + b"end"


@pytest.mark.parametrize("cuts", [(), (7,), (7, 90_000), tuple(range(50, 256_000, 50)), (65_536, 131_072)])
def test_a_large_body_comes_whole_and_no_piece_is_large(cuts: tuple[int, ...]) -> None:
    connection = Connection()
    response = Response(connection)
    edges = [0, *cuts, len(BODY)]
    response.came([BODY[a:b] for a, b in pairwise(edges)])

    async def taken() -> bytes:
        pieces = []
        left = len(BODY)
        while piece := await response.chunk():
            pieces.append(piece)
            left -= len(piece)
            assert connection.reading is (left <= 65536)
            response.done = not left
        assert max(map(len, pieces)) <= 65536
        return b"".join(pieces)

    assert not connection.reading
    assert asyncio.run(taken()) == BODY
    assert connection.whole is True


def test_a_large_body_that_is_here_is_given_at_once() -> None:
    connection = Connection()
    response = Response(connection)
    response.came([BODY[:7], BODY[7:]])
    assert response.whole(len(BODY)) is None
    response.done = True
    assert response.whole(len(BODY) - 1) is None
    assert response.whole(len(BODY)) == BODY
    assert connection.whole is True
    assert asyncio.run(response.chunk()) == b""
