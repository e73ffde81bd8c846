"""Recording: the OPEN and CLOSE rows of an Attempt, with its cost to the pico-dollar.

OPEN is durable before any byte goes upstream; CLOSE before the terminal bytes reach the client. What a
provider did not report is estimated from the bytes seen and says so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from msgspec import structs

from tierwise.clock import now_us, tick_us
from tierwise.costing import Cost, estimate_tokens
from tierwise.costing.reconcile import spelled
from tierwise.errors import BudgetRefused, TierwiseError, UpstreamRefused, UpstreamStatus
from tierwise.http1 import UNSENT
from tierwise.ledger import Ledger
from tierwise.nouns import OUTPUT_LIMIT, Candidate, Close, Open, Outcome, Outline, Provider, Usage
from tierwise.nouns.answer import NOTHING, OTHERS
from tierwise.upstream import Deployment

from .metrics import Metrics
from .prefixes.prefix import LEAST, Prefixes
from .snapshot import Snapshot
from .telemetry.witness import Witness
from .walk import Tried, Walk

_FREE = Cost(0)
_KINDS_OF_TOKENS = ("input_", "output_", "cache_")
LEAST_CUT = 16
"""Tokens below which a limit is likely meant as the whole answer: one word, one label."""


class Book:
    """Where Attempts are written: the ledger and the counters."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self.ledger = ledger
        self.metrics = metrics
        self.prefixes = Prefixes(ledger.prefix_key())
        self.witness: Witness | None = None
        """Who is told of each Exchange; nobody unless telemetry is configured."""
        self.running: Counter[str] = Counter()
        """Attempts under way by provider, where the provider has a limit."""

    def open(self, walk: Walk, deployment: Deployment, candidate: Candidate) -> tuple[Entry, Awaitable[None]]:
        """An Entry, and what to await until its OPEN row is durable and its estimated cost reserved; if that
        fails the attempt has `left` its provider. Raises BudgetRefused, StoreError, or UpstreamStatus 429
        where the provider has as many calls from here as its configuration allows."""
        provider = deployment.provider
        if provider.max_concurrent is not None and self.running[provider.name] >= provider.max_concurrent:
            full = (
                f"The gateway has {provider.max_concurrent} calls under way at {provider.name}, all it may."
            )
            raise UpstreamStatus(429, f"{full} Retry in a moment.", "local_limit")
        walk.attempts += 1
        entry = Entry(self, walk, deployment, candidate, f"{walk.id}-{walk.attempts}")
        durable = self.ledger.open(self.row(walk, deployment, candidate, entry.id, now_us()))
        self.entered(provider)
        return entry, durable

    def row(self, walk: Walk, deployment: Deployment, candidate: Candidate, attempt: str, at_us: int) -> Open:
        """The OPEN row of an Attempt. Raises BudgetRefused for a budget that no known price can keep."""
        route, outline = walk.route, walk.as_set(candidate)
        assert route is not None
        price_id = deployment.priced.price_id(at_us)
        if (
            (outline.service_tier or not price_id or outline.stand_ins or outline.searches)
            and (scope := self.ledger.capped(walk.scopes))
            and (why := walk.unpriced(candidate))
        ):
            raise unpriced(deployment.name, scope, why)
        # By position, in the order of the noun: by name it takes five times as long.
        return Open(
            walk.id,  # exchange
            attempt,
            at_us,
            walk.caller.key.id,  # key
            route.task,
            candidate.tier,
            deployment.name,  # model
            deployment.provider.name,  # provider
            walk.surface.name,  # dialect_in
            deployment.dialect.name,  # dialect_out
            outline.stream,
            price_id,
            walk.reservation(deployment, at_us, outline),  # reserved_pico
            walk.scopes,
            route.asked,
            route.reason,  # route
            walk.session,
            walk.tags,
            walk.kind.spent_on,  # kind
            self.prefixes.digest(walk.outline, walk.prompt_tokens, deployment.model.abilities)
            if walk.prompt_tokens >= LEAST
            else "",
        )

    def entered(self, provider: Provider) -> None:
        """An Attempt at `provider` begins."""
        if provider.max_concurrent is not None:
            self.running[provider.name] += 1

    def left(self, provider: Provider) -> None:
        """An Attempt at `provider` is over."""
        if provider.max_concurrent is not None:
            self.running[provider.name] -= 1


