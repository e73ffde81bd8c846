"""What may be tried after a failed Attempt, and how the Route tells it."""

from __future__ import annotations

from msgspec.structs import replace

from tierwise.nouns import Route
from tierwise.routing import Again, Plan, plan_of
from tierwise.routing.reason import REASON_LENGTH, plain
from tierwise.upstream import Deployment

from .walk import Walk


def plan_for(walk: Walk, route: Route, failed: Deployment) -> Plan:
    """What may be tried after `failed`, and until when."""
    deadline_s = None if walk.deadline_s is None else walk.began_us / 1e6 + walk.deadline_s
    return plan_of(route, walk.snapshot.catalog, walk.repeatable(failed), deadline_s)


def went_on(route: Route, failed: int, step: Again) -> Route:
    """`route` with what became of candidate `failed` in its reason."""
    first, then = route.candidates[failed], route.candidates[step.index]
    was, now = (
        (first.tier, then.tier) if first.tier and first.tier != then.tier else (first.model, then.model)
    )
    remark = f"; {was}: {step.why}, " + ("tried again" if step.index == failed else f"so {now}")
    return replace(route, reason=plain(plain(route.reason, REASON_LENGTH - len(remark)) + remark))
