"""One client request, end to end: six rooms, top to bottom.

Door → Reading → Choosing → Calling → Writing → Recording. Recording has no room of its own here because its
two rows are written by the others at the only right moments: OPEN inside Calling, before any byte goes
upstream; CLOSE inside Writing, before the bytes that complete the reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import partial
from typing import cast

from msgspec import structs

from tierwise.dialects.base import Dialect
from tierwise.dialects.depth import refuse_deeper
from tierwise.errors import BadRequest, BudgetRefused, DeadlineMissed, LimitRefused, Overloaded, TierwiseError
from tierwise.http1 import Reply, Request
from tierwise.nouns import Outline, Task, Usage
from tierwise.routing import Question, refuse_longer

from . import capped, costed
from . import reply as writing
from .admission import Admission, limit_headers
from .auth import Callers
from .cache.answers import Answers
from .calling import LARGE, Caller
from .comparing.aside import Aside
from .counting import Factors, count
from .holdout import drawn, hold, hold_out, let_go
from .idempotency import Replays
from .metrics import Metrics
from .prefixes.edited import Edits
from .recall import Recall
from .recording import Entry, credible
from .sessions import Sessions, bound_for_us, name_of
from .signers import Signed, Signers, signer_of
from .snapshot import Snapshot
from .terms import bound_output
from .walk import GENERATION, Kind, Walk, scopes_of


class Gate:
    """What every Exchange shares. `snapshot` is replaced whole by a reload."""

    def __init__(
        self,
        snapshot: Snapshot,
        caller: Caller,
        admission: Admission,
        answers: Answers,
        replays: Replays,
    ) -> None:
        self.ledger = caller.book.ledger
        self.snapshot = snapshot
        self.caller = caller
        self.admission = admission
        self.answers = answers
        self.callers = Callers(self.ledger)
        self.sessions = Sessions()
        self.signers = Signers()
        self.recall = Recall()
        self.factors = Factors()
        self.aside = Aside(caller)
        self.replays = replays
        self.edits = Edits(caller.book.ledger)

    async def ask(self, walk: Walk, reply: Reply) -> Entry:
        """Calling and Writing: has `walk` answered by a provider, and learns from it. Gives its page in the
        book."""
        live = await self.caller.call(walk)
        heard = self.aside.listen(walk, live) if self.aside.on else None
        shown = cast(Reply, costed.CostShown(reply, live)) if walk.outline.usage_cost else reply
        try:
            if walk.max_cost_pico is not None and walk.outline.stream:
                await capped.write(walk, live, shown)
            else:
                await writing.write(walk, live, shown)
        finally:
            if heard is not None and reply.started:
                self.aside.consider(walk, heard)
            if walk.caller.key.tpm is not None and live.entry.usage is not None:
                beyond = live.entry.usage.prompt + live.entry.usage.output - walk.tokens()
                if beyond > 0 and credible(live.entry.usage):
                    self.admission.settle_tokens(walk.caller.key, beyond)
        remember(self, walk, live.entry)
        return live.entry

    @property
    def metrics(self) -> Metrics:
        """The counters of this data plane."""
        return self.caller.book.metrics


async def exchange(
    gate: Gate, request: Request, reply: Reply, surface: Dialect, kind: Kind = GENERATION
) -> None:
    """Serves one request in the dialect `surface`; every failure is told in it."""
    walk: Walk | None = None
    fault: TierwiseError | None = None
    try:
        entered, pending = door(gate, request, surface)
        if pending is not None:
            await pending
        walk = entered
        try:
            if walk.deadline_s is None:
                await rooms(gate, walk, reply, kind)
            else:
                async with asyncio.timeout(walk.deadline_s - walk.request.waited_us / 1e6):
                    await rooms(gate, walk, reply, kind)
        finally:
            gate.admission.leave(walk.caller.key)
    except TimeoutError:
        fault = DeadlineMissed("The deadline of x-tierwise-deadline passed.")
        refuse(gate, walk, reply, fault, surface)
    except asyncio.CancelledError:
        if not reply.stopping:
            raise
        fault = Overloaded("The gateway shut down before the answer was complete.", "Send the request again.")
        refuse(gate, walk, reply, fault, surface)
    except TierwiseError as error:
        # Without its traceback, through which it and these frames would keep each other, and the body.
        fault = error.with_traceback(None)
        refuse(gate, walk, reply, error, surface)
    finally:
        if gate.caller.book.witness is not None and walk is not None:
            gate.caller.book.witness.ended(walk, fault)


def door(gate: Gate, request: Request, surface: Dialect) -> tuple[Walk, Awaitable[None] | None]:
    """Who asks, and is there room? From the head alone: nothing of the body has been read. Gives what must
    be awaited before the Walk may go on, if anything."""
    caller = gate.callers.of(request)
    walk = Walk(request, surface, gate.snapshot, caller)
    return walk, gate.admission.enter(caller.key)


async def rooms(gate: Gate, walk: Walk, reply: Reply, kind: Kind) -> None:
    """The walk behind the Door."""
    body = walk.request.whole()
    pending = reading(gate, walk, kind, body) if body is not None else await arriving(gate, walk, kind)
    if pending is not None:
        await pending
    choosing(gate, walk)
    if kind.counts:
        await count(gate.caller, gate.factors, walk, reply)
        return
    token = walk.request.header(b"idempotency-key")
    if token is None and walk.snapshot.keeping is None:
        await gate.ask(walk, reply)
    elif token is None:
        await answering(gate, walk, reply)
    else:
        await gate.replays.once(walk, token, reply, partial(answering, gate))


async def answering(gate: Gate, walk: Walk, reply: Reply) -> bool:
    """Has `walk` answered, by a provider or from what is kept. Whether it was answered whole."""
    keeping = walk.snapshot.keeping
    if keeping is None:
        return (await gate.ask(walk, reply)).outcome == "ok"
    asked: list[Entry] = []
    held = walk.other is not None
    if held:
        let_go(walk)

    async def ask(walk: Walk, reply: Reply) -> Entry:
        if held:
            hold(walk)
        asked.append(await gate.ask(walk, reply))
        return asked[0]

    kept = await gate.answers.answer(walk, keeping, reply, ask)
    if kept is not None:
        # A warm prompt cache does not bind a session that was drawn: its calls are held out, or are none.
        bind(gate, walk, kept.tier, None if held else kept.usage)
        # For another key or at another replica its id names nothing yet; a similar question's names that one.
        crossed = walk.snapshot.deployment(kept.model).dialect.name != walk.surface.name
        if crossed and kept.similarity is None:
            writing.note(walk, kept.body, again=True)
    return all(entry.outcome == "ok" for entry in asked)


async def arriving(gate: Gate, walk: Walk, kind: Kind) -> Awaitable[None] | None:
    """`reading` of a body that is still on its way; of a large one beside the loop."""
    body = await walk.request.body()
    if len(body) < LARGE:
        return reading(gate, walk, kind, body)
    return reading(gate, walk, kind, body, await asyncio.to_thread(outlined, walk, kind, body))


def reading(
    gate: Gate, walk: Walk, kind: Kind, body: bytes, outline: Outline | None = None
) -> Awaitable[None] | None:
    """Bytes → Outline, unless it is there: as little decoding as choosing needs. Gives what must be awaited
    before choosing, if anything."""
    keeping = walk.snapshot.keeping
    if outline is None and keeping is not None and kind.errand is None:
        seen = keeping.known.find(walk.surface.name, body)
        outline = None if seen is None else seen.outline
    if outline is None:
        outline = outlined(walk, kind, body)
    walk.as_read = outline
    if kind is not GENERATION:
        body, outline = of_kind(gate, walk, kind, body, outline)
    if outline.usage_cost:
        body, outline = costed.asked(walk.surface, body, outline)
    walk.kind = kind
    walk.read(body, outline)
    if walk.caller.key.tpm is not None:
        return gate.admission.charge_tokens(walk.caller.key, walk.tokens())
    return None


def of_kind(gate: Gate, walk: Walk, kind: Kind, body: bytes, outline: Outline) -> tuple[bytes, Outline]:
    """The body and its Outline with what stands elsewhere: in the path, or in answers before it."""
    if kind.named is not None:
        outline = structs.replace(outline, model=kind.named.model, stream=kind.named.stream)
    if kind.recalls:
        walk.recall = gate.recall
        came, body = body, gate.recall.whole(walk.caller.key.id, body)
        if body is not came:
            outline = outlined(walk, kind, body)
    return body, outline


def outlined(walk: Walk, kind: Kind, body: bytes) -> Outline:
    """The little that choosing needs. BadRequest; of a compressed body it says so."""
    try:
        outline = (kind.errand or walk.surface).outline(body)
    except BadRequest as error:
        coding = walk.request.header(b"content-encoding")
        if coding is None:
            raise
        said = f"The request body could not be read: its content-encoding is {coding.decode('latin1')!r}."
        raise BadRequest(said, "Send it without one, as plain JSON.") from error
    refuse_deeper(body)
    return outline


def choosing(gate: Gate, walk: Walk) -> None:
    """Outline, policy and health → Route: pure, so that any request can be decided again."""
    snapshot = walk.snapshot
    if not walk.session and (
        walk.outline.thinking or walk.outline.thinking_history or walk.outline.cache_marks
    ):
        walk.session = name_of(walk.body)
    bound = gate.sessions.tier_of(walk.caller.key.id, walk.session, walk.at_us) if walk.session else None
    if walk.session and walk.outline.thinking_history:
        walk.signed = gate.signers.of(walk.caller.key.id, walk.session, walk.body)
    question = Question(walk.outline, walk.asked_task, bound, walk.prompt_tokens)
    walk.route = snapshot.routes.choose(question, gate.caller.health)
    task = snapshot.policy.tasks.get(walk.route.task)
    if task is not None:
        terms_of(gate, walk, task, question)
    walk.scopes = scopes_of(walk)
    if walk.max_cost_pico is not None:
        capped.admit(walk, walk.max_cost_pico)


def terms_of(gate: Gate, walk: Walk, task: Task, question: Question) -> None:
    """Holds the request to its task's terms: the most output tokens, the share kept on the reference tier."""
    most, route = task.max_output_tokens, walk.route
    assert route is not None
    if most is not None and route.how != "pinned" and not walk.kind.counts:
        refuse_longer(task, walk.outline)
        if walk.outline.max_output is None:
            bound_output(walk, most)
    if task.cache_breakpoints == "auto":
        walk.places = True
    if task.cache_edits:
        gate.edits.look(walk)
    if task.holdout_share and drawn(walk, task.holdout_share):
        hold_out(walk, question, gate.caller.health)


