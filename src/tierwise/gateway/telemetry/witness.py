"""What a telemetry feed is told of an Exchange: figures and names, never a prompt or an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from tierwise.clock import tick_us
from tierwise.errors import TierwiseError
from tierwise.nouns import DialectName

from ..walk import Tried, Walk


class Seen(Struct, frozen=True):
    """One Exchange that is over. Times in microseconds, `at_us` on the wall clock; `trace` is the caller's
    `traceparent` as it came. `cache` is what the response cache did (hit, miss, bypass). `error` is the kind
    of what the caller was told, "" when it was answered."""

    id: str
    at_us: int
    total_us: int
    trace: str
    operation: str
    key: str
    key_name: str
    project: str
    dialect: DialectName
    stream: bool
    task: str
    asked: str
    route: str
    session: str
    tags: tuple[str, ...]
    losses: tuple[str, ...]
    tried: tuple[Tried, ...]
    status: int
    error: str
    cache: str = "bypass"

    @property
    def cost_pico(self) -> int | None:
        """The cost of all attempts, None as soon as one is unpriced."""
        costs = [each.close.cost_pico for each in self.tried]
        return None if None in costs else sum(cost or 0 for cost in costs)


class Witness(Protocol):
    """Told of every Exchange behind the Door; may neither wait nor fail."""

    def ended(self, walk: Walk, fault: TierwiseError | None) -> None:
        """The Exchange of `walk` is over, with `fault` told to the caller."""

    def dropped(self) -> Mapping[str, int]:
        """Exchanges lost since the start, by where they were to go."""


def seen_of(walk: Walk, fault: TierwiseError | None) -> Seen:
    """The Seen of a Walk that is over."""
    route, key = walk.route, walk.caller.key
    last = walk.tried[-1].close if walk.tried else None
    status = fault.status if fault is not None else last.status if last is not None else 200
    return Seen(
        id=walk.id,
        at_us=walk.at_us,
        total_us=tick_us() - walk.began_us,
        trace=(walk.request.header(b"traceparent") or b"").decode("latin1"),
        operation=_operation(walk),
        key=key.id,
        key_name=key.name,
        project=key.project,
        dialect=walk.surface.name,
        stream=walk.outline.stream,
        task=route.task if route is not None else "",
        asked=route.asked if route is not None else walk.outline.model,
        route=route.reason if route is not None else "",
        session=walk.session,
        tags=walk.tags,
        losses=walk.loss_names(),
        cache=walk.cache.decode(),
        tried=walk.tried,
        status=status,
        error=fault.kind if fault is not None else "",
    )


def _operation(walk: Walk) -> str:
    """`gen_ai.operation.name` of OpenTelemetry's conventions where they have one."""
    if walk.kind.counts:
        return "count_tokens"
    if walk.kind.errand is not None:
        return walk.kind.errand.name
    return "generate_content" if walk.surface.name == "gemini" else "chat"
