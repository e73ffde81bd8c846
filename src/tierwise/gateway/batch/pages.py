"""A row that a provider's own batch answers: its OPEN before it is handed over, its CLOSE when it comes back,
perhaps in another process, days of restarts later."""

from __future__ import annotations

import logging
from typing import cast

import msgspec
from msgspec import Struct, structs

from tierwise.batches import Batch, Row
from tierwise.clock import now_us, tick_us
from tierwise.costing import batch_share
from tierwise.errors import StoreError, TierwiseError, UpstreamBroke
from tierwise.http1 import Request
from tierwise.nouns import Loss, Outcome, Route, Usage
from tierwise.nouns.answer import NOTHING
from tierwise.upstream import Deployment, Said

from ..auth import caller_for
from ..calling import dated
from ..calling import said as answer_bytes
from ..exchange import Gate
from ..recording import Entry, credible
from ..reply import own_words, presentable
from ..walk import Walk
from .asking import Answered, Kept
from .paths import asked_as

log = logging.getLogger("tierwise")

BATCH = "batch"
_IN_BATCH = Usage(source="estimated", service_tier=BATCH)
"""Of a row whose tokens nobody told."""


class Leaf(Struct, frozen=True):
    """What is kept of a row's open Attempt."""

    exchange: str
    attempt: str
    at_us: int
    model: str
    route: Route
    scopes: tuple[str, ...]
    reserved_pico: int
    losses: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """The caller's, and those that choosing added."""


def leaf_of(walk: Walk, deployment: Deployment) -> bytes:
    """The page of a row that is about to be handed over. At most its batch price is reserved."""
    assert walk.route is not None
    walk.attempts += 1
    at_us = now_us()
    may_cost = walk.reservation(deployment, at_us, walk.as_set(walk.route.candidates[0]))
    reserved = batch_share(may_cost, deployment.priced.price(at_us))
    leaf = Leaf(
        walk.id, f"{walk.id}-{walk.attempts}", at_us, deployment.name, walk.route, walk.scopes, reserved,
        walk.loss_names(), walk.tags,
    )  # fmt: skip
    return msgspec.json.encode(leaf)


async def opened(gate: Gate, batch: Batch, row: Row) -> None:
    """The row's OPEN, durable. Raises BudgetRefused, StoreError."""
    leaf, walk, deployment = read(gate, batch, row)
    book = gate.caller.book
    written = book.row(walk, deployment, leaf.route.candidates[0], leaf.attempt, leaf.at_us)
    await book.ledger.open(structs.replace(written, reserved_pico=leaf.reserved_pico))


def read(gate: Gate, batch: Batch, row: Row) -> tuple[Leaf, Walk, Deployment]:
    """A row's page, and the Walk it stands for as it was. Raises UnknownModel when its provider is no longer
    configured."""
    leaf = msgspec.json.decode(row.page, type=Leaf)
    surface, kind = asked_as(batch.endpoint)
    keys = [key for key in gate.ledger.list_keys() if key.id == batch.key]
    request = cast(Request, Kept(batch.endpoint, batch.headers, row.request))
    walk = Walk(request, surface, gate.snapshot, caller_for(keys[0]))
    walk.kind = kind
    walk.id, walk.at_us, walk.attempts = leaf.exchange, leaf.at_us, 1
    walk.began_us = tick_us() - max(0, now_us() - leaf.at_us)
    walk.read(row.request, (kind.errand or surface).outline(row.request))
    walk.route, walk.scopes = leaf.route, leaf.scopes
    walk.tags = leaf.tags or walk.tags
    walk.losses = [Loss(name) for name in leaf.losses]
    return leaf, walk, gate.snapshot.deployment(leaf.model)


class Returned:
    """A row that came back: closes its page and says it in the words of the batch's dialect."""

    def __init__(self, gate: Gate, batch: Batch, row: Row) -> None:
        self._leaf, self._walk, self._deployment = read(gate, batch, row)
        book = gate.caller.book
        candidate = self._leaf.route.candidates[0]
        self._entry = Entry(book, self._walk, self._deployment, candidate, self._leaf.attempt)
        self._entry.sent_us = self._walk.began_us
        book.entered(self._deployment.provider)

    async def answered(self, said: Said) -> Answered:
        """Booked at the batch price, and told. An error is booked at nothing: providers bill none."""
        walk, dialect = self._walk, self._deployment.dialect
        if said.status >= 300:
            error = dialect.read_error(said.status, {}, said.body)
            await self._closed("error", said.status, error)
            status, _, body = walk.surface.write_error(presentable(error), walk.id)
            own = own_words(error, walk.surface.name) if dialect.name == walk.surface.name else None
            masked = walk.snapshot.settings.secrets.masked
            return Answered(status, masked(body if own is None else own), walk.id)
        try:
            body, model = self._read(said.body)
        except TierwiseError as error:
            await self._closed("error", error.status, error)
            status, _, body = walk.surface.write_error(error, walk.id)
            return Answered(status, body, walk.id)
        await self._closed("ok", 200, None, model)
        return Answered(200, body, walk.id)

    async def unanswered(self, status: int, error: TierwiseError | None) -> None:
        """Booked at nothing: the provider never answered it."""
        await self._closed("cancelled" if error is None else "error", status, error)

    async def lost(self) -> None:
        """Booked by estimate: the provider may have taken it, and nobody will ever hear."""
        self._entry.usage = _IN_BATCH
        error = UpstreamBroke(
            "It cannot be told whether the provider took this row's batch.", "It is asked again."
        )
        await self._closed("error", error.status, error)

    def _read(self, body: bytes) -> tuple[bytes, str | None]:
        """The answer in the caller's dialect, and the model that gave it; its usage goes on the page."""
        walk, entry, dialect = self._walk, self._entry, self._deployment.dialect
        errand = walk.kind.errand
        usage = dialect.usage(body) if errand is None else errand.usage(body)
        # Whatever the reply says of its tier: it was asked and is billed as part of a batch.
        entry.usage = in_batch(usage if usage is not None and credible(usage) else _IN_BATCH)
        if errand is not None:
            return body, None
        entry.text_bytes = answer_bytes(dialect, body)
        model = dialect.served_model(body)
        if dialect.name != walk.surface.name:
            answer = dated(dialect.read_answer(body), walk)
            model = answer.model
            written = walk.surface.write_answer(answer, walk.ask())
            walk.losses += written.losses
            body = written.body
        return body, model

    async def _closed(
        self, outcome: Outcome, status: int, error: TierwiseError | None, model: str | None = None
    ) -> None:
        if outcome == "cancelled":
            # Nothing was used, where a call that broke off would be reckoned as used.
            self._entry.usage = NOTHING
        try:
            await self._entry.close(outcome, status, error, model)
        except StoreError as refusal:
            # Closed before a restart, never opened, or kept by the ledger until it can be written.
            log.info("row of %s: %s", self._walk.id, refusal.sentence())


def in_batch(usage: Usage) -> Usage:
    """`usage` as that of a batch's row, other models' parts of it included."""
    if usage is NOTHING:
        return usage
    others = tuple((model, structs.replace(part, service_tier=BATCH)) for model, part in usage.others)
    return structs.replace(usage, service_tier=BATCH, others=others)
