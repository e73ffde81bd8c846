"""Booking: a hit in the ledger. It cost nothing, and what it saved stands apart from what was spent."""

from __future__ import annotations

import asyncio

from tierwise.clock import now_us, tick_us
from tierwise.ledger import Ledger
from tierwise.nouns import Close, Open, Usage

from ..recording import charge
from ..walk import Walk
from .kept import Kept

KIND = "cached"
_NOTHING = Usage(source="cached")


async def book(ledger: Ledger, walk: Walk, kept: Kept) -> int | None:
    """Writes OPEN and CLOSE of a hit, both durable when it returns. Gives the pico-dollars it saved: what the
    kept answer's tokens cost at today's price; None: unknown. Raises StoreError.

    No budget is charged, so the rows name no scopes; no tokens were billed, so they hold none.
    """
    deployment = walk.snapshot.deployment(kept.model)
    route = walk.route
    assert route is not None
    at_us = now_us()
    saved = charge(deployment, kept.usage, at_us, lambda: kept.usage, walk.snapshot)[1].pico
    walk.attempts += 1
    attempt = f"{walk.id}-{walk.attempts}"
    opening = ledger.open(
        Open(
            walk.id,  # exchange
            attempt,
            at_us,
            walk.caller.key.id,  # key
            route.task,
            kept.tier,
            deployment.name,  # model
            deployment.provider.name,  # provider
            walk.surface.name,  # dialect_in
            deployment.dialect.name,  # dialect_out
            walk.outline.stream,
            deployment.priced.price_id(at_us),  # price_id
            0,  # reserved_pico
            (),  # scopes
            route.asked,
            route.reason,  # route
            walk.session,
            walk.tags,
            KIND,
        )
    )
    closing = asyncio.ensure_future(
        ledger.close(
            Close(
                walk.id,  # exchange
                attempt,
                at_us,
                "cached",  # outcome
                200,  # status
                _NOTHING,  # usage
                0,  # cost_pico
                total_us=tick_us() - walk.began_us,
                served_model=kept.served_model,
                asked_pico=saved,
                losses=walk.loss_names(),
            )
        )
    )
    try:
        await opening
    except BaseException:
        closing.cancel()
        raise
    await closing
    return saved