class Entry:
    """One Attempt's page in the Book: opened, timed, and closed exactly once."""

    __slots__ = (
        "_book", "_closed", "candidate", "cost_pico", "deployment", "first", "first_us", "id", "outcome",
        "sent_us", "served", "text_bytes", "usage", "walk",
    )  # fmt: skip

    def __init__(
        self, book: Book, walk: Walk, deployment: Deployment, candidate: Candidate, attempt: str
    ) -> None:
        self._book = book
        self._closed = False
        self.walk = walk
        self.deployment = deployment
        self.candidate = candidate
        self.id = attempt
        self.first = walk.attempts == 1  # a later one waited for those before it
        self.sent_us = 0
        self.first_us: int | None = None
        self.text_bytes = 0
        self.usage: Usage | None = None
        self.served: str | None = None
        """The model that answers, as far as a stream has told it."""
        self.cost_pico: int | None = None
        self.outcome: Outcome | None = None
        """How it was closed."""

    def saw_content(self) -> None:
        """Marks the first content: TTFT is measured to here."""
        if self.first_us is None:
            self.first_us = tick_us()

    def close(
        self,
        outcome: Outcome,
        status: int = 200,
        error: TierwiseError | None = None,
        model: str | None = None,
    ) -> Awaitable[None]:
        """Queues the CLOSE row at once; what it gives is to be awaited, until the row is durable."""
        self._closed = True
        self.outcome = outcome
        self._book.left(self.deployment.provider)
        walk, deployment, now = self.walk, self.deployment, tick_us()
        at_us = now_us()
        usage, outline = self.final_usage(outcome, error), walk.as_set(self.candidate)
        model = model or self.served
        if outline.stand_ins or outline.searches:
            usage = self._billed(usage, outline, model)
        usage, cost = charge(deployment, usage, at_us, self._estimated, walk.snapshot)
        self.cost_pico = cost.pico
        before = walk.spent_pico
        walk.spent_pico = None if before is None or cost.pico is None else before + cost.pico
        ttft = self.first_us - self.sent_us if self.first_us is not None else None
        asked, reference = baselines(self, usage, at_us)
        total_us, metrics = now - walk.began_us, self._book.metrics
        metrics.note(
            (
                self.candidate.tier or metrics.label_of(deployment.name),  # a pinned model has no tier
                outcome,
                walk.surface.name,
                usage,
                cost.pico,
                total_us,
                ttft,
                self.sent_us - walk.began_us if self.first else None,
            )
        )
        # By position, as the OPEN.
        row = Close(
            walk.id,  # exchange
            self.id,  # attempt
            at_us,
            outcome,
            status,
            usage,
            cost.pico,  # cost_pico
            cost.unpriced,
            error.kind if error is not None else _ended_by(outcome, usage, outline),  # error
            ttft,  # ttft_us
            total_us,
            walk.upstream_us + now - self.sent_us,  # upstream_us
            model or "",  # served_model
            asked,  # asked_pico
            reference,  # reference_pico
            walk.loss_names() if walk.losses else (),  # losses
        )
        if self._book.witness is not None:
            walk.tried = (*walk.tried, self._tried(row, at_us - (now - self.sent_us)))
        return self._book.ledger.close(row)

    def abandon(self, why: BaseException) -> None:
        """Queues the CLOSE row without waiting: for an exchange that is being cancelled, or fell over."""
        if self._closed:
            return
        if isinstance(why, asyncio.CancelledError):
            if UNSENT in why.args:
                self.usage = NOTHING
            self.close("cancelled", 499)
        else:
            self.close("error", 500, why if isinstance(why, TierwiseError) else None)

    def unsent(self) -> None:
        """Queues the CLOSE row, at no cost, of an Attempt whose caller went away while its OPEN row was being
        written. Refused unseen where that row never was."""
        self.sent_us = tick_us()
        self.usage = NOTHING
        asyncio.ensure_future(self.close("cancelled", 499)).add_done_callback(seen)

    def final_usage(self, outcome: Outcome, error: TierwiseError | None = None) -> Usage:
        """Usage as reported, else estimated; nothing when the provider refused the call."""
        usage, stream = self.usage, self.walk.outline.stream
        if usage is NOTHING:
            return usage
        reported = usage is not None and usage.source == "reported"
        if usage is not None and reported:
            whole = both_sides(usage, self.text_bytes) if outcome == "ok" else not stream
            if whole:
                return usage
        if usage is None or not (usage.prompt or usage.output):
            if outcome == "error" and refused(error) and not (stream and self.text_bytes):
                return NOTHING
            return self._estimated()
        # A stream that broke off has told its input, but of its output only what had come by then; some
        # providers never tell one of the two.
        prompt = usage.input if usage.prompt else self.walk.prompt_tokens
        output, seen = usage.output, self._seen()
        # An output told as final stands, unless text came after it: none has seven bytes a token.
        final = reported and (seen <= 2 * output or (outcome == "ok" and output > 0))
        output = output if final else max(output, seen)
        return structs.replace(usage, input=prompt, output=output, source="partial")

    def _billed(self, usage: Usage, outline: Outline, served: str | None) -> Usage:
        """`usage` with the search that was asked for, and as that of another model where the provider says
        that one of those which the request names answered instead: it is billed at that model's price. A
        provider that counts its tries says so."""
        if usage is NOTHING or not credible(usage):
            return usage
        usage = self.walk.searched(self.deployment, usage)
        named = self.walk.named(self.deployment, outline)
        if not named or not served or usage.others or _alike(served, self.deployment.model.id):
            return usage
        model = next((each for each in named if _alike(served, each)), served)
        more = (count for unit, count in usage.extra.items() if unit.startswith(_KINDS_OF_TOKENS))
        units = {"fallback_tokens": max(usage.prompt + usage.output + sum(more), 1)}
        others = ((model, usage),)
        return Usage(extra=units, source=usage.source, service_tier=usage.service_tier, others=others)

    def so_far_pico(self) -> int | None:
        """What a stream that ends now would be booked at; None: not known."""
        return self.would_cost(self.final_usage("ok"))

    def kept_usage(self, served: str) -> Usage:
        """What a whole answer of the model `served` was booked with."""
        return self._billed(self.final_usage("ok"), self.walk.as_set(self.candidate), served)

    def would_cost(self, usage: Usage) -> int | None:
        """Pico-dollars of `usage` by the model that answers; None: not known."""
        outline, snapshot = self.walk.as_set(self.candidate), self.walk.snapshot
        usage = self._billed(usage, outline, self.served)
        return charge(self.deployment, usage, now_us(), self._estimated, snapshot)[1].pico

    def _estimated(self) -> Usage:
        walk = self.walk
        tier = self.usage.service_tier if self.usage else walk.billed_as(self.candidate)
        return Usage(walk.prompt_tokens, output=self._seen(), source="estimated", service_tier=tier)

    def _seen(self) -> int:
        """Tokens of the answer so far, by its bytes; never more than were asked for, nor than is reserved."""
        seen, outline = estimate_tokens(self.text_bytes), self.walk.outline
        if outline.max_output is None:
            return seen
        return min(seen, max(outline.max_output, 0) * max(outline.choices, 1))

    def _tried(self, row: Close, sent_at_us: int) -> Tried:
        """This Attempt as telemetry is told of it."""
        deployment = self.deployment
        return Tried(
            tier=self.candidate.tier,
            model=deployment.name,
            model_id=deployment.model.id,
            provider=deployment.provider.name,
            dialect=deployment.dialect.name,
            sent_at_us=sent_at_us,
            close=row,
        )


