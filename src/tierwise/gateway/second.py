"""Second: an Exchange's request asked once more, of another tier, for comparison only. Nobody waits for it.

Its OPEN and CLOSE rows carry kind `shadow`, the Exchange's id, no key and no tags: the money is the
operator's, held under the scope `shadow:TASK`.
"""

from __future__ import annotations

import asyncio

from msgspec import structs

from tierwise.clock import now_us, tick_us
from tierwise.costing import estimate_tokens
from tierwise.dialects.spans import lay_over
from tierwise.errors import LossRefused, TierwiseError
from tierwise.judging.alarm import Said
from tierwise.ledger import Ledger
from tierwise.nouns import Ask, Candidate, Close, Open, Outcome, Usage
from tierwise.upstream import Deployment, Sent, send

from .calling import Caller
from .overheard import MOST_BYTES, said
from .recording import Book
from .walk import Walk

LONGEST_S = 180.0
LONGEST_ANSWER = 4096
"""Tokens of a shadow answer where the caller named no limit. The model's own limit would set aside dollars
for each call, and the day's cap would hold back nearly all of them."""
# Fields that make a provider do or remember something, beyond answering.
_ACTING = frozenset(("mcp_servers", "container", "background", "conversation"))


async def ask(caller: Caller, walk: Walk, candidate: Candidate, scope: str) -> Said | None:
    """What `candidate` answers to the request of `walk`, None when that cannot be told.

    Raises BudgetRefused when `scope` has no money left, LossRefused when the request cannot be asked twice,
    UpstreamError, StoreError. Cancelling ends the call and closes its row.
    """
    deployment = walk.snapshot.deployment(candidate.model)
    sent = write(walk, deployment, candidate)
    row = await _opened(caller.book.ledger, walk, deployment, candidate, scope)
    page = _Page(caller.book, deployment, row)
    try:
        async with asyncio.timeout(LONGEST_S):
            response = await send(caller.pool, deployment, sent)
            try:
                body = await response.read(MOST_BYTES)
            finally:
                response.close()
        answer = deployment.dialect.read_answer(body)
    except TimeoutError:
        await page.close("error", 504, Usage(), "upstream_timeout")
        return None
    except TierwiseError as error:
        await page.close("error", error.status, Usage(), error.kind)
        raise
    except asyncio.CancelledError:
        # Queued, not waited for: whoever cancels is in a hurry.
        page.close("cancelled", 499, Usage(input=walk.prompt_tokens, source="estimated"), "")
        raise
    usage = answer.usage or Usage(
        input=walk.prompt_tokens, output=estimate_tokens(len(body)), source="estimated"
    )
    await page.close("ok", 200, usage, "", answer.model)
    return said(answer)


def write(walk: Walk, deployment: Deployment, candidate: Candidate) -> Sent:
    """The request as a plain one for `deployment`. Raises LossRefused where asking twice would do something
    twice: a vendor's own tools, stored conversations."""
    request = walk.ask()
    refuse_acts(walk, request)
    longest = LONGEST_ANSWER if request.max_output is None else request.max_output
    plain = structs.replace(request, stream=False, include_usage=False, max_output=longest)
    written = deployment.dialect.write_request(plain, deployment.model)
    tier = walk.snapshot.catalog.tiers.get(candidate.tier)
    body = lay_over(written.body, tier.settings) if tier is not None and tier.settings else written.body
    same = deployment.dialect.name == walk.surface.name
    headers = deployment.headers(walk.request.headers if same else None, written.headers)
    return Sent(deployment.path(False), headers, body)


def refuse_acts(walk: Walk, request: Ask) -> None:
    """Raises LossRefused unless the request only asks for words, or for calls of the caller's own tools."""
    acts = [tool.name or tool.kind for tool in request.tools if tool.kind == "hosted"]
    acts += sorted(_ACTING & request.extras.keys())
    if request.previous_id is not None:
        acts.append("previous_response_id")
    if request.store or not walk.repeatable():
        acts.append("store")
    if acts:
        raise LossRefused(f"Not asked twice: {', '.join(acts)} would act twice.")


class _Page:
    """The rows of one such call."""

    def __init__(self, book: Book, deployment: Deployment, row: Open) -> None:
        self._book = book
        self._deployment = deployment
        self._row = row
        self._sent_us = tick_us()

    def close(
        self, outcome: Outcome, status: int, usage: Usage, error: str, model: str = ""
    ) -> asyncio.Future[None]:
        """Queues the CLOSE row; the future is done when it is durable."""
        at_us, took = now_us(), tick_us() - self._sent_us
        cost = self._deployment.priced.cost(usage, at_us)
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
            served_model=model,
        )
        self._book.metrics.shadow_cost_pico[self._row.task] += cost.pico or 0
        return asyncio.ensure_future(self._book.ledger.close(row))


async def _opened(
    ledger: Ledger, walk: Walk, deployment: Deployment, candidate: Candidate, scope: str
) -> Open:
    assert walk.route is not None
    walk.attempts += 1
    at_us, outline = now_us(), walk.outline
    if outline.max_output is None:
        outline = structs.replace(outline, max_output=LONGEST_ANSWER)
    row = Open(
        exchange=walk.id,
        attempt=f"{walk.id}-{walk.attempts}",
        at_us=at_us,
        key="",
        task=walk.route.task,
        tier=candidate.tier,
        model=deployment.name,
        provider=deployment.provider.name,
        dialect_in=walk.surface.name,
        dialect_out=deployment.dialect.name,
        stream=False,
        price_id=deployment.priced.price_id(at_us),
        reserved_pico=deployment.priced.upper_bound(walk.prompt_tokens, outline, at_us),
        scopes=(scope,),
        asked=walk.route.asked,
        route=f"shadow of {walk.route.task}",
        kind="shadow",
    )
    await ledger.open(row)
    return row
