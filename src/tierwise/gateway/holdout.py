"""Holdout: a small share of a task's calls, drawn at random, kept on the reference tier.

Only a comparison of calls that differ by chance alone says what routing saves; `ledger report --savings`
makes it from the tag `holdout`.
"""

from __future__ import annotations

from msgspec import structs

from tierwise.nouns import Catalog, Route
from tierwise.routing import Question
from tierwise.upstream import Health

from .routes import Routes

TAG = "holdout"
# The last digits of an exchange's id are random: they are the draw, so that it can be made again.
_DIGITS = 12


def drawn(exchange: str, share: float) -> bool:
    """Whether this exchange belongs to the held-out share, 0..1."""
    return share > 0 and int(exchange[-_DIGITS:], 16) < share * 16**_DIGITS


def kept_back(route: Route, catalog: Catalog) -> str | None:
    """The reference tier instead of this route; None: it is served there anyway, or was named outright."""
    reference = catalog.ladder.reference
    if route.how not in ("task", "inferred") or not reference or route.candidates[0].tier == reference:
        return None
    return reference


def on_reference(question: Question, route: Route, reference: str, routes: Routes, health: Health) -> Route:
    """The Route of the same request on the `reference` tier."""
    outline = structs.replace(question.outline, model=f"tier/{reference}")
    held = routes.choose(structs.replace(question, outline=outline), health)
    reason = f"holdout: kept on {reference} to measure what routing saves; else {route.reason}"
    return structs.replace(held, task=route.task, how=route.how, asked=route.asked, reason=reason[:200])
