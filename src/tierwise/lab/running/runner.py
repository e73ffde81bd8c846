"""Runner: asks every missing Trial of a run, at the pace each tier stands, and keeps each as it ends."""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from collections.abc import Iterator, Sequence
from typing import Protocol

from msgspec import Struct, structs

from ...errors import SuiteError, UpstreamError
from ...judging import cases_text
from ...nouns import Case, Score, Trial, Usage
from ..grading.hearing import Hearing
from ..grading.judges import UNJUDGED
from ..grading.pairing import later
from ..grading.scoring import Judge, NoJudge, mark
from .faults import congested, final, hopeless, remedy, wait_s
from .looking import Looking
from .pace import Pace, Room, each_of, together
from .plan import reckoned
from .records import Record
from .replies import Answering, Reply
from .store import RunFolder
from .tally import PENDING, TierTally

_UNHEARD = 10
"""A tier that has failed on this many Cases and answered none is not asked further."""
_GONE = 20
"""One that has answered is away once so many Cases in a row got no answer, whatever their retries."""
_PATIENCE = 30
"""So often one call tries whether it is back, at last once a minute: about half an hour in all."""
_SAID_NOTHING = 500


class Work(Struct, frozen=True):
    """How a run is carried out: `jobs` calls in flight in all, `retries` after infrastructure's failures,
    beginning with a wait of `backoff_s`; `limit_pico` is not to be passed.
    """

    jobs: int = 32
    retries: int = 6
    backoff_s: float = 0.5
    limit_pico: int | None = None
    seed: int = 0


class Observer(Protocol):
    """Who watches a run."""

    def trial(self, runner: Runner, tier: str) -> None:
        """Called after each Trial."""

    def told(self, words: str) -> None:
        """Called with what a run has to say while it waits."""


