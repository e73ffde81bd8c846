"""Batching: a tier's missing Trials handed in as batches (OpenAI's or Anthropic's), and collected.

What was handed in is kept in the run's folder, so that --resume collects it and hands nothing in twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from ...clock import new_id, now_us
from ...costing import estimate_tokens
from ...dialects.spans import strip
from ...errors import (
    SuiteError,
    UpstreamBroke,
    UpstreamError,
    UpstreamRefused,
    UpstreamStatus,
    UpstreamTimeout,
)
from ...http1 import Pool
from ...nouns import Answer, Case, Price, Refusal, Text, ToolCall, Usage
from ...upstream import ENDPOINTS, Item, Said, place_of
from .asking import OUTCOMES, REJECTED, ChatTier
from .faults import final, wait_s
from .pace import together
from .replies import Answering, Reply
from .runner import Runner
from .store import RunFolder

BATCHES = "batches.jsonl"
_MOST_ROWS, _MOST_BYTES = 20_000, 50 << 20
_FIRST_POLL_S, _LONGEST_POLL_S = 0.5, 30.0
_TRIES = 6
Missing = Sequence[tuple[Case, int]]
Tell = Callable[[str], None]
Again = Callable[[UpstreamError], bool]
T = TypeVar("T")


class HandedIn(Struct, frozen=True):
    """One line of batches.jsonl: a batch of a tier; `collected` once its rows are Trials."""

    tier: str
    batch: str
    rows: int
    collected: bool = False


class BatchTier:
    """A tier whose answers come by batch: `collect` first, then `answer` costs nothing more."""

    def __init__(self, tier: ChatTier, pool: Pool) -> None:
        deployment = tier.deployment
        self.card = tier.card
        self.free = False
        self._tier = tier
        self._dialect = deployment.dialect
        self._place = place_of(pool, deployment, ENDPOINTS[deployment.dialect.name])
        self._rows: dict[str, Said] = {}
        # A provider's own batch has a price of its own; behind a URL may be a gateway that asks row by row.
        self._own_price = tier.card.source == "provider"

    @property
    def price(self) -> Price | None:
        return self._tier.price

    @property
    def longest(self) -> int | None:
        return self._tier.longest

    async def collect(self, folder: RunFolder, missing: Missing, tell: Tell) -> None:
        """Waits for the batches that were handed in before, then hands in what is still missing and waits for
        that. Raises UpstreamError when the provider takes no batch.
        """
        before = [each for each in batches_of(folder) if each.tier == self.card.name and not each.collected]
        for each in before:
            await self._gather(each, tell)
        for items in _chunks(self._items(missing)):
            await self._gather(await self._hand_in(folder, items), tell)
        self.free = True

    async def answer(self, case: Case, repeat: int) -> Reply:
        """The row of the batch. Raises UpstreamError where it failed or was not answered."""
        said = self._rows.get(_key(case, repeat))
        if said is None or said.over:
            raise UpstreamBroke("The batch ended without an answer to it.")
        if said.status == 200:
            return self._reply(self._dialect.read_answer(said.body), case)
        error = self._dialect.read_error(said.status, {}, said.body)
        if said.status in REJECTED:
            return Reply("", "rejected", Usage(), 0, 0, error=error.message[:300])
        raise error

    def _reply(self, answer: Answer, case: Case) -> Reply:
        text, finish = _said(answer)
        usage = answer.usage or Usage(
            input=estimate_tokens(len(self._body(case))),
            output=estimate_tokens(len(text.encode())),
            source="estimated",
        )
        if self._own_price:
            cost = self._tier.deployment.priced.cost(usage, now_us(), batch=True).pico
        else:
            cost = self._tier.cost(usage, answer.model)
        # No times: nobody waited for it.
        return Reply(text, OUTCOMES.get(finish, "ok"), usage, cost, 0, served=answer.model)

    def _body(self, case: Case) -> bytes:
        return strip(self._tier.written(case).body, ("stream", "stream_options"))

    def _items(self, missing: Missing) -> Iterator[Item]:
        for case, repeat in missing:
            key = _key(case, repeat)
            if key not in self._rows:
                yield Item(key, self._body(case))

    async def _hand_in(self, folder: RunFolder, items: list[Item]) -> HandedIn:
        job = new_id("job")
        file = await _patiently(lambda: self._place.upload(job, items))
        batch = await self._submitted(job, file, items)
        handed = HandedIn(self.card.name, batch, len(items))
        folder.keep_other(BATCHES, msgspec.json.encode(handed))
        return handed

    async def _submitted(self, job: str, file: str, items: list[Item]) -> str:
        """The id of the batch. One that may have been made is looked for, and never made twice."""
        try:
            return await _patiently(lambda: self._place.submit(job, file, items), _refused)
        except (UpstreamBroke, UpstreamTimeout):
            found = await _patiently(lambda: self._place.find(job))
            if not found:
                raise
            return found

    async def _gather(self, handed: HandedIn, tell: Tell) -> None:
        """Waits until a batch has ended, and takes its rows."""
        tell(f"{handed.tier}: batch {handed.batch} of {handed.rows:,} calls is under way")
        wait, shown = _FIRST_POLL_S, -1
        while not (ticket := await _patiently(lambda: self._place.look(handed.batch))).ended:
            if ticket.done != shown and wait == _LONGEST_POLL_S:
                tell(f"{handed.tier}: {ticket.done:,} of {handed.rows:,} answered")
                shown = ticket.done
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_POLL_S)
        if ticket.failed:
            raise SuiteError(
                f"The batch {handed.batch} of {handed.tier} failed: {ticket.failed}.", "Correct that."
            )
        for said in await _patiently(lambda: self._place.outcomes(ticket)):
            self._rows[said.name] = said
        tell(f"{handed.tier}: batch {handed.batch} has ended")


def by_batch(tiers: Iterable[Answering], pool: Pool) -> list[Answering]:
    """The tiers as ones that are asked by batch; recorded answers as they are. Raises SuiteError where a
    provider's batches are not spoken.
    """
    found: list[Answering] = []
    for tier in tiers:
        if isinstance(tier, ChatTier):
            if tier.deployment.dialect.name not in ENDPOINTS:
                raise SuiteError(
                    f"{tier.card.name} is at a provider whose batches are not spoken here.",
                    "Ask through a gateway: --base-url http://127.0.0.1:4000/v1 --key KEY.",
                )
            tier = BatchTier(tier, pool)
        found.append(tier)
    return found


def batches_of(folder: RunFolder) -> list[HandedIn]:
    """What was handed in in this run, each as it stands."""
    latest: dict[str, HandedIn] = {}
    for line in folder.other_lines(BATCHES):
        each = msgspec.json.decode(line, type=HandedIn)
        latest[each.batch] = each
    return list(latest.values())


def goes_by_batch(folder: RunFolder) -> bool:
    """Whether a run has handed in batches: then what is still missing is handed in, too."""
    return bool(batches_of(folder))


async def collect_all(runner: Runner, most_pico: int | None, tell: Tell | None) -> None:
    """Hands the missing Trials of every tier in, and waits. `most_pico` is what they may cost, None: not
    known. Raises SuiteError where a batch does not go with the terms of the run, UpstreamError.
    """
    if runner.looking is not None:
        raise SuiteError(
            "A batch cannot stop when the evidence suffices.", "Leave --sequential or --batch out."
        )
    limit = runner.work.limit_pico
    if limit is not None and (most_pico is None or runner.spent_pico + most_pico > limit):
        raise SuiteError(
            "A batch is paid as a whole, and this one may cost more than --cost-limit.",
            "Raise the limit, say --max-tokens, or ask fewer Cases with -n.",
        )
    await together(
        tier.collect(runner.folder, runner.wanted(name), tell or _unheard)
        for name, tier in runner.tiers.items()
        if isinstance(tier, BatchTier)
    )


def _unheard(words: str) -> None:
    """Nobody watches."""


def mark_collected(folder: RunFolder) -> None:
    """To be called when the rows are Trials."""
    for each in batches_of(folder):
        if not each.collected:
            folder.keep_other(BATCHES, msgspec.json.encode(msgspec.structs.replace(each, collected=True)))


def _refused(error: UpstreamError) -> bool:
    """Whether what was asked for surely was not done."""
    return isinstance(error, UpstreamRefused) or (isinstance(error, UpstreamStatus) and error.status == 429)


async def _patiently(act: Callable[[], Awaitable[T]], again: Again = lambda error: True) -> T:
    """What `act` gives, tried again after passing failures that `again` agrees to. Raises UpstreamError."""
    for attempt in range(_TRIES):
        try:
            return await act()
        except UpstreamError as error:
            if final(error) or attempt == _TRIES - 1 or not again(error):
                raise
            await asyncio.sleep(wait_s(error, attempt, 0.5, 0.5))
    raise AssertionError


def _key(case: Case, repeat: int) -> str:
    return hashlib.sha256(f"{repeat}/{case.id}".encode()).hexdigest()[:32]


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """As many rows at once as a batch may hold."""
    rows: list[Item] = []
    size = 0
    for item in items:
        if rows and (len(rows) == _MOST_ROWS or size + len(item.body) > _MOST_BYTES):
            yield rows
            rows, size = [], 0
        rows.append(item)
        size += len(item.body)
    if rows:
        yield rows


def _said(answer: Answer) -> tuple[str, str]:
    """(text of the first choice, its tool calls as JSON where there are any; why it ended)."""
    if not answer.choices:
        return "", "error"
    choice = answer.choices[0]
    calls = [
        {"name": part.name, "arguments": part.arguments}
        for part in choice.parts
        if isinstance(part, ToolCall)
    ]
    if calls:
        return json.dumps(calls, ensure_ascii=False), choice.finish
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    return text, "refusal" if refused else choice.finish