def remember(gate: Gate, walk: Walk, entry: Entry) -> None:
    """Learns from what was served: the tokens of this model, whose thinking a session holds, and the tier it
    is bound to while thinking blocks or a warm cache would be lost."""
    usage = entry.usage
    if usage is not None and not walk.outline.media:
        gate.factors.learn(entry.deployment.name, walk.prompt_tokens, usage.prompt, walk.outline.prompt_bytes)
    if walk.session:
        signed = walk.moved or Signed(frozenset((signer_of(entry.deployment),)), {})
        history = walk.body if walk.outline.thinking_history else b""
        gate.signers.keep(walk.caller.key.id, walk.session, history, signed)
    bind(gate, walk, entry.candidate.tier, usage)


def bind(gate: Gate, walk: Walk, tier: str, usage: Usage | None) -> None:
    """Binds the session to `tier` for as long as leaving it would lose something."""
    if not walk.session or not tier:
        return
    for_us = bound_for_us(walk.outline, usage)
    if for_us:
        gate.sessions.keep(walk.caller.key.id, walk.session, tier, walk.at_us + for_us)


def refuse(gate: Gate, walk: Walk | None, reply: Reply, error: TierwiseError, surface: Dialect) -> None:
    """Tells `error` in the caller's dialect; a stream that has begun ends with the error event and without
    its terminator, so that it cannot look whole."""
    gate.metrics.refused[error.kind] += 1
    if isinstance(error, BudgetRefused) and error.scope and not error.too_large:
        gate.metrics.budget_refused.add(error.scope)
    error = writing.presentable(error)
    if reply.started:
        if walk is not None and walk.outline.stream:
            reply.end(writing.masked(walk, surface.write_stream_error(error)))
        else:
            reply.abort()
        return
    limits = limit_headers(error, surface.name) if isinstance(error, LimitRefused) else []
    if walk is None:
        status, headers, body = writing.nameless(error, surface)
        reply.send(status, [*headers, *limits], body)
        return
    status, headers, body = surface.write_error(error, walk.id)
    same = walk.failed_dialect == surface.name
    own = writing.own_words(error, surface.name) if same else None
    said = writing.masked(walk, body if own is None else own)
    writing.refuse(walk, reply, (status, [*headers, *limits], said))
