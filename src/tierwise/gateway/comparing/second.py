"""Second: an Exchange's request asked once more, of another tier, for comparison only. Nobody waits for it.

Its OPEN and CLOSE rows carry kind `shadow`, the Exchange's id, no key and no tags: the money is the
operator's, held under the scope `shadow:TASK`.
"""

from __future__ import annotations

import asyncio

from msgspec import structs

from tierwise.clock import now_us
from tierwise.dialects.spans import overrule
from tierwise.errors import LossRefused, UpstreamTimeout
from tierwise.judging.alarm import Said
from tierwise.nouns import Answer, Ask, Candidate, Open
from tierwise.routing.retry import acts
from tierwise.upstream import Deployment, Sent, send

from ..apart import Apart
from ..calling import Caller
from ..walk import Walk
from .overheard import MOST_BYTES, said

LONGEST_S = 180.0
LONGEST_ANSWER = 4096
"""Tokens of a shadow answer where the caller named no limit. The model's own limit would set aside dollars
for each call, and the day's cap would hold back nearly all of them."""


async def ask(caller: Caller, walk: Walk, candidate: Candidate, scope: str) -> Said | None:
    """What `candidate` answers to the request of `walk`, None when that cannot be told.

    Raises BudgetRefused when `scope` has no money left, LossRefused when the request cannot be asked twice,
    UpstreamError, StoreError. Cancelling ends the call and closes its row.
    """
    deployment = walk.snapshot.deployment(candidate.model)
    sent = write(walk, deployment, candidate)
    row = _row(walk, deployment, candidate, scope)
    async with Apart(caller.book, deployment, row, walk.prompt_tokens) as call:
        answer = await _answer(caller, deployment, sent, call)
        call.answered(answer.usage, answer.model)
    return said(answer)


async def _answer(caller: Caller, deployment: Deployment, sent: Sent, call: Apart) -> Answer:
    try:
        async with asyncio.timeout(LONGEST_S):
            response = await send(caller.pool, deployment, sent)
            try:
                body = await response.read(MOST_BYTES)
            finally:
                response.close()
    except TimeoutError:
        raise UpstreamTimeout(f"The second answer was not whole after {LONGEST_S:.0f} s.") from None
    call.seen = len(body)
    return deployment.dialect.read_answer(body)


def write(walk: Walk, deployment: Deployment, candidate: Candidate) -> Sent:
    """The request as a plain one for `deployment`. Raises LossRefused where asking twice would do something
    twice: a vendor's own tools, stored conversations."""
    request = walk.ask()
    refuse_acts(request)
    longest = LONGEST_ANSWER if request.max_output is None else request.max_output
    plain = structs.replace(request, stream=False, include_usage=False, max_output=longest)
    written = deployment.dialect.write_request(plain, deployment.model)
    tier = walk.snapshot.catalog.tiers.get(candidate.tier)
    body = overrule(written.body, tier.settings) if tier is not None and tier.settings else written.body
    same = deployment.dialect.name == walk.surface.name
    headers = deployment.headers(walk.request.headers if same else None, written.headers)
    return Sent(deployment.path(False), headers, body)


def refuse_acts(request: Ask) -> None:
    """Raises LossRefused unless the request only asks for words, or for calls of the caller's own tools."""
    twice = acts(request)
    if request.previous_id is not None:
        twice.append("previous_response_id")
    if request.store:
        twice.append("store")
    if twice:
        raise LossRefused(f"Not asked twice: {', '.join(twice)} would act twice.")


def _row(walk: Walk, deployment: Deployment, candidate: Candidate, scope: str) -> Open:
    assert walk.route is not None
    walk.attempts += 1
    at_us, outline = now_us(), walk.outline
    if outline.max_output is None:
        outline = structs.replace(outline, max_output=LONGEST_ANSWER)
    return Open(
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
