"""Batches of a run: one that may have been made is looked for, and never made twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tierwise.errors import UpstreamBroke, UpstreamStatus
from tierwise.http1 import Pool
from tierwise.lab.running.asking import ChatTier
from tierwise.lab.running.batching import BatchTier, batches_of
from tierwise.lab.running.tiers import Places, open_tiers
from tierwise.upstream import Item, Said, Ticket
from unit.lab.made import Fake, accurate, runner, suite

ANSWER = (
    b'{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"right"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}'
)


class Counter:
    """A place that makes a batch, and breaks off before it says so. `told`: what it says when it is asked."""

    def __init__(self, told: str, error: Exception) -> None:
        self.made: list[Sequence[Item]] = []
        self._told = told
        self._error = error

    async def upload(self, job: str, items: Sequence[Item]) -> str:
        return "file-1"

    async def submit(self, job: str, file: str, items: Sequence[Item]) -> str:
        self.made.append(items)
        raise self._error

    async def find(self, job: str) -> str:
        return self._told

    async def look(self, id: str) -> Ticket:
        return Ticket(id, ended=True)

    async def outcomes(self, ticket: Ticket) -> list[Said]:
        names = [item.name for item in self.made[0]]
        refused = Said(names[1], 400, b'{"error": {"message": "no such field"}}')
        return [Said(names[0], 200, ANSWER), refused, Said(names[2], over="expired")]


async def collected(folder: Path, place: Any) -> tuple[BatchTier, Any]:
    found = suite(3)
    made = runner(folder, found, [Fake("m", accurate(1, 1))])
    [tier] = open_tiers(["m"], Places(Pool(), base_url="http://127.0.0.1:9/v1"))
    assert isinstance(tier, ChatTier)
    batch = BatchTier(tier, Pool())
    batch._place = place
    try:
        await batch.collect(made.folder, made.wanted("m"), lambda words: None)
    finally:
        made.folder.close()
    return batch, made


async def test_a_batch_that_was_made_unheard_is_found_and_not_made_again(tmp_path: Path) -> None:
    place = Counter("batch-1", UpstreamBroke("The connection broke."))
    batch, made = await collected(tmp_path, place)
    assert len(place.made) == 1
    assert [each.batch for each in batches_of(made.folder)] == ["batch-1"]
    first, second, third = suite(3).cases
    assert (await batch.answer(first, 0)).text == "right"
    rejected = await batch.answer(second, 0)
    assert (rejected.outcome, rejected.error) == ("rejected", "no such field")
    with pytest.raises(UpstreamBroke, match="without an answer"):
        await batch.answer(third, 0)


@pytest.mark.parametrize("error", [UpstreamBroke("It broke."), UpstreamStatus(500, "oops")])
async def test_one_that_cannot_be_found_is_an_error_and_not_made_again(
    tmp_path: Path, error: Exception
) -> None:
    place = Counter("", error)
    with pytest.raises(type(error)):
        await collected(tmp_path, place)
    assert len(place.made) == 1
