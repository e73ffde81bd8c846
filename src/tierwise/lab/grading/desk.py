"""Desk: where a judge (or embedder) is asked. Every judgement is kept in the run's folder, paid for once."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from ...costing import cautious_size, estimate_tokens
from ...errors import SuiteError, UpstreamError
from ...nouns import Case, Usage
from ..cases.suites import messages_text
from ..running.faults import congested, final, hopeless, remedy, wait_s
from ..running.pace import Pace
from ..running.plan import Bill
from ..running.replies import Answering
from ..running.store import RunFolder
from .scoring import NoJudge

JUDGEMENTS = "judgements.jsonl"
CALLS = "judge_calls.jsonl"
"""Says before each call to a judge that it is made, and after one that failed that it did."""
OUTPUT_SAID = 60
"""Answer tokens a judgement is reckoned at before any has been seen."""
_LONGEST = 500
_UNREADABLE = 20
"""A judge none of whose first so many judgements can be read is not asked further."""


class Judgement(Struct, frozen=True, omit_defaults=True):
    """What the judge said to one prompt, with its bill. `key` is the hash of judge and prompt, `by` the
    scorer that asked.
    """

    key: str
    text: str
    outcome: str = "ok"
    usage: Usage = Usage()
    cost_pico: int | None = None
    served: str = ""
    error: str = ""
    by: str = ""


class Call(Struct, frozen=True, omit_defaults=True):
    """A call for the Judgement `key` that is about to be made by the scorer `by`, its prompt of `size` bytes;
    or one that `failed`."""

    key: str
    by: str = ""
    failed: bool = False
    size: int = 0


class Asking(Struct, frozen=True):
    """How a desk asks: calls in flight, retries, first wait, what all may cost, and for which scorer."""

    jobs: int = 32
    retries: int = 6
    backoff_s: float = 0.5
    limit_pico: int | None = None
    seed: int = 0
    by: str = ""


class Desk:
    """One judge at work. `spent_pico` is what it has cost in this run, earlier parts of it included;
    `in_doubt` how many of its earlier calls were cut off and may have been billed besides, at most with
    `doubtful_pico`."""

    def __init__(self, tier: Answering, asking: Asking, folder: RunFolder | None = None) -> None:
        self.tier = tier
        self.spent_pico = 0
        self.unpriced = 0
        self.failed = 0
        self.in_doubt = self.doubtful_pico = 0
        self.others_pico = 0
        self._down: NoJudge | None = None
        self._asking = asking
        self._folder = folder
        self._known: dict[str, Judgement] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._pace = Pace(asking.jobs)
        self._draw = random.Random(asking.seed)
        self._reserved = 0
        self._output = OUTPUT_SAID
        self._readable = False
        self._unreadable = 0
        if folder is not None:
            for line in folder.other_lines(JUDGEMENTS):
                said = msgspec.json.decode(line, type=Judgement)
                if said.by == asking.by:
                    self._take(said)
            cut_off = self._cut_off(folder)
            self.in_doubt, self.doubtful_pico = len(cut_off), sum(map(self.bound, cut_off))

    @property
    def calls(self) -> int:
        """Judgements that are there."""
        return len(self._known)

    def kept(self, case: Case) -> bool:
        """Whether this prompt was judged already."""
        return self._key(case) in self._known

    def bound(self, prompt_bytes: int) -> int:
        """Pico-dollars one judgement is reckoned to cost at most: its prompt, and the longest seen so far, or
        allowed before the first.
        """
        price = self.tier.price
        if self.tier.free or price is None:
            return 0
        prompt = estimate_tokens(prompt_bytes)
        output = self._output if self._known else self.tier.longest or OUTPUT_SAID
        return prompt * (price.input or 0) + output * (price.output or 0)

    def bill(self, calls: int, prompt_bytes: int, longest: int) -> Bill:
        """What `calls` judgements will cost, their prompts `prompt_bytes` long in all, each answer `longest`
        tokens at most.
        """
        price = self.tier.price
        if self.tier.free or not calls:
            return Bill(calls, 0, 0)
        if price is None or price.input is None:
            return Bill(calls, None, None)
        prompts, token = estimate_tokens(prompt_bytes) * price.input, price.output or 0
        return Bill(calls, prompts + calls * OUTPUT_SAID * token, prompts + calls * longest * token)

    async def ask(self, case: Case) -> Judgement:
        """The judgement of a prompt, from the folder where it is there. Raises UpstreamError when there is
        none after retries, NoJudge when the judge cannot be asked at all or the cost limit is reached.
        """
        key = self._key(case)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in self._known:
                try:
                    await self._call(key, case)
                finally:
                    self._locks.pop(key, None)
        return self._known[key]

    def heard(self, why: str) -> None:
        """To be told of each judgement why it could not be read, "" when it could. Raises NoJudge when none
        of the first 20 could: the rest would be paid for nothing.
        """
        self._readable = self._readable or not why
        self._unreadable += bool(why)
        if not self._readable and self._unreadable >= _UNREADABLE:
            raise NoJudge(
                f"None of the first {self._unreadable} judgements can be read: {why}.",
                "Begin a new run with another judge, or say in the rubric what to reply.",
            )

    async def _call(self, key: str, case: Case) -> None:
        asking = self._asking
        for attempt in range(asking.retries + 1):
            ticket = await self._pace.enter()
            slow: bool | None = None
            try:
                if self._down is not None:
                    raise self._down
                with self._reservation(case):
                    self._note(Call(key, asking.by, size=_size(case)))
                    reply = await self.tier.answer(case, 0)
                    slow = False
                    said = Judgement(
                        key,
                        reply.text,
                        reply.outcome,
                        reply.usage,
                        reply.cost_pico,
                        reply.served,
                        reply.error,
                        asking.by,
                    )
                    if self._folder is not None:
                        self._folder.keep_other(JUDGEMENTS, msgspec.json.encode(said))
                    self._take(said)
                return
            except UpstreamError as error:
                self._note(Call(key, asking.by, failed=True))
                slow = congested(error)
                if hopeless(error):
                    words = error.sentence()[:300]
                    self._down = NoJudge(f"The judge cannot be asked: {words}", remedy(error))
                    raise self._down from None
                if attempt == asking.retries or final(error):
                    self.failed += 1
                    raise
                wait = wait_s(error, attempt, asking.backoff_s, self._draw.random())
            finally:
                self._pace.leave(ticket, slow)
            await asyncio.sleep(wait)

    def _note(self, call: Call) -> None:
        if self._folder is not None:
            self._folder.keep_other(CALLS, msgspec.json.encode(call))

    def _cut_off(self, folder: RunFolder) -> list[int]:
        """Of each call that was begun, and neither failed nor gave a judgement, the bytes of its prompt."""
        begun: dict[str, list[int]] = defaultdict(list)
        for line in folder.other_lines(CALLS):
            call = msgspec.json.decode(line, type=Call)
            if call.by == self._asking.by:
                begun[call.key] = begun[call.key][:-1] if call.failed else [*begun[call.key], call.size]
        for key in self._known:
            begun[key] = begun[key][:-1]
        return [size for sizes in begun.values() for size in sizes]

    @contextmanager
    def _reservation(self, case: Case) -> Iterator[None]:
        """Money set aside while a call is under way. Raises NoJudge at the limit."""
        limit = self._asking.limit_pico
        bound = 0 if limit is None else self.bound(_size(case))
        spent = self.others_pico + self.spent_pico + self.doubtful_pico
        if limit is not None and spent + self._reserved + bound > limit:
            raise NoJudge(
                "The cost limit is reached before everything is judged.",
                "Raise --cost-limit and go on with --resume.",
            )
        self._reserved += bound
        try:
            yield
        finally:
            self._reserved -= bound

    def _take(self, said: Judgement) -> None:
        self._known[said.key] = said
        self._output = max(self._output, said.usage.output)
        if said.cost_pico is None:
            self.unpriced += not self.tier.free
        else:
            self.spent_pico += said.cost_pico

    def _key(self, case: Case) -> str:
        card = self.tier.card
        asked = (card.model, card.target, card.base_url, case.messages, case.input, case.target)
        return hashlib.sha256(msgspec.json.encode(asked)).hexdigest()[:32]


def unread(said: Judgement) -> str:
    """Why a judgement cannot be read, "" when it can."""
    if said.outcome == "ok":
        return ""
    more = ' (judge:{"max_tokens": N} allows more)' if said.outcome == "truncated" else ""
    return f"the judge's answer was {said.outcome}{more}{': ' + said.error[:_LONGEST] if said.error else ''}"


def check_limit(desk: Desk, limit_pico: int | None) -> None:
    """Raises SuiteError when a cost limit is asked for that cannot be kept."""
    if limit_pico is not None and desk.tier.price is None and not desk.tier.free:
        raise SuiteError(
            f"No price of the judge {desk.tier.card.name} is known, so a cost limit cannot be kept.",
            "Add a [[price]] row to tierwise.toml, or leave --cost-limit out.",
        )


def _size(case: Case) -> int:
    return cautious_size(messages_text(case.messages) or f"{case.input}{case.target}")
