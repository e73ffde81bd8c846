"""Answers: the cache as an Exchange meets it. Looks, waits for whoever asks the same, asks, keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, cast

from tierwise.clock import now_us
from tierwise.http1 import Pool, Reply

from ..recording import Book, Entry
from ..walk import Walk
from .booking import book
from .copying import Copying, read_whole
from .flights import Flights, Landed
from .kept import Kept, Memory
from .keys import Wanted, group_of, wanted
from .near import Near, Question, Vectors
from .replay import form_of, tell, written
from .shared import Shared
from .terms import Terms

Ask = Callable[[Walk, Reply], Awaitable[Entry]]
"""Calls a provider and writes its answer to the Reply."""


class Answers:
    """The answers of one gateway: in its memory and, with `redis`, in a server that replicas share."""

    def __init__(self, records: Book, pool: Pool, redis: str | None = None) -> None:
        self._book = records
        self._redis = redis
        self._metrics = records.metrics
        self._since = ""
        self._secret = b""
        self._memory = Memory(0)
        self._near = Near(self._memory)
        self._vectors = Vectors(pool, records)
        self._shared: Shared | None = None
        self._starting: asyncio.Task[None] | None = None
        self._flights = Flights()

    def use(self, terms: Terms | None) -> None:
        """Keeps to `terms` from now on. Raises ConfigError when the server cannot be used at all."""
        self._memory.bound(terms.said.max_bytes if terms is not None else 0)
        self._count()
        if terms is not None and terms.said.embedding is not None:
            self._vectors.prepare(terms.said.embedding)
        if terms is not None and self._redis is not None and self._shared is None:
            self._shared = Shared(self._redis, self._metrics)
            self._starting = asyncio.get_running_loop().create_task(self._shared.start())

    def renew(self, since: str) -> None:
        """Forgets every answer, here and on the server, kept before `since` was another word."""
        if self._secret and since == self._since:
            return
        self._since = since
        # Other keys for the same questions: what is kept under the old ones is never found, and expires.
        self._secret = bytes.fromhex(self._book.ledger.digest_of(f"answers {since}".rstrip()))
        most = self._memory.most
        self._memory.bound(0)
        self._memory.bound(most)
        self._count()

    async def start(self) -> None:
        """Waits until the server is connected, or seen to be away."""
        if self._starting is not None:
            await self._starting

    async def close(self) -> None:
        """Lets go of the server."""
        if self._shared is not None:
            await self.start()
            await self._shared.close()

    async def answer(self, walk: Walk, terms: Terms, reply: Reply, ask: Ask) -> Kept | None:
        """Answers `walk`, from the cache or by `ask`. Gives the answer it was given, None when a provider
        was asked.

        Raises what `ask` raises; StoreError when a hit cannot be recorded.
        """
        want = wanted(walk, terms, self._secret)
        if want is None:
            self._metrics.cache["bypass"] += 1
            await ask(walk, reply)
            return None
        asking = Asking(walk, terms, reply, ask, want)
        kept = await (self._given(asking) if asking.asks else self._held_out(asking))
        if kept is None:
            return None
        body = written(walk, kept)
        walk.cache = b"hit"
        self._metrics.cache["hit"] += 1
        self._metrics.cache_saved_pico += await book(self._book.ledger, walk, kept) or 0
        await tell(walk, kept, body, now_us() - kept.at_us, reply)
        return kept

    async def _given(self, asking: Asking) -> Kept | None:
        """The answer; None when a provider was asked."""
        if asking.want.reads:
            return await self._look(asking)
        await self._ask(asking)
        return None

    async def _held_out(self, asking: Asking) -> Kept | None:
        """The answer to a request held out: as others were told, or else its own session. What is asked for
        it stays with that, as another tier than theirs is."""
        kept = await self._look(asking) if asking.want.reads else None
        if kept is not None:
            return kept
        own = asking.want.of_session()
        if own is None:
            self._missed(asking.walk)
            await asking.ask(asking.walk, asking.reply)
            return None
        asking.apart(own)
        return await self._given(asking)

    async def _look(self, asking: Asking) -> Kept | None:
        """The answer, from here, from the server or from whoever asks the same just now; None when a
        provider was asked, or is to be since this one does not ask."""
        key = asking.want.key
        while (kept := self._memory.get(key, now_us())) is None:
            flight = self._flights.get(key)
            if flight is None:
                return await self._lead(asking)
            landed = await flight.wait(asking.left_s())
            if isinstance(landed, Kept):
                return landed
            if landed == "unkept":
                # Waiting again would only put one such call after the other.
                if asking.asks:
                    await self._ask(asking)
                return None
        return kept

    async def _lead(self, asking: Asking) -> Kept | None:
        """What the server holds; else asks a provider, for all who wait, and gives None. One that does not
        ask leaves that to the next."""
        key = asking.want.key
        self._flights.begin(key)
        landed: Landed = "failed"
        try:
            found = await self._elsewhere(asking)
            kept = found if isinstance(found, Kept) else None
            if kept is not None:
                self._memory.put(key, kept)
                self._count()
            elif found is None and not asking.want.alone:
                kept = await self._similar(asking)
            if kept is not None:
                landed = kept
            elif asking.asks:
                landed = await self._ask(asking)
            return kept
        finally:
            self._flights.end(key, landed)
            if self._shared is not None:
                self._shared.land(key, landed)

    async def _elsewhere(self, asking: Asking) -> Kept | Literal["unkept"] | None:
        if self._shared is None:
            return None
        return await self._shared.take(asking.want.key, asking.left_s())

    async def _similar(self, asking: Asking) -> Kept | None:
        """The answer to a question that means the same, where that would do."""
        least = asking.terms.similarity(_task(asking.walk))
        if least is None:
            return None
        asking.question = await self._question(asking)
        return None if asking.question is None else self._near.find(asking.question, least)

    async def _question(self, asking: Asking) -> Question | None:
        """The question with its vector; None where only these very words will do, or there is no vector."""
        name = asking.terms.said.embedding
        group = group_of(asking.walk, asking.terms, self._secret) if name else None
        if name is None or group is None:
            return None
        vector = await self._vectors.of(asking.walk, name, group[1])
        return Question(group[0], vector) if vector is not None else None

    async def _ask(self, asking: Asking) -> Landed:
        """Asks a provider, and keeps its answer if that may be kept."""
        self._missed(asking.walk)
        copying = Copying(asking.reply, asking.terms.said.max_answer_bytes)
        entry = await asking.ask(asking.walk, cast(Reply, copying))
        if entry.outcome != "ok":
            return "failed"
        kept, key = kept_of(asking, entry, copying.body), asking.want.key_of(entry.candidate)
        if kept is None or key is None:
            return "unkept"
        self._memory.put(key, kept)
        if asking.question is not None and key == asking.want.key:
            self._near.add(asking.question, key)
        if self._shared is not None:
            self._shared.put(key, kept)
        self._count()
        return kept

    def _missed(self, walk: Walk) -> None:
        walk.cache = b"miss"
        self._metrics.cache["miss"] += 1

    def _count(self) -> None:
        self._metrics.cache_bytes = self._memory.size
        self._metrics.cache_evicted = self._memory.evicted


class Asking:
    """One request that may be answered from the cache, and how to ask a provider instead. `question` is what
    it means, where a similar one would do. `asks`: whether it is asked for all that want the same; a held-out
    request only looks for what they were told."""

    __slots__ = ("_until", "ask", "asks", "question", "reply", "terms", "walk", "want")

    def __init__(self, walk: Walk, terms: Terms, reply: Reply, ask: Ask, want: Wanted) -> None:
        self.walk = walk
        self.terms = terms
        self.reply = reply
        self.ask = ask
        self.want = want
        self.question: Question | None = None
        self.asks = walk.other is None
        self._until = asyncio.get_running_loop().time() + terms.said.wait_s

    def apart(self, own: Wanted) -> None:
        """Asks for its own session alone from now on."""
        self.want, self.asks, self.question = own, True, None

    def left_s(self) -> float:
        """Seconds it may still wait for others, all of them together."""
        return max(0.0, self._until - asyncio.get_running_loop().time())


def kept_of(asking: Asking, entry: Entry, body: bytes | None) -> Kept | None:
    """The answer as it is kept; None when it is too long, or not whole."""
    walk = asking.walk
    if body is None:
        return None
    answer = read_whole(walk.surface, body, walk.outline.stream)
    if answer is None:
        return None
    at_us = now_us()
    return Kept(
        body=body,
        form=form_of(walk),
        usage=entry.kept_usage(answer.model),
        tier=entry.candidate.tier,
        model=entry.deployment.name,
        served_model=answer.model,
        losses=walk.loss_names(),
        at_us=at_us,
        until_us=at_us + asking.terms.ttl_us(_task(walk)),
    )


def _task(walk: Walk) -> str:
    return walk.route.task if walk.route is not None else ""
