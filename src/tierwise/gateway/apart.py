"""Apart: a call of the gateway's own beside an Exchange, with rows of its own under the Exchange's id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from types import TracebackType

from tierwise.clock import now_us, tick_us
from tierwise.costing import estimate_tokens
from tierwise.errors import TierwiseError
from tierwise.nouns import Close, Open, Outcome, Usage
from tierwise.nouns.answer import NOTHING
from tierwise.upstream import Deployment

from .recording import Book, charge, refused, seen, unpriced


class Apart:
    """One such call, as long as the block lasts that it is entered for: its OPEN row is durable when the
    block begins, and its CLOSE row when it ends. `seen`: bytes of the answer so far. Entering raises
    BudgetRefused, StoreError."""

    def __init__(self, book: Book, deployment: Deployment, row: Open, prompt_tokens: int) -> None:
        self._book = book
        self._deployment = deployment
        self._row = row
        self._prompt_tokens = prompt_tokens
        self._sent_us = 0
        self._usage: Usage | None = None
        self._model = ""
        self.seen = 0

    async def __aenter__(self) -> Apart:
        if not self._row.price_id and (scope := self._book.ledger.capped(self._row.scopes)):
            raise unpriced(self._row.model, scope, "no price is known for this model")
        try:
            await self._book.ledger.open(self._row)
        except asyncio.CancelledError:
            self._sent_us = tick_us()
            asyncio.ensure_future(self._close("cancelled", 499, NOTHING)).add_done_callback(seen)
            raise
        self._sent_us = tick_us()
        return self

    def answered(self, usage: Usage | None, model: str) -> None:
        """What a whole answer told."""
        self._usage = usage
        self._model = model

    async def __aexit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if why is None:
            await self._close("ok", 200, self._usage or self._estimated())
        elif isinstance(why, asyncio.CancelledError):
            # Queued, not waited for: whoever cancels is in a hurry.
            self._close("cancelled", 499, self._estimated())
        else:
            # Nothing where the provider refused it, else what it may have been billed.
            usage = NOTHING if refused(why) else self._estimated()
            told = (why.status, why.kind) if isinstance(why, TierwiseError) else (500, "")
            await self._close("error", told[0], usage, told[1])

    def _estimated(self) -> Usage:
        return Usage(self._prompt_tokens, output=estimate_tokens(self.seen), source="estimated")

    def _close(self, outcome: Outcome, status: int, usage: Usage, error: str = "") -> Awaitable[None]:
        at_us, took = now_us(), tick_us() - self._sent_us
        usage, cost = charge(self._deployment, usage, at_us, self._estimated)
        self._count(cost.pico or 0)
        row = Close(
            exchange=self._row.exchange,
            attempt=self._row.attempt,
            at_us=at_us,
            outcome=outcome,
            status=status,
            usage=usage,
            cost_pico=cost.pico,
            unpriced=cost.unpriced,
            error=error,
            total_us=took,
            upstream_us=took,
            served_model=self._model,
        )
        return self._book.ledger.close(row)

    def _count(self, pico: int) -> None:
        metrics = self._book.metrics
        if self._row.kind == "shadow":
            metrics.shadow_cost_pico[self._row.task] += pico
        else:
            metrics.calls.cost_pico[metrics.label_of(self._row.model)] += pico