def _alike(one: str, other: str) -> bool:
    """Whether two ids mean one model: vendors write versions and dates in several ways and places."""
    return sorted(spelled(one).split("-")) == sorted(spelled(other).split("-"))


def _ended_by(outcome: Outcome, usage: Usage, outline: Outline) -> str:
    """`output_limit` where every answer took all the tokens it was allowed, and so was likely cut."""
    if outcome != "ok" or usage.output < LEAST_CUT or usage.source != "reported":
        return ""
    limit = outline.max_output
    whole = limit is None or usage.output < limit * max(outline.choices, 1)
    return "" if whole else OUTPUT_LIMIT


def seen(closed: asyncio.Future[None]) -> None:
    """Takes note of a row nobody waits for, so that nothing is said of its refusal."""
    if not closed.cancelled():
        closed.exception()


def unpriced(model: str, scope: str, why: str) -> BudgetRefused:
    """The refusal of a call whose cost nobody could take off the budget of `scope`."""
    return BudgetRefused(
        f"The budget of {scope} cannot be kept at {model}: {why}.",
        "Give it a [[price]] (0 where it is free), ask for another model or class of service, or remove the "
        "budget.",
    )


def refused(error: BaseException | None) -> bool:
    """Whether the provider did nothing for the call and bills nothing: it said so, or was not reached. Who
    falls silent or breaks off may bill."""
    return isinstance(error, UpstreamStatus | UpstreamRefused)


