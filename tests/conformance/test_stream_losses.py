"""What a streamed answer loses is known only after its headers: the ledger's row names it, to the last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import live
import provider
from conformance.matrix_answers import candidate
from conformance.matrix_replies import HELLO_REPLY
from conformance.matrix_streams import streamed

ASKED = {"model": "agg/m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}


class World:
    """A gateway before a Gemini provider that streams `frames`."""

    def __init__(self, folder: Path) -> None:
        self.frames: list[bytes] = []
        self.provider = provider.Provider(self.answer)
        self.gateway = live.Gateway(folder, live.config("gemini", self.provider.port, ["m"]))
        self.key = self.gateway.key()

    def answer(self, sent: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for frame in self.frames:
            yield provider.piece(frame)
        yield provider.piece(b"")

    def lost(self) -> set[str]:
        """The names of the Losses in the row of one streamed request."""
        got = live.post(self.gateway.port, "/anthropic/v1/messages", ASKED, self.key)
        assert got.status == 200, got.body
        return set(self.gateway.closes()[-1]["losses"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("losses"))
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.provider.close()


def test_the_last_bytes_losses_are_in_the_row(world: World) -> None:
    rated = {"safetyRatings": [{"category": "X"}], "reason": "MALFORMED_FUNCTION_CALL"}
    world.frames = streamed("G", {**HELLO_REPLY["G"], **candidate({"text": "hi"}, **rated), "odd": 1})
    assert world.lost() == {"answer_extra.safetyRatings", "answer_extra.odd", "stop.reason"}


def test_a_broken_streams_losses_are_in_the_row(world: World) -> None:
    world.frames = streamed("G", {**HELLO_REPLY["G"], "odd": 1})[:1]
    assert world.lost() == {"answer_extra.odd"}