class Runner:
    """One run under way. `halted` says why it ended early, "" when it did not. `spent_pico` is what its calls
    cost, which recorded answers are not.
    """

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
        self.hearing: Hearing | None = None
        self.observer: Observer | None = None
        self.spent_pico = 0
        self.in_doubt = 0
        self.doubtful_pico = 0
        self._judge = judge
        self._slow = inspect.iscoroutinefunction(getattr(judge, "__call__", judge)) or (  # noqa: B004
            inspect.iscoroutinefunction(judge)
        )
        self._reserved = 0
        self._ended = asyncio.Event()  # Set and cleared whenever a call ends.
        self._purse = asyncio.Lock()  # Who waits for money keeps its turn: tiers go on side by side.
        self._draw = random.Random(work.seed)
        self._paces = {name: Pace(work.jobs) for name in self.tiers}
        self._room = Room(work.jobs)
        self._pending: list[Record] = []
        self._places: dict[str, int] = {}
        self._unheard: dict[str, list[tuple[int, int]]] = {name: [] for name in self.tiers}
        self._again: dict[str, list[tuple[int, int]]] = {name: [] for name in self.tiers}
        self._trying = {name: asyncio.Lock() for name in self.tiers}

    def load(self, names: Sequence[str], repeats: int) -> None:
        """Takes in what the folder holds of these tiers."""
        self.tallies = {name: TierTally(len(self.order), repeats) for name in names}
        at = {case.id: position for position, case in enumerate(self.order)}
        pending: dict[tuple[str, str, int], Record] = {}
        doubt: set[tuple[str, str, int]] = set()
        lost: list[tuple[str, str, int]] = []
        for line in self.folder.lines():
            if not isinstance(line, Record):
                called = (line.intent, line.tier, line.repeat)
                # Called anew without an answer or a failure of the last call: a crash came between.
                if called in doubt and not line.attempt:
                    lost.append(called)
                doubt.add(called)
                continue
            trial = line.trial
            key = (trial.case, trial.tier, trial.repeat)
            doubt.discard(key)
            waited = pending.pop(key, None)
            tally = self.tallies.get(trial.tier)
            position = at.get(trial.case)
            if tally is None or position is None or trial.repeat >= repeats:
                continue
            if trial.score.value is None and trial.score.why.startswith((PENDING, UNJUDGED)):
                line = structs.replace(line, trial=structs.replace(trial, score=Score(None, PENDING)))
                pending[key] = line
            tally.put(position, line)
            tally.weigh(reckoned(self.order[position]), trial.usage)
            if waited is None:
                tally.bill(line)
        lost += doubt
        self.in_doubt += len(lost)
        self.doubtful_pico = sum(
            self._call_bound(self.tiers[tier], self.order[at[case]])
            for case, tier, _ in lost
            if tier in self.tallies and case in at
        )
        self._pending = list(pending.values())
        asked = (tally for name, tally in self.tallies.items() if not self.tiers[name].free)
        self.spent_pico = sum(tally.spent_pico for tally in asked)

    def missing(self, name: str) -> int:
        """How many Trials of this tier are still to be made."""
        return sum(1 for _ in self._jobs(name))

    def wanted(self, name: str) -> list[tuple[Case, int]]:
        """The Cases and repeats of those Trials."""
        return [(self.order[position], repeat) for position, repeat in self._jobs(name)]

    async def run(self) -> None:
        """Until every Trial is there, a decision has fallen or the limit is reached. Raises the error of a
        tier that cannot be asked at all, SuiteError where the run cannot be kept.
        """
        if self._judge is not later:
            self._places = {case.id: at for at, case in enumerate(self.order)}
            await each_of(self._pending, self.work.jobs if self._slow else 1, self._score_again)
        if self.looking is not None:
            self.looking.advance()
        jobs = {name: list(self._jobs(name)) for name in self.tiers}
        while any(jobs.values()) and not self.halted:
            left = {name: iter(each) for name, each in jobs.items()}
            await together(
                self._work(name, left[name])
                for name in self.tiers
                for _ in range(min(self.work.jobs, len(jobs[name])))
            )
            # What a tier that was away left unanswered; a running comparison has gone past it.
            jobs, self._again = self._again, {name: [] for name in self.tiers}
            if self.looking is not None:
                break
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
            tally.weigh(reckoned(self.order[position]), record.trial.usage)
            if not self.tiers[name].free:
                self.spent_pico += record.trial.cost_pico or 0
            if self.hearing is not None:
                self.hearing.desk.others_pico = self.spent_pico + self.doubtful_pico
            if self.looking is not None:
                self.looking.advance()
            if self.observer is not None:
                self.observer.trial(self, name)

    async def _trial(self, name: str, position: int, repeat: int) -> Record | None:
        """One Trial made, kept and billed within the limit; None when the run ends before."""
        case = self.order[position]
        async with self._purse:
            bound = await self._affordable(name, case)
            if bound is None:
                return None
            self._reserved += bound
        try:
            reply = await self._ask(name, case, repeat)
            return None if reply is None else await self._scored(name, case, repeat, reply)
        except UpstreamError as error:
            return self._lost(name, position, repeat, error)
        finally:
            self._reserved -= bound
            self._ended.set()
            self._ended.clear()

    async def _affordable(self, name: str, case: Case) -> int | None:
        """What the call may cost, once that fits under the limit beside the calls under way; None when the
        limit is reached without them, or the run ends before.
        """
        limit = self.work.limit_pico
        while limit is not None and not self.halted:
            bound = self._bound(self.tiers[name], case)
            if self.counted_pico() + self._reserved + bound <= limit:
                return bound
            if not self._reserved:
                self._halt("the cost limit is reached")
            else:
                await self._ended.wait()
        return 0 if limit is None else None

    async def _scored(self, name: str, case: Case, repeat: int, reply: Reply) -> Record:
        """An answer kept with its score."""
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
        try:
            score = await mark(self._judge, case, reply.text, reply.outcome)
        except NoJudge as error:
            self._stop(error)
            return record
        if score != record.trial.score or not self._slow:
            record = structs.replace(record, trial=structs.replace(record.trial, score=score))
            self.folder.keep(record)
        if reply.outcome == "rejected":
            self._count_failure(name, reply.error)
        return record

    async def _ask(self, name: str, case: Case, repeat: int) -> Reply | None:
        """The answer, after retries if need be; None when the run ends before. Raises the last error.

        Where its tier is away, one call at a time tries until it is back, and the others wait for that.
        """
        while True:
            try:
                return await self._tried(name, case, repeat, self.work.retries)
            except UpstreamError as error:
                if final(error) or not self._away(name):
                    raise
            async with self._trying[name]:
                if self._away(name):
                    return await self._tried(name, case, repeat, _PATIENCE)

    async def _tried(self, name: str, case: Case, repeat: int, retries: int) -> Reply | None:
        tier, pace, work = self.tiers[name], self._paces[name], self.work
        for attempt in range(retries + 1):
            ticket = await pace.enter()
            slow: bool | None = None
            try:
                async with self._room:
                    if self.halted or (self.looking and not self.looking.wanted(name)):
                        return None
                    if not tier.free:
                        self.folder.intend(case.id, name, repeat, attempt)
                    reply = await tier.answer(case, repeat)
                    slow = False
                    self._heard(name)
                    return reply
            except UpstreamError as error:
                slow = congested(error)
                if tier.free or attempt == retries or final(error):
                    raise
                wait = wait_s(error, attempt, work.backoff_s, self._draw.random())
            finally:
                pace.leave(ticket, slow)
            await asyncio.sleep(wait)
        return None

    def _lost(self, name: str, position: int, repeat: int, error: UpstreamError) -> Record | None:
        """A Trial that infrastructure ate: unscored, to be tried again by --resume."""
        case, words = self.order[position], error.sentence()[:300]
        if hopeless(error):
            self._stop(SuiteError(f"{name} cannot be asked: {words}", remedy(error)))
            return None
        self._count_failure(name, words)
        self._count_in_a_row(name, position, repeat, words)
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
                    f"{name} failed on the first {cases_text(failed)} and answered none: {words}",
                    "Check the model's name, the key and the provider; then go on with --resume.",
                )
            )

    def _away(self, name: str) -> bool:
        return len(self._unheard[name]) >= _GONE

    def _heard(self, name: str) -> None:
        """An answer: what a tier that was away left unanswered is asked again."""
        if self._away(name):
            self._again[name] += self._unheard[name]
            self._say(f"{name} answers again.")
        self._unheard[name].clear()

    def _count_in_a_row(self, name: str, position: int, repeat: int, words: str) -> None:
        if self.tiers[name].free:
            return
        was_away = self._away(name)
        self._unheard[name].append((position, repeat))
        told = f"{name} answers no more, {cases_text(len(self._unheard[name]))} in a row: {words}"
        if was_away:
            self._stop(SuiteError(told, "Once it does, go on with --resume."))
        elif self._away(name):
            self._say(f"{told} The run waits for it, about half an hour.")

    def _say(self, words: str) -> None:
        if self.observer is not None:
            self.observer.told(words)

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
        judging = 0
        if self.hearing is not None:
            said = tier.longest or max(self.tallies[tier.card.name].output_tokens, _SAID_NOTHING)
            judging = self.hearing.bound(case, 4 * said)
        return judging + self._call_bound(tier, case)

    def _call_bound(self, tier: Answering, case: Case) -> int:
        price = tier.price
        if tier.free or price is None:
            return 0
        tally = self.tallies[tier.card.name]
        output = tier.longest or max(tally.output_tokens, _SAID_NOTHING)
        prompt = math.ceil(reckoned(case) * tally.heaviest)
        return prompt * (price.input or 0) + output * (price.output or 0)

    def counted_pico(self) -> int:
        """What counts against the limit, calls that a crash cut off at the most they may have cost."""
        spent = self.spent_pico + self.doubtful_pico
        if self.hearing is not None:
            spent += self.hearing.desk.spent_pico + self.hearing.desk.doubtful_pico
        return spent

    async def _score_again(self, record: Record) -> None:
        """An answer that was paid for before a crash and not scored yet."""
        trial = record.trial
        position = self._places[trial.case]
        score = await mark(self._judge, self.order[position], trial.answer, trial.outcome)
        scored = structs.replace(record, trial=structs.replace(trial, score=score))
        self.folder.keep(scored)
        self.tallies[trial.tier].put(position, scored)
