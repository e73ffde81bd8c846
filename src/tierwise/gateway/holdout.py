"""Holdout: a small share of a task's calls, drawn at random, kept on the reference tier.

Only a comparison of calls that differ by chance alone says what routing saves; `ledger report --savings`
makes it from the tag `holdout`.
"""

from __future__ import annotations

from hashlib import sha256

from msgspec import structs

from tierwise.costing.draws import HOLDOUT, STAYED
from tierwise.errors import NoTier, Unfit, UnknownModel
from tierwise.nouns import Route
from tierwise.routing import Question
from tierwise.upstream import Health

from .routes import Routes
from .walk import Walk, scopes_of

# The last digits of an exchange's id are random: they are the draw, so that it can be made again.
_DIGITS = 12


def drawn(walk: Walk, share: float) -> bool:
    """Whether this exchange belongs to the held-out share, 0..1. All calls of a session do, or none: it stays
    on one tier."""
    digits: str = walk.id[-_DIGITS:]
    if walk.session:
        digits = sha256(f"{walk.caller.key.id}\0{walk.session}".encode()).hexdigest()[:_DIGITS]
    return bool(int(digits, 16) < share * 16**_DIGITS)


def hold_out(walk: Walk, question: Question, health: Health) -> None:
    """Sends a call that was drawn to the reference tier, and tags it. One that is served there anyway, or
    named its model, is no evidence. A session that began elsewhere stays; so does a call whose cap has no
    room there, or that the reference tier cannot serve: these two are tagged as such.
    """
    snapshot, route, bound = walk.snapshot, walk.route, question.pinned_tier
    reference = snapshot.catalog.ladder.reference
    if route is None or route.how not in ("task", "inferred") or not reference:
        return
    free = route
    if bound == reference:
        free = snapshot.routes.choose(structs.replace(question, pinned_tier=None), health)
    if free.candidates[0].tier == reference or bound not in (None, "", reference):
        return
    held = _moved(walk, question, free, reference, health)
    if held is None:
        walk.tags = (*walk.tags, STAYED)
        return
    walk.route, walk.other = held, free
    walk.tags = (*walk.tags, HOLDOUT)


def let_go(walk: Walk) -> None:
    """Makes a held-out request the one it would be otherwise, as which the response cache is asked. Only one
    that is not answered there is a draw: else the routed calls would be those that were never asked before,
    and the held-out ones all."""
    walk.route, walk.other = walk.other, walk.route
    walk.tags = tuple(tag for tag in walk.tags if tag != HOLDOUT)
    walk.scopes = scopes_of(walk)


def hold(walk: Walk) -> None:
    """Holds a request out again that was let go."""
    walk.route, walk.other = walk.other, walk.route
    walk.tags = (*walk.tags, HOLDOUT)
    walk.scopes = scopes_of(walk)


def _moved(walk: Walk, question: Question, route: Route, reference: str, health: Health) -> Route | None:
    """The Route on the `reference` tier; None where the call must stay."""
    try:
        held = on_reference(question, route, reference, walk.snapshot.routes, health)
    except (NoTier, Unfit, UnknownModel):
        return None
    if held.candidates[0].tier != reference:
        return None
    room = walk.max_cost_pico is None or walk.least(held.candidates[0]) <= walk.max_cost_pico
    return held if room else None


def on_reference(question: Question, route: Route, reference: str, routes: Routes, health: Health) -> Route:
    """The Route of the same request on the `reference` tier."""
    outline = structs.replace(question.outline, model=f"tier/{reference}")
    held = routes.choose(structs.replace(question, outline=outline), health)
    reason = f"holdout: kept on {reference} to measure what routing saves; else {route.reason}"
    return structs.replace(held, task=route.task, how=route.how, asked=route.asked, reason=reason[:200])