def charge(
    deployment: Deployment,
    usage: Usage,
    at_us: int,
    estimated: Callable[[], Usage],
    snapshot: Snapshot | None = None,
) -> tuple[Usage, Cost]:
    """What a call is booked with, and what that costs: `usage`, or the estimate where no call can have used
    so much. `snapshot` knows the prices of other models that the provider asked."""
    if usage is NOTHING:
        return usage, _FREE  # also where the model has no price
    if not credible(usage):
        usage = estimated()
    cost = deployment.priced.cost(usage, at_us)
    if cost.pico is None and usage.others and snapshot is not None:
        cost = _together(snapshot, deployment, usage, at_us)
    return usage, cost


def _together(snapshot: Snapshot, deployment: Deployment, usage: Usage, at_us: int) -> Cost:
    """What the model and those that its provider asked of its own accord cost, each at its own price."""
    extra = {unit: count for unit, count in usage.extra.items() if unit not in OTHERS}
    total = deployment.priced.cost(structs.replace(usage, extra=extra, others=()), at_us)
    for model, part in usage.others:
        if total.pico is None:
            break
        cost = snapshot.priced(deployment.provider, model).cost(part, at_us)
        total = Cost(total.pico + cost.pico) if cost.pico is not None else cost
    return total


def both_sides(usage: Usage, text_bytes: int) -> bool:
    """Whether the provider can have counted what it read and what it wrote: no prompt is of no tokens, and
    no `text_bytes` of answer are."""
    return bool(usage.extra or (usage.prompt and (usage.output or not text_bytes)))


def credible(usage: Usage) -> bool:
    """Whether a call can have used so much: no count is negative, or a hundred times the longest context."""
    # An `or` of whole numbers is negative if one is, and as long as the longest.
    bits = usage.input | usage.cache_read | usage.cache_write_5m | usage.cache_write_1h | usage.output
    for count in usage.extra.values():
        bits |= count
    return not bits >> 30


def baselines(entry: Entry, usage: Usage, at_us: int) -> tuple[int | None, int | None]:
    """What the same tokens would have cost at the model asked for (None: none was named) and at the
    reference tier.

    Token counts differ between model families; the same counts are used for both, and reports say so.
    """
    snapshot, route = entry.walk.snapshot, entry.walk.route
    named = snapshot.asked(route) if route is not None else None
    return _cost_at(named, entry, usage, at_us), _cost_at(snapshot.reference(), entry, usage, at_us)


def _cost_at(deployment: Deployment | None, entry: Entry, usage: Usage, at_us: int) -> int | None:
    if deployment is None:
        return None
    if deployment is entry.deployment:
        return entry.cost_pico  # the call was made there
    return deployment.priced.cost(usage, at_us).pico
