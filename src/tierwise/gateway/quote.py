"""`POST /v1/quote`: what a request may cost on each tier, and where it would go. Nothing is sent upstream and
nothing is booked.

The body is that of the call itself, as it stands or as `{"request": {…}, "dialect": "…"}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, cast, get_args

import msgspec
from msgspec import Raw, structs

from tierwise.clock import rfc3339
from tierwise.costing.bound import output_bound
from tierwise.dialects import registry
from tierwise.dialects.base import Dialect
from tierwise.errors import BadRequest, TierwiseError
from tierwise.http1 import Reply, Request
from tierwise.ledger import Balance
from tierwise.ledger.periods import FOREVER_US
from tierwise.nouns import Candidate, DialectName, Usage

from .exchange import Gate, choosing, door, refuse
from .reply import usd
from .walk import Kind, Named, Walk

_JSON = (b"content-type", b"application/json")
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
# What only a request of that dialect has.
_MARKS: tuple[tuple[str, DialectName], ...] = (("contents", "gemini"), ("input", "openai_responses"))

Body = dict[str, Any]


async def quote(gate: Gate, request: Request, reply: Reply, surface: Dialect) -> None:
    """Answers with a Quote as JSON. `surface` is the dialect of a request that does not show its own."""
    walk: Walk | None = None
    try:
        entered, pending = door(gate, request, surface)
        if pending is not None:
            await pending
        walk = entered
        try:
            surface, body = _request(await request.body(), surface)
            walk.surface = surface
            if surface.name == "openai_responses":
                body = gate.recall.whole(walk.caller.key.id, body)
            _read(walk, body)
            walk.max_cost_pico = None  # to be compared with the figures, not to be refused
            choosing(gate, walk)
            told = {**quoted(walk), "budgets": await _budgets(gate, walk)}
        finally:
            gate.admission.leave(walk.caller.key)
    except TierwiseError as error:
        refuse(gate, walk, reply, error, surface)
        return
    reply.send(200, [_JSON], msgspec.json.encode(told))


def _request(body: bytes, surface: Dialect) -> tuple[Dialect, bytes]:
    """The request to be quoted and its dialect. Raises BadRequest."""
    try:
        fields = _FIELDS.decode(body)
        name = None
        if "request" in fields:
            name = msgspec.json.decode(fields.get("dialect", b"null"), type=str | None)
            body = bytes(fields["request"])
            fields = _FIELDS.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"The body is not understood: {error}.", 'Send a request, or {"request": {…}, "dialect": "…"}.'
        ) from None
    if name is not None and name not in get_args(DialectName):
        raise BadRequest(
            f"There is no dialect {name!r}.", f"Use {', '.join(get_args(DialectName))}.", "dialect"
        )
    if name is None:
        name = next((dialect for mark, dialect in _MARKS if mark in fields), surface.name)
    return registry.get(cast(DialectName, name)), body


def _read(walk: Walk, body: bytes) -> None:
    outline = walk.surface.outline(body)
    if walk.surface.name == "gemini":
        # Where a call has it in its path, a quote has it in the body.
        model = msgspec.json.decode(body, type=_Model).model
        walk.kind = Kind(named=Named(model, False))
        outline = structs.replace(outline, model=model)
    walk.read(body, outline)


class _Model(msgspec.Struct):
    model: str = "auto"


def quoted(walk: Walk) -> Body:
    """The Quote of a Walk whose Route is chosen."""
    route = walk.route
    assert route is not None
    chosen = route.candidates[0]
    names = [(tier.name, tier.model) for tier in walk.snapshot.catalog.tiers.values()]
    if not chosen.tier:
        names.insert(0, ("", chosen.model))
    skipped = {each.tier: each.why for each in route.skipped}
    return {
        "object": "quote",
        "dialect": walk.surface.name,
        "task": route.task,
        "tier": chosen.tier,
        "model": chosen.model,
        "route": route.reason,
        "prompt_tokens": walk.prompt_tokens,
        "usage_source": "estimated",
        "tiers": [
            {
                "tier": tier,
                "model": model,
                "chosen": (tier, model) == (chosen.tier, chosen.model),
                "skipped": skipped.get(tier),
                **interval(walk, Candidate(model, tier)),
            }
            for tier, model in names
        ],
    }


def interval(walk: Walk, candidate: Candidate) -> Body:
    """What the request costs at `candidate`: `low` its prompt alone, `high` what a budget reserves. Both None
    when it cannot be priced, and `unpriced` says why."""
    model, at_us = candidate.model, walk.at_us
    deployment, outline = walk.snapshot.deployment(model), walk.as_set(candidate)
    task = walk.snapshot.policy.tasks.get(walk.route.task) if walk.route else None
    default = task.default_output_tokens if task else None
    priced = deployment.priced
    tier = walk.billed_as(candidate)
    both = priced.cost(Usage(walk.prompt_tokens, output=1, service_tier=tier), at_us)
    low = high = None
    why = both.unpriced or walk.unpriced(candidate)
    if not why:
        low = min(_lows(walk, model, tier))
        high = max(low, walk.reservation(deployment, at_us, outline))
    return {
        "price_id": priced.price_id(at_us),
        "output_tokens": output_bound(outline, default, deployment.model.abilities.max_output),
        "low_usd": None if low is None else usd(low),
        "low_pico": low,
        "high_usd": None if high is None else usd(high),
        "high_pico": high,
        "unpriced": why,
    }


def _lows(walk: Walk, model: str, asked: str) -> Iterator[int]:
    """The prompt at list price, and in the service tier asked for where its price is known."""
    priced = walk.snapshot.deployment(model).priced
    for tier in {"", asked}:
        pico = priced.cost(Usage(walk.prompt_tokens, service_tier=tier), walk.at_us).pico
        if pico is not None:
            yield pico


async def _budgets(gate: Gate, walk: Walk) -> list[Body]:
    """The budgets this call would be reserved on, and what is left."""
    # A shared ledger is asked, which must not hold up the loop.
    balances = await asyncio.to_thread(gate.ledger.budgets)
    return [_left(balance) for balance in balances if balance.budget.scope in walk.scopes]


def _left(balance: Balance) -> Body:
    left = max(0, balance.left_pico)
    resets = None if balance.end_us >= FOREVER_US else rfc3339(balance.end_us)
    return {"scope": balance.budget.scope, "left_usd": usd(left), "left_pico": left, "resets": resets}
