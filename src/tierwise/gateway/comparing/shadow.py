"""Shadow: a share of live traffic, asked of another tier too, as the alarm on the rule that served it.

The caller has its reply before anything here begins. A few calls run at a time, a few wait, the rest are
dropped; a daily cap in the ledger bounds the money. Agreement feeds an e-process per rule (judging.alarm),
kept in shadow.json; the rule it contradicts is marked in policy.toml, which the gateway reloads by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from tierwise.clock import now_us, rfc3339, tick_us
from tierwise.config import RuleBlock, read_blocks, tier_text
from tierwise.config.shadowfile import contradict, read_shadow, write_shadow
from tierwise.errors import BudgetRefused, TierwiseError, UpstreamStatus
from tierwise.judging.alarm import Alarm, Record, Said, Watch, agreement, allowance_of, compare
from tierwise.judging.scorers_text import Scorer
from tierwise.ledger import Ledger
from tierwise.money import usd_to_pico
from tierwise.nouns import SHADOW, Budget, Candidate, Counts, Rule, Task

from ..calling import Caller, Live
from ..snapshot import Snapshot
from ..walk import Walk
from .overheard import Overheard
from .second import ask

log = logging.getLogger("tierwise")

MOST_BODY = 512 << 10
"""Longer requests are not asked a second time, nor kept."""
# After the day's money ran out, how long before the ledger is asked again.
_REST_US = 60_000_000
_SAVE_S = 1.0
# A request that is among so many drawn before it, and was taken within the hour, is a client that asks again.
_LATE = 50
_LATE_US = 3_600_000_000
_ROUTED = ("task", "inferred")
Tell = Callable[[Walk, Candidate, Said], None]


class Plan:
    """How one task is shadowed: `served` is the tier its rule names first, `other` the one asked as well."""

    def __init__(self, task: Task, rule: Rule, alarm: Alarm, served: str, other: Candidate) -> None:
        self.task = task
        self.rule = rule
        self.alarm = alarm
        self.served = served
        self.other = other
        self.scope = scope_of(task.name)
        self.judge: Scorer = agreement(task.scorer)
        self.rests_until_us = 0
        self._drawn: deque[tuple[bytes, int]] = deque(maxlen=_LATE)

    def takes(self, walk: Walk, live: Live) -> bool:
        """Whether this Exchange is in the sample: routed by the rule to its first tier, a plain question that
        another tier can be asked, and drawn by its id."""
        route, outline = walk.route, walk.outline
        return (
            route is not None
            and route.how in _ROUTED
            and live.entry.candidate.tier == self.served
            and walk.kind.errand is None
            and not outline.thinking_history
            and not outline.stand_ins  # another model than the tier's may have answered
            and outline.choices == 1
            and len(walk.body) <= MOST_BODY
            and drawn(walk.id, self.task.shadow_share)
            and not self.alarm.contradicted
            and tick_us() >= self.rests_until_us
        )

    def pair(self, served: Said, other: Said) -> tuple[Said, Said]:
        """(the cheap tier's answer, the reference's)."""
        return (served, other) if self.served == self.alarm.watch.cheap else (other, served)

    def again(self, walk: Walk) -> bool:
        """Whether a request that was drawn says what another said lately. One that is sent over and over is
        no new evidence: the alarm's guarantee is for pairs of which each is a chance of its own."""
        digest, now_at = blake2b(walk.body, digest_size=16).digest(), tick_us()
        taken = next((at for each, at in self._drawn if each == digest and now_at - at < _LATE_US), None)
        self._drawn.append((digest, now_at if taken is None else taken))
        return taken is not None

    def wrong(self, error: UpstreamStatus) -> bool:
        """Whether the failure is a wrong answer of the cheap tier: its provider rejects the request."""
        return self.served != self.alarm.watch.cheap and error.retry == "never" and error.status != 404


class Job(Struct):
    """One comparison that waits; `tell` is told what the other tier said."""

    plan: Plan
    walk: Walk
    heard: Overheard
    tell: Tell | None = None


