"""Calling: Attempts along the Route until one begins to answer. Nothing has reached the client yet, so all
may be retried.

A plain reply is read whole here; a stream is read up to its first meaningful event, so that a provider that
answers 200 and then fails can still be left for another.
"""

from __future__ import annotations

import asyncio
import re
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from tierwise.clock import tick_us
from tierwise.dialects import lax
from tierwise.dialects.base import Dialect, StreamReader, Tap
from tierwise.dialects.spans import overrule, strip, strip_within
from tierwise.dialects.whole import events_of
from tierwise.errors import (
    BadRequest,
    BudgetRefused,
    LossRefused,
    ThreadUnsupported,
    TierwiseError,
    UpstreamBroke,
    UpstreamError,
    UpstreamStatus,
)
from tierwise.http1 import Block, Pool, Response
from tierwise.nouns import (
    Abilities,
    Answer,
    Ask,
    Candidate,
    Event,
    Failed,
    Loss,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from tierwise.nouns.answer import BlockStart, Delta, Ended, Finished, Started, UsageSeen
from tierwise.routing import GiveUp, Try, decide, failure_of
from tierwise.routing.retry import Moment
from tierwise.upstream import Deployment, Header, Health, Sent, seconds, send

from .errand import Errand
from .frames import sound, whole
from .prefixes.placing import Placing
from .recording import Book, Entry, credible
from .retrying import plan_for, went_on
from .signers import Signed, moved, signer_of, without_foreign
from .unasked import with_usage
from .walk import Walk

Told = TypeVar("Told", Answer, Started)

# A plain reply is held whole until its CLOSE row is durable.
_PLAIN_LIMIT = 64 << 20
# How much of a stream may be held while waiting for its first meaningful event.
_PEEK_LIMIT = 256 << 10
LARGE = 1 << 20
"""Bytes of a request that is read and written beside the loop: a translation may take seconds."""
_BETAS = b"anthropic-beta"
_UNSAID = ("text", "thinking", "refusal")
"""Kinds of block whose start says nothing yet: another provider may still answer."""
# Thinking of another vendor by way of a gateway: unsigned, or sealed for callers of Responses.
_FOREIGN = re.compile(rb'"signature"\s*:\s*""|"tierwise\.1\.')


class Live:
    """An Attempt that has begun to answer. Same dialect: `body`, or `tap` with the bytes read so far in
    `head` (and `held` back ones). Another dialect: `answer`, or `reader` with its first `events`."""

    __slots__ = (
        "answer", "body", "broken", "entry", "events", "head", "held", "reader", "response", "rest", "tap",
    )  # fmt: skip

    def __init__(self, entry: Entry, response: Response) -> None:
        self.entry = entry
        self.response = response
        self.body = b""
        self.head = b""
        self.held = b""
        self.rest = b""  # a frame that is not whole yet: a stream that breaks off within it ends before it
        self.broken = False
        self.tap: Tap | None = None
        self.answer: Answer | None = None
        self.reader: StreamReader | None = None
        self.events: list[Event] = []

    def observe(self) -> None:
        """Takes what the tap has seen of a passing stream into the Entry."""
        if self.tap is not None:
            self.entry.usage, self.entry.text_bytes = self.tap.usage, self.tap.text_bytes
            self.entry.served = self.tap.model

    def pass_on(self, data: bytes) -> bytes:
        """Shows the tap more of the stream; gives what may go on its way: whole frames. What completes the
        stream waits in `held` for its row; what was held back in vain goes on. `broken`: what follows cannot
        be read by anyone, and must not go on."""
        tap = self.tap
        assert tap is not None
        cut, held = tap.feed(data), self.held
        whole_here = cut == len(data) and data.endswith(b"\n\n")
        if whole_here and not (held or self.rest or tap.ended or tap.malformed):
            return data  # as nearly every time
        if tap.ended:
            cut = 0 if held else cut
            self.held = held + data[cut:]
            passed, self.rest = self.rest + data[:cut], b""
        else:
            self.held = data[cut:]
            passed = self.rest + held + data[:cut]
            cut = len(passed) if tap.error is not None else whole(passed)
            passed, self.rest = passed[:cut], passed[cut:]
        if tap.malformed:
            cut = sound(passed)
            self.broken, passed = cut < len(passed), passed[:cut]
            tap.malformed = self.broken or bool(self.rest)
        return passed

    def last(self) -> bytes:
        """At the end of the bytes: what may go on of a last frame that lacks only its line ends."""
        frame = self.rest + b"\n\n"
        return self.pass_on(b"\n\n") if self.rest and sound(frame) == len(frame) else b""

    def unbroken(self) -> None:
        """Raises UpstreamBroke at the frame that cannot be read."""
        if self.broken:
            raise UpstreamBroke("The provider sent a stream frame that is not valid JSON.")

    @property
    def crossed(self) -> bool:
        """Whether the provider speaks another dialect than the caller."""
        return self.entry.deployment.dialect.name != self.entry.walk.surface.name


class Caller:
    """Makes Attempts: over `pool`, written in `book`, minding `health`."""

    def __init__(self, pool: Pool, book: Book, health: Health) -> None:
        self.pool = pool
        self.book = book
        self.health = health
        self.placing = Placing(book.prefixes, book.metrics)

    async def call(self, walk: Walk) -> Live:
        """The first Attempt that begins to answer. Raises the last error when the plan gives up.

        What stands behind the first choice and may not be asked (a strict caller's Loss, a budget without
        room) is passed over: the failure is the first choice's.
        """
        route = walk.route
        assert route is not None
        tries: list[Try] = []
        unfit: set[int] = set()
        failed: UpstreamError | None = None
        index = 0
        while True:
            attempt = Attempt(
                walk, walk.snapshot.deployment(route.candidates[index].model), route.candidates[index]
            )
            try:
                place = attempt.deployment, attempt.candidate
                large = len(walk.body) >= LARGE
                sent = await asyncio.to_thread(write, walk, *place) if large else write(walk, *place)
                if walk.places:
                    return await self._placed(attempt, sent, bool(tries))
                return await self._send(attempt, sent, bool(tries))
            except (LossRefused, ThreadUnsupported, BudgetRefused):
                if failed is None:
                    raise
                unfit.add(index)
            except UpstreamError as error:
                failed = error.with_traceback(None)  # which would keep alive what the attempt has read
                failure = failure_of(error, attempt.moment)
                walk.failed_dialect = attempt.deployment.dialect.name
                self.health.failed(attempt.deployment.name, failure)
                tries.append(Try(index, failure, seconds()))
                plan = plan_for(walk, route, attempt.deployment)
            step = decide(plan, tries, seconds(), self.health.broke(), unfit)
            if step.alarm:
                self.health.refused(step.alarm)
            if isinstance(step, GiveUp):
                raise failed
            if walk.max_cost_pico is not None and not self._affords(walk, route.candidates[step.index]):
                raise failed
            self.health.retries(plan.providers[step.index])
            walk.route = went_on(walk.route or route, tries[-1].index, step)
            index = step.index
            if step.after_s:
                await asyncio.sleep(step.after_s)

    def _affords(self, walk: Walk, candidate: Candidate) -> bool:
        """Whether one more Attempt fits under the cap of `walk`, beside those that failed."""
        return (walk.spent_pico or 0) + walk.least(candidate) <= (walk.max_cost_pico or 0)

    async def _placed(self, attempt: Attempt, sent: Sent, retry: bool) -> Live:
        placed = self.placing.place(attempt.walk, attempt.deployment, sent, retry)
        if placed is None:
            return await self._send(attempt, sent, retry)
        async with self.placing.turn(attempt.walk, placed):
            return await self._send(attempt, placed.sent, retry)

    async def _send(self, attempt: Attempt, sent: Sent, retry: bool) -> Live:
        walk, deployment = attempt.walk, attempt.deployment
        entry, durable = self.book.open(walk, deployment, attempt.candidate)
        # Before anyone else may choose: a circuit that is half open lets one call through.
        self.health.began(deployment.name, deployment.provider.name, retry)
        try:
            await durable
        except BaseException as error:
            self.health.let_go(deployment.name)
            if isinstance(error, asyncio.CancelledError):
                entry.unsent()
            else:
                self.book.left(deployment.provider)
            raise
        entry.sent_us = tick_us()
        try:
            response = await send(self.pool, deployment, sent, retry)
            attempt.moment = "held"
            live = Live(entry, response)
            try:
                if walk.outline.stream:
                    await peek(live)
                else:
                    body = response.whole(_PLAIN_LIMIT)
                    read(live, await response.read(_PLAIN_LIMIT) if body is None else body)
            except BaseException:
                live.observe()
                response.close()
                raise
        except TierwiseError as error:
            recorded = entry.close("error", error.status, error)
            walk.upstream_us += tick_us() - entry.sent_us  # for the next attempt's row; its own counts it
            await recorded
            raise
        except BaseException as error:
            entry.abandon(error)
            raise
        now = tick_us()
        self.health.answered(deployment.name, (entry.first_us or now) - entry.sent_us, now - entry.sent_us)
        return live


class Attempt:
    """One try under way: `moment` is how far it came, as the retry rules see it."""

    __slots__ = ("candidate", "deployment", "moment", "walk")

    def __init__(self, walk: Walk, deployment: Deployment, candidate: Candidate) -> None:
        self.walk = walk
        self.deployment = deployment
        self.candidate = candidate
        self.moment: Moment = "sent"


def read(live: Live, body: bytes) -> None:
    """Takes in a plain reply, with its usage. Raises when it is no reply."""
    entry, dialect = live.entry, live.entry.deployment.dialect
    live.response.close()
    entry.saw_content()
    errand = entry.walk.kind.errand
    usage = entry.usage = dialect.usage(body) if errand is None else errand.usage(body)
    written = usage is not None and (usage.output or errand is not None)
    if usage is None or not written or usage.source != "reported" or not credible(usage):
        entry.usage, entry.text_bytes = usage if usage and credible(usage) else None, len(body)
        refuse_false_success(live, body)
        entry.text_bytes = 0 if errand is not None else said(dialect, body)
    if live.crossed and errand is None:
        live.answer = dated(dialect.read_answer(body), entry.walk)
    else:
        live.body = body


def dated(told: Told, walk: Walk) -> Told:
    """`told` with the time the request came, in seconds since 1970, where the provider's dialect has none."""
    return told if told.created else replace(told, created=walk.at_us // 1_000_000)


def said(dialect: Dialect, body: bytes) -> int:
    """Bytes of answer in a plain reply; all of it where it cannot be read."""
    try:
        answer = dialect.read_answer(body)
    except TierwiseError:
        return len(body)
    parts = [part for choice in answer.choices for part in choice.parts]
    return sum(
        len((part.arguments if isinstance(part, ToolCall) else part.text).encode())
        for part in parts
        if isinstance(part, Text | Thinking | Refusal | ToolCall)
    )


async def peek(live: Live) -> None:
    """Reads a stream up to its first meaningful event. A whole reply in its place is told as a stream."""
    data = await live.response.chunk()
    if data.lstrip()[:1] == b"{":  # some servers do not stream, or not every model
        await peek_whole(live, data)
    elif live.crossed:
        await peek_events(live, data)
    else:
        await peek_bytes(live, data)


def write(walk: Walk, deployment: Deployment, candidate: Candidate) -> Sent:
    """The request as this Deployment takes it. In the same dialect the body's bytes stay, but for the
    model's name.

    Raises LossRefused in strict mode when something would be dropped.
    """
    dialect, outline = deployment.dialect, walk.outline
    headers: list[Header] | Block
    if walk.losses:
        walk.losses = []
    if walk.kind.errand is not None:
        return write_errand(walk, deployment, walk.kind.errand)
    ask = own_thinking(walk, walk.signed, deployment) if walk.signed is not None else None
    if dialect.name == walk.surface.name:
        body = same_dialect(walk, deployment, ask)
        headers = deployment.passing(walk.request)
    else:
        asked = ask or walk.ask()
        if walk.surface.name == "anthropic_messages" and asked.extras.get("thread") is not None:
            raise ThreadUnsupported(deployment.name)
        written = dialect.write_request(asked, deployment.model)
        body, headers = written.body, deployment.headers(None, written.headers)
        walk.losses += written.losses
        betas = walk.request.header(_BETAS)
        if betas:
            walk.losses.append(Loss("header.anthropic-beta", betas.decode("latin1")[:200]))
    if walk.strict and walk.losses:
        names = walk.loss_names()
        unsaid = "max_output.assumed" in names
        todo = "Name an output limit, leave the rest out" if unsaid else "Leave these out"
        raise LossRefused(
            f"{deployment.name} cannot carry: {', '.join(names)}.",
            f"{todo}, or send x-tierwise-strict: false.",
        )
    tier = walk.snapshot.catalog.tiers.get(candidate.tier)
    if tier is not None and tier.settings:
        body = overrule(body, tier.settings)
    return Sent(deployment.path(outline.stream), headers, body)


def own_thinking(walk: Walk, signed: Signed, deployment: Deployment) -> Ask | None:
    """The request without thinking that another vendor than the Deployment's signed, None when it holds
    none. Notes who serves the session now."""
    by = signer_of(deployment)
    if by in signed.by and not signed.seals:
        walk.moved = Signed(frozenset((by,)), {})
        return None
    walk.moved = moved(signed, by, walk.ask())
    found = without_foreign(walk.ask(), walk.moved)
    if found is None:
        return None
    walk.losses += found[1]
    return found[0]


def same_dialect(walk: Walk, deployment: Deployment, ask: Ask | None) -> bytes:
    """The caller's own bytes for a provider of the same dialect, but for the model's name. `ask` is the
    request when something of it must not be sent.

    Written anew only where the provider would certainly refuse them: thinking that another vendor signed,
    or, on a tier that we chose, a feature or a word its model does not take; what is dropped is a Loss.
    """
    dialect, model = deployment.dialect, deployment.model
    foreign = ask is not None or (walk.outline.thinking_history and _FOREIGN.search(walk.body) is not None)
    assert walk.route is not None
    anew = foreign or (walk.route.how != "pinned" and _degrades(model.abilities))
    written = dialect.write_request(ask or walk.ask(), model) if anew else None
    if written is not None and (written.losses or written.reworded):
        walk.losses += written.losses
        body = written.body
    else:
        body = dialect.replace_model(walk.body, model.id)
        if walk.outline.fallback or walk.outline.preference:
            body = strip(body, ("provider",))
    if walk.outline.task is not None and dialect.name == "anthropic_messages":
        body = strip_within(body, "metadata", "task")  # refused there: `metadata` may hold user_id only
    if walk.outline.background:  # nobody could fetch the answer here, nor know what it cost
        walk.losses.append(Loss("extra.background", "the answer is waited for"))
        waited = strip(body, ("background",))
        body = strip(waited, ("background_options",))  # OpenAI refuses it alone
        if body is not waited:
            walk.losses.append(Loss("extra.background_options", "the answer is made at once"))
    if asks_usage(walk, deployment):
        body = with_usage(body)
    return body


def asks_usage(walk: Walk, deployment: Deployment) -> bool:
    """Whether the gateway asks for a stream's usage where the caller did not: a provider's `stream_usage`."""
    outline = walk.outline
    return (
        outline.stream
        and not outline.include_usage
        and walk.surface.name == deployment.dialect.name == "openai_chat"
        and deployment.provider.name in walk.snapshot.settings.stream_usage
    )


def _degrades(able: Abilities) -> bool:
    """Whether this model is known to refuse something that others of its dialect take."""
    return able.sampling is False or able.forced_tools is False or able.prefill is False


def write_errand(walk: Walk, deployment: Deployment, errand: Errand) -> Sent:
    """An errand's request: its bytes with the model's name replaced. BadRequest where the provider has no
    such endpoint."""
    if deployment.dialect.name not in errand.dialects:
        raise BadRequest(
            f"{deployment.name} has no {errand.name} here: its provider speaks {deployment.dialect.name}.",
            f"Name a model of a provider that speaks {' or '.join(errand.dialects)}.",
            "model",
        )
    suffix, body = errand.written(walk.body, deployment.model.id)
    return Sent(deployment.other_path(suffix), deployment.headers(walk.request.headers), body)


async def peek_whole(live: Live, data: bytes) -> None:
    """Reads a whole reply that begins with `data`, as the events of its stream. Raises when it is none."""
    body, dialect = data + await live.response.read(_PLAIN_LIMIT), live.entry.deployment.dialect
    refuse_false_success(live, body)
    live.events = list(events_of(dated(dialect.read_answer(body), live.entry.walk)))
    live.reader = dialect.reader()
    live.entry.saw_content()


async def peek_bytes(live: Live, data: bytes) -> None:
    """Reads a same-dialect stream up to its first content, its end or an error it reports (which is
    raised)."""
    entry = live.entry
    tap = live.tap = entry.deployment.dialect.tap()
    pieces: list[bytes] = []
    size = 0
    while True:
        if not data:
            raise UpstreamBroke("The provider's stream ended before it said anything.")
        pieces.append(live.pass_on(data))
        if tap.error is not None and not tap.content:
            raise tap.error
        if not tap.content:
            live.unbroken()
        size += len(data)
        if tap.content or tap.ended or size >= _PEEK_LIMIT:
            break
        data = await live.response.chunk()
    entry.saw_content()
    live.head = b"".join(pieces)


async def peek_events(live: Live, data: bytes) -> None:
    """Reads another dialect's stream up to its first content, its end or an error it reports (which is
    raised)."""
    entry = live.entry
    reader = live.reader = entry.deployment.dialect.reader()
    while True:
        events = reader.feed(data) if data else reader.finish()
        live.events += [dated(event, entry.walk) if isinstance(event, Started) else event for event in events]
        for event in events:
            if isinstance(event, Failed):
                raise error_of(event)
            if isinstance(event, Started | UsageSeen) and event.usage is not None:
                entry.usage = event.usage  # it is billed though nothing else may come
            if isinstance(event, Delta):
                entry.saw_content()
            if isinstance(event, Delta | Finished | Ended):
                return
            if isinstance(event, BlockStart) and event.kind not in _UNSAID:
                return
        if not data:
            raise UpstreamBroke("The provider's stream ended before it said anything.")
        data = await live.response.chunk()


def error_of(event: Failed) -> UpstreamError:
    """The error a Failed event stands for."""
    return UpstreamStatus(event.status, event.message, event.code)


def refuse_false_success(live: Live, body: bytes) -> None:
    """Raises when a reply of status 200 is no reply: not JSON, or an error object (some aggregators answer
    so)."""
    try:
        fields = lax.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UpstreamBroke("The provider's reply is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise UpstreamBroke("The provider's reply is not a JSON object.")
    if fields.get("error") is not None and not fields.keys() & {"choices", "content", "output", "data"}:
        headers = {n.decode("latin1"): v.decode("latin1") for n, v in live.response.headers}
        raise live.entry.deployment.dialect.read_error(502, headers, body)
