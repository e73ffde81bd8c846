"""Runner: asks every missing Trial of a run, at the pace each tier stands, and keeps each as it ends."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct, structs

from ..costing import estimate_tokens
from ..errors import SuiteError, UpstreamError, UpstreamRefused, UpstreamStatus, UpstreamTimeout
from ..nouns import Case, Score, Trial, Usage
from .looking import Looking
from .pace import Pace
from .records import Record
from .replies import Answering, Reply
from .scoring import Judge, mark
from .store import RunFolder
from .suites import messages_text
from .tally import PENDING, TierTally

_UNHEARD = 10
"""A tier that has failed on this many Cases and answered none is not asked further."""
_SAID_NOTHING = 500
_LONGEST_WAIT_S = 60.0
_OURS = (401, 402, 403, 404)


class Work(Struct, frozen=True):
    """How a run is carried out: `jobs` calls in flight in all, `retries` after infrastructure's failures,
    beginning with a wait of `backoff_s`; `limit_pico` is not to be passed.
    """

    jobs: int = 32
    retries: int = 6
    backoff_s: float = 0.5
    limit_pico: int | None = None
    max_tokens: int | None = None
    seed: int = 0


class Observer(Protocol):
    """Who watches a run."""

    def trial(self, runner: Runner, tier: str) -> None:
        """Called after each Trial."""


class Runner:
    """One run under way. `halted` says why it ended early, "" when it did not."""

    def __init__(
        self,
        folder: RunFolder,
        order: Sequence[Case],
        tiers: Sequence[Answering],
        judge: Judge,
        work: Work,
    ) -> None:
        self.folder = folder
        self.order = order
        self.tiers = {tier.card.name: tier for tier in tiers}
        self.tallies: dict[str, TierTally] = {}
        self.work = work
        self.halted = ""
        self.fault: Exception | None = None
        self.looking: Looking | None = None
        self.observer: Observer | None = None
        self.spent_pico = 0
        self.in_doubt = 0
        self._judge = judge
        self._slow = inspect.iscoroutinefunction(getattr(judge, "__call__", judge)) or (  # noqa: B004
            inspect.iscoroutinefunction(judge)
        )
        self._reserved = 0
        self._draw = random.Random(work.seed)
        self._paces = {name: Pace(work.jobs) for name in self.tiers}
        self._room = asyncio.Semaphore(work.jobs)
        self._pending: list[Record] = []

    def load(self, names: Sequence[str], repeats: int) -> None:
        """Takes in what the folder holds of these tiers."""
        self.tallies = {name: TierTally(len(self.order), repeats) for name in names}
        at = {case.id: position for position, case in enumerate(self.order)}
        pending: dict[tuple[str, str, int], Record] = {}
        doubt: set[tuple[str, str, int]] = set()
        for line in self.folder.lines():
            if not isinstance(line, Record):
                doubt.add((line.intent, line.tier, line.repeat))
                continue
            trial = line.trial
            key = (trial.case, trial.tier, trial.repeat)
            doubt.discard(key)
            waited = pending.pop(key, None)
            tally = self.tallies.get(trial.tier)
            position = at.get(trial.case)
            if tally is None or position is None or trial.repeat >= repeats:
                continue
            if trial.score.why == PENDING:
                pending[key] = line
            tally.put(position, line)
            if waited is None:
                tally.bill(line)
        self.in_doubt = len(doubt)
        self._pending = list(pending.values())
        self.spent_pico = sum(tally.spent_pico for tally in self.tallies.values())

    def missing(self, name: str) -> int:
        """How many Trials of this tier are still to be made."""
        tally = self.tallies[name]
        return sum(
            not tally.done(at, repeat) for at in range(len(self.order)) for repeat in range(tally.repeats)
        )

    async def run(self) -> None:
        """Until every Trial is there, a decision has fallen or the limit is reached. Raises the error of a
        tier that cannot be asked at all.
        """
        for record in self._pending:
            await self._score_again(record)
        if self.looking is not None:
            self.looking.advance()
        async with asyncio.TaskGroup() as group:
            for name in self.tiers:
                jobs = self._jobs(name)
                for _ in range(min(self.work.jobs, self.missing(name))):
                    group.create_task(self._work(name, jobs))
        if self.fault is not None:
            raise self.fault

    def _jobs(self, name: str) -> Iterator[tuple[int, int]]:
        tally = self.tallies[name]
        for position in range(len(self.order)):
            for repeat in range(tally.repeats):
                if not tally.done(position, repeat):
                    yield position, repeat

    async def _work(self, name: str, jobs: Iterator[tuple[int, int]]) -> None:
        for position, repeat in jobs:
            if self.halted or (self.looking and not await self.looking.turn(name, position)):
                return
            record = await self._trial(name, position, repeat)
            if record is None:
                return
            tally = self.tallies[name]
            tally.put(position, record)
            tally.bill(record)
            self.spent_pico += record.trial.cost_pico or 0
            if self.looking is not None:
                self.looking.advance()
            if self.observer is not None:
                self.observer.trial(self, name)

    async def _trial(self, name: str, position: int, repeat: int) -> Record | None:
        """One Trial made and kept; None when the run ends before."""
        case = self.order[position]
        bound = self._bound(self.tiers[name], case)
        limit = self.work.limit_pico
        if limit is not None and self.spent_pico + self._reserved + bound > limit:
            self._halt("the cost limit is reached")
            return None
        self._reserved += bound
        try:
            reply = await self._ask(name, case, repeat)
        except UpstreamError as error:
            return self._lost(name, case, repeat, error)
        finally:
            self._reserved -= bound
        if reply is None:
            return None
        record = Record(
            Trial(
                case=case.id,
                tier=name,
                repeat=repeat,
                answer=reply.text,
                score=Score(None, PENDING),
                usage=reply.usage,
                cost_pico=reply.cost_pico,
                ttft_us=reply.ttft_us,
                total_us=reply.total_us,
                outcome=reply.outcome,
                error=reply.error,
            ),
            reply.cached,
            reply.served,
        )
        if self._slow:
            self.folder.keep(record)
        score = await mark(self._judge, case, reply.text, reply.outcome)
        record = structs.replace(record, trial=structs.replace(record.trial, score=score))
        self.folder.keep(record)
        if reply.outcome == "rejected":
            self._count_failure(name, reply.error)
        return record

    async def _ask(self, name: str, case: Case, repeat: int) -> Reply | None:
        """The answer, after retries if need be; None when the run ends before. Raises the last error."""
        tier, pace, work = self.tiers[name], self._paces[name], self.work
        for attempt in range(work.retries + 1):
            ticket = await pace.enter()
            congested: bool | None = None
            try:
                async with self._room:
                    if self.halted or (self.looking and not self.looking.wanted(name)):
                        return None
                    if not tier.free:
                        self.folder.intend(case.id, name, repeat)
                    reply = await tier.answer(case, repeat)
                    congested = False
                    return reply
            except UpstreamError as error:
                congested = _congested(error)
                if tier.free or attempt == work.retries or _final(error):
                    raise
                wait = self._wait_s(error, attempt)
            finally:
                pace.leave(ticket, congested)
            await asyncio.sleep(wait)
        return None

    def _wait_s(self, error: UpstreamError, attempt: int) -> float:
        told = error.retry_after_s if isinstance(error, UpstreamStatus) else None
        wait: float = self.work.backoff_s * 2.0**attempt * (0.5 + self._draw.random())
        return min(max(wait, told or 0.0), _LONGEST_WAIT_S)

    def _lost(self, name: str, case: Case, repeat: int, error: UpstreamError) -> Record | None:
        """A Trial that infrastructure ate: unscored, to be tried again by --resume."""
        words = error.sentence()[:300]
        if isinstance(error, UpstreamStatus) and error.status in _OURS:
            self._stop(SuiteError(f"{name} cannot be asked: {words}", _hint(error)))
            return None
        self._count_failure(name, words)
        record = Record(
            Trial(
                case.id,
                name,
                repeat,
                "",
                Score(None, "no answer: error"),
                Usage(),
                None,
                None,
                0,
                "error",
                words,
            )
        )
        self.folder.keep(record)
        return record

    def _answered(self, name: str) -> bool:
        tally = self.tallies[name]
        return tally.count("ok") + tally.count("truncated") + tally.count("refused") > 0

    def _count_failure(self, name: str, words: str) -> None:
        if self._answered(name) or self.tiers[name].free:
            return
        tally = self.tallies[name]
        failed = tally.count("error") + tally.count("rejected") + 1
        if failed >= min(_UNHEARD, len(self.order)):
            self._stop(
                SuiteError(
                    f"{name} failed on each of the first {failed} Cases and answered none: {words}",
                    "Check the model's name, the key and the provider; then go on with --resume.",
                )
            )

    def _stop(self, error: Exception) -> None:
        self.fault = self.fault or error
        self._halt("a tier cannot be asked")

    def _halt(self, why: str) -> None:
        self.halted = self.halted or why
        if self.looking is not None:
            self.looking.stop()

    def _bound(self, tier: Answering, case: Case) -> int:
        """Pico-dollars one call is reckoned to cost at most: its prompt, and the longest answer so far or
        allowed.
        """
        price = tier.price
        if tier.free or price is None:
            return 0
        tally = self.tallies[tier.card.name]
        output = self.work.max_tokens or max(tally.output_tokens, _SAID_NOTHING)
        prompt = estimate_tokens(len(messages_text(case.messages).encode()))
        return prompt * (price.input or 0) + output * (price.output or 0)

    async def _score_again(self, record: Record) -> None:
        """An answer that was paid for before a crash and not scored yet."""
        trial = record.trial
        by_id: Mapping[str, int] = {case.id: at for at, case in enumerate(self.order)}
        position = by_id[trial.case]
        score = await mark(self._judge, self.order[position], trial.answer, trial.outcome)
        scored = structs.replace(record, trial=structs.replace(trial, score=score))
        self.folder.keep(scored)
        self.tallies[trial.tier].put(position, scored)


def _congested(error: UpstreamError) -> bool | None:
    """Whether an error means "slower"."""
    if isinstance(error, UpstreamStatus):
        return True if error.status in (408, 429, 529) or error.status >= 500 else None
    return isinstance(error, UpstreamTimeout | UpstreamRefused) or None


def _final(error: UpstreamError) -> bool:
    return isinstance(error, UpstreamStatus) and (error.retry == "never" or error.status in _OURS)


def _hint(error: UpstreamStatus) -> str:
    return {
        401: "Check the key.",
        402: "The account has no funds, or a budget is used up.",
        403: "The key may not use this model.",
        404: "Check the model's name and the base URL.",
    }.get(error.status, "")