class Shadow:
    """The shadow calls of this process. `listen` before the reply is written, `consider` after.

    Counted in `metrics.shadow`: `compared`, `repeated` (asked just before), `dropped` (no room), `capped` (no
    money left today), `failed` (nothing to compare), `contradicted`.
    """

    def __init__(self, caller: Caller, most_waiting: int = 64, at_once: int = 4) -> None:
        self._caller = caller
        self._most_waiting = most_waiting
        self._at_once = at_once
        self._snapshot: Snapshot | None = None
        self._plans: Mapping[str, Plan] = MappingProxyType({})
        self._waiting: deque[Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._workers = 0
        self._saving: asyncio.TimerHandle | None = None
        self._others: tuple[Record, ...] = ()

    def use(self, snapshot: Snapshot) -> None:
        """From now on shadows as `snapshot` says. Belongs to the running event loop; plans are made off it,
        and until they are there is no shadow."""
        self._save()
        self._snapshot, self._plans = snapshot, MappingProxyType({})
        if any(task.shadow_share > 0 for task in snapshot.policy.tasks.values()):
            self._start(self._prepare(snapshot))

    def listen(self, walk: Walk, live: Live) -> Overheard | None:
        """Begins to listen to an answer that is about to be written; None for nearly all: not shadowed."""
        plans, route = self._plans, walk.route
        if not plans or route is None or walk.snapshot is not self._snapshot:
            return None
        plan = plans.get(route.task)
        return Overheard(live) if plan is not None and plan.takes(walk, live) else None

    def consider(self, walk: Walk, heard: Overheard, tell: Tell | None = None) -> None:
        """Takes up a reply that was sent. Returns at once; when there is no room, drops it."""
        plan = self._plans.get(walk.route.task) if walk.route is not None else None
        if plan is None:
            return
        if plan.again(walk):
            self._count(plan, "repeated")
            return
        if len(self._waiting) >= self._most_waiting:
            self._count(plan, "dropped")
            return
        self._waiting.append(Job(plan, walk, heard, tell))
        if self._workers < self._at_once:
            self._workers += 1
            self._start(self._work())

    def records(self) -> list[Record]:
        """The alarms in force as they stand."""
        return [plan.alarm.record() for plan in self._plans.values()]

    async def settle(self) -> None:
        """Waits until nothing waits or runs."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    async def close(self) -> None:
        """Ends what runs, drops what waits, and keeps the evidence."""
        self._waiting.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._save()

    # --- plans

    async def _prepare(self, snapshot: Snapshot) -> None:
        try:
            kept = await asyncio.to_thread(read_shadow, snapshot.settings.policy_path)
            plans = await asyncio.to_thread(plans_of, snapshot, self._caller.book.ledger, kept)
        except TierwiseError as error:
            log.error("shadow is off: %s", error.sentence())
            return
        if snapshot is self._snapshot:
            watched = {plan.alarm.watch for plan in plans.values()}
            self._others = tuple(each for each in kept if each.watch not in watched)
            self._plans = plans

    def _count(self, plan: Plan, what: str) -> None:
        self._caller.book.metrics.shadow[plan.task.name, what] += 1

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- work

    async def _work(self) -> None:
        try:
            while self._waiting:
                job = self._waiting.popleft()
                if self._plans.get(job.plan.task.name) is job.plan:
                    await self._guarded(job)
        finally:
            self._workers -= 1

    async def _guarded(self, job: Job) -> None:
        try:
            await self._one(job)
        except BudgetRefused as error:
            self._count(job.plan, "capped")
            job.plan.rests_until_us = tick_us() + _REST_US
            log.info("shadow of %s rests: %s", job.plan.task.name, error.message)
        except TierwiseError as error:
            self._count(job.plan, "failed")
            log.debug("no shadow comparison: %s", error.sentence())
        except Exception:  # recorded: the log; a comparison must never end the gateway
            self._count(job.plan, "failed")
            log.exception("a shadow comparison failed")

    async def _one(self, job: Job) -> None:
        plan = job.plan
        health = self._caller.health.view().get(plan.other.model)
        served = job.heard.said()
        if served is None or (health is not None and (health.open or health.waiting)):
            self._count(plan, "failed")
            return
        try:
            other = await ask(self._caller, job.walk, plan.other, plan.scope)
        except UpstreamStatus as error:
            if not plan.wrong(error):
                raise
            other = Said("", outcome="rejected")
        if other is None:
            self._count(plan, "failed")
            return
        self._count(plan, "compared")
        if job.tell is not None:
            job.tell(job.walk, plan.other, other)
        if self._plans.get(plan.task.name) is not plan:
            return
        score = compare(*plan.pair(served, other), plan.judge)
        crossed = plan.alarm.add(score, rfc3339(now_us()))
        self._save_soon()
        if crossed:
            self._count(plan, "contradicted")
            self._save()
            await self._contradict(plan)

    async def _contradict(self, plan: Plan) -> None:
        """Marks the rule in policy.toml, and moves its task up where it says so."""
        snapshot = self._snapshot
        assert snapshot is not None
        note, tiers = plan.alarm.record().sentence(), plan.rule.tiers
        if plan.task.shadow_demote:
            dearer = next_dearer(plan.rule, plan.task.ladder or snapshot.catalog.ladder.tiers)
            if dearer:
                tiers, note = dearer, f"{note}; demoted from {plan.served}"
        log.warning("the rule of %s is contradicted: %s", plan.task.name, note)
        path = snapshot.settings.policy_path
        try:
            written = await asyncio.to_thread(contradict, path, plan.rule, tiers, note)
        except TierwiseError as error:
            log.error("the contradicted rule could not be marked: %s", error.sentence())
            return
        if not written:
            log.info("the rule of %s was changed meanwhile and stays as it is", plan.task.name)

    def _save_soon(self) -> None:
        """Keeps the evidence within a second, once for all pairs of that second."""
        if self._saving is None:
            self._saving = asyncio.get_running_loop().call_later(_SAVE_S, self._save)

    def _save(self) -> None:
        if self._saving is not None:
            self._saving.cancel()
            self._saving = None
        if self._snapshot is None or not self._plans:
            return
        try:
            write_shadow(self._snapshot.settings.policy_path, [*self._others, *self.records()])
        except TierwiseError as error:
            log.error("shadow evidence is kept in memory only: %s", error.sentence())


def plans_of(snapshot: Snapshot, ledger: Ledger, kept: Sequence[Record]) -> dict[str, Plan]:
    """The plan of each task that is to be shadowed, its daily cap put in force in the ledger."""
    found: dict[str, Plan] = {}
    for name, made in _wanted(snapshot, kept):
        if isinstance(made, str):
            log.warning("task %s is not shadowed: %s", name, made)
            continue
        cap = Budget(made.scope, usd_to_pico(snapshot.policy.tasks[name].shadow_daily_usd), "day")
        if cap not in [balance.budget for balance in ledger.budgets()]:
            ledger.set_budget(cap)
        found[name] = made
    return found


def not_shadowed(snapshot: Snapshot, kept: Sequence[Record]) -> list[str]:
    """The tasks that are to be shadowed and cannot be, each with the reason in words."""
    return [
        f"task {name} is not shadowed: {made}"
        for name, made in _wanted(snapshot, kept)
        if isinstance(made, str)
    ]


def _wanted(snapshot: Snapshot, kept: Sequence[Record]) -> Iterator[tuple[str, Plan | str]]:
    """Each task that is to be shadowed, with its plan or why there is none."""
    blocks = {block.task: block for block in read_blocks(snapshot.settings.policy_path)}
    for name, task in snapshot.policy.tasks.items():
        if task.shadow_share > 0:
            rule = snapshot.policy.rules.get(name)
            yield (
                name,
                "it has no rule" if rule is None else _plan(snapshot, task, rule, blocks.get(name), kept),
            )


def _plan(
    snapshot: Snapshot, task: Task, rule: Rule, block: RuleBlock | None, kept: Sequence[Record]
) -> Plan | str:
    """The plan, or why there is none."""
    catalog = snapshot.catalog
    served, other = rule.tiers[0], task.shadow_tier or catalog.ladder.reference
    for tier in (served, other):
        if tier not in catalog.tiers:
            return f"tier {tier!r} is not served here"
    if served == other:
        return f"{served} serves it already, and no other shadow_tier is named"
    if usd_to_pico(task.shadow_daily_usd) <= 0:
        return "shadow_daily_usd is 0"
    deployment = snapshot.deployment(catalog.tiers[other].model)
    if deployment.priced.price(now_us()) is None:
        return f"no price of {other} is known, so no cap can hold"
    ladder = [*catalog.ladder.tiers, served, other]
    cheap, reference = sorted((served, other), key=ladder.index)
    try:
        watch = Watch(
            task=task.name,
            cheap=cheap,
            reference=reference,
            served=served,
            cheap_model=tier_text(catalog.tiers[cheap]),
            reference_model=tier_text(catalog.tiers[reference]),
            scorer=task.scorer or "agreement",
            margin=task.bar.margin,
            allowance=_allowance(block, cheap, reference),
            alpha=task.bar.alpha,
            verdict=rule.verdict or "",
        )
        record = next((each for each in kept if each.watch == watch), None)
        alarm = Alarm(watch, rfc3339(now_us()), record)
        plan = Plan(task, rule, alarm, served, Candidate(catalog.tiers[other].model, other))
    except TierwiseError as error:
        return error.sentence()
    if alarm.contradicted:
        return f"it was contradicted on {alarm.contradicted[:10]}: measure anew, or choose another tier"
    return plan


def _allowance(block: RuleBlock | None, cheap: str, reference: str) -> float:
    verdict = block.verdict if block is not None else None
    if verdict is None or verdict.counts is None or (verdict.cheap, verdict.reference) != (cheap, reference):
        return 0.0
    return allowance_of(Counts(*verdict.counts))


def next_dearer(rule: Rule, ladder: Sequence[str]) -> tuple[str, ...]:
    """The rule's tiers from the next dearer one on; () when there is none."""
    first = rule.tiers[0]
    above = ladder[ladder.index(first) + 1 :] if first in ladder else ()
    return rule.tiers[1:] or tuple(above)


def drawn(exchange: str, share: float, purpose: bytes = b"shadow") -> bool:
    """Whether an Exchange is in the sample of that share for a purpose: by a hash of its id, so that it can
    be told again.
    """
    if share >= 1:
        return True
    digest = blake2b(exchange.encode(), digest_size=8, person=purpose).digest()
    return int.from_bytes(digest) < share * 2**64


def scope_of(task: str) -> str:
    """The budget scope that caps a task's shadow calls."""
    return f"{SHADOW}{task}"
