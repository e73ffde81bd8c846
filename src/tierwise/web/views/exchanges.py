"""Requests: search, and one exchange from its rows."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

from msgspec import Meta, Struct, convert

from tierwise.clock import rfc3339
from tierwise.config import model_recorded
from tierwise.costing import cost
from tierwise.costing.cost import price_at, step_at
from tierwise.errors import NotFound
from tierwise.nouns import Model, Price, Usage
from tierwise.nouns.answer import OTHERS

from ..history import Wanted
from ..shown import exact, usd
from ..site import Site

Short = Annotated[str, Meta(max_length=200)]
_TO_CHOOSE = 200
"""Keys offered: this list goes out every few seconds to a page that is live."""
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


class Search(Struct, frozen=True):
    """What to look for; empty is anything. `key` is an id, or a name of keys."""

    id: Short = ""
    key: Short = ""
    task: Short = ""
    tier: Short = ""
    outcome: Short = ""
    before: Annotated[int, Meta(ge=0, le=2**62)] = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class Line(Struct, frozen=True):
    """One attempt in a list. `outcome` is "running" while it has no CLOSE."""

    exchange: str
    attempt: str
    at_us: int
    key: str
    key_name: str
    task: str
    tier: str
    model: str
    outcome: str
    status: int | None
    input: int | None
    cache_read: int | None
    output: int | None
    cost_pico: int | None
    cost_usd: str
    ttft_us: int | None
    total_us: int | None
    kind: str
    error: str


class Exchanges(Struct, frozen=True):
    """Attempts, newest first; `older` continues the search (0: the beginning was reached). `keys`: id → name
    of the newest keys that are not revoked, to choose from."""

    lines: list[Line]
    older: int
    reached_us: int | None
    asked: Search
    keys: dict[str, str]
    tasks: list[str]
    tiers: list[str]


class Term(Struct, frozen=True):
    """tokens × price of one bucket, pico-dollars."""

    bucket: str
    tokens: int
    price_pico: int | None
    cost_pico: int | None


class Arithmetic(Struct, frozen=True):
    """How a cost came about. `agrees`: the terms add up to what the ledger holds, None: cannot be shown."""

    price_id: str
    source: str
    terms: list[Term]
    sum_pico: int | None
    agrees: bool | None
    note: str


class Attempt(Struct, frozen=True):
    """One attempt in full. `before_us`: time in the gateway before the provider was called (Door, Reading,
    Choosing and any earlier attempts)."""

    line: Line
    provider: str
    dialect_in: str
    dialect_out: str
    stream: bool
    asked: str
    served_model: str
    reserved_pico: int
    scopes: list[str]
    unpriced: str
    usage_source: str
    reasoning: int | None
    corrected: bool
    losses: list[str]
    opened_us: int
    closed_us: int | None
    before_us: int | None
    reference_pico: int | None
    asked_pico: int | None
    arithmetic: Arithmetic | None


class Exchange(Struct, frozen=True):
    """One client request, end to end. `began_us` is when its head had arrived, as its rows say."""

    exchange: str
    began_us: int
    ended_us: int | None
    route: str
    session: str
    tags: list[str]
    attempts: list[Attempt]
    cost_pico: int | None


class OneExchange(Struct, frozen=True):
    """Which exchange, by its whole id."""

    exchange: Short


def search(site: Site, asked: Search) -> Exchanges:
    """Attempts that match. A key may be named: those of every key of that name match."""
    all_keys = site.all_keys()
    names = {key.id: key.name for key in all_keys}
    named = tuple(key.id for key in all_keys if key.name == asked.key)
    keys = named or (asked.key,) if asked.key else ()
    wanted = Wanted(asked.id.strip(), keys, asked.task, asked.tier, asked.outcome, asked.before, asked.limit)
    found = site.history.search(wanted)
    living = ((key.id, key.name) for key in reversed(all_keys) if key.revoked_us is None)
    return Exchanges(
        lines=[line_of(row, names) for row in found.rows],
        older=found.older,
        reached_us=found.reached_us,
        asked=asked,
        keys=dict(islice(living, _TO_CHOOSE)),
        tasks=sorted(site.policy.tasks),
        tiers=site.tier_order(),
    )


def one(site: Site, asked: OneExchange) -> Exchange:
    """One exchange with all its attempts. Raises NotFound."""
    rows = site.history.attempts(asked.exchange)
    if not rows:
        raise NotFound(
            f"The ledger has no exchange {asked.exchange!r}.",
            "Look at the id (reply header x-tierwise-exchange), or search under Requests.",
        )
    names = site.key_names()
    attempts = [_attempt(site, row, names) for row in rows]
    first = attempts[0]
    ends = [each.closed_us for each in attempts]
    costs = [each.line.cost_pico for each in attempts]
    return Exchange(
        exchange=first.line.exchange,
        began_us=first.opened_us - (first.before_us or 0),
        ended_us=max(end for end in ends if end is not None) if None not in ends else None,
        route=str(rows[0]["route"]),
        session=str(rows[0]["session"]),
        tags=json.loads(rows[0]["tags"]),
        attempts=attempts,
        cost_pico=sum(each for each in costs if each is not None) if None not in costs else None,
    )


def line_of(row: dict[str, Any], names: dict[str, str]) -> Line:
    """A row of History as a Line."""
    return Line(
        exchange=row["exchange"],
        attempt=row["attempt"],
        at_us=row["at_us"],
        key=row["key"],
        key_name=names.get(row["key"], ""),
        task=row["task"],
        tier=row["tier"],
        model=row["model"],
        outcome=row["outcome"] or "running",
        status=row["status"],
        input=row["input"],
        cache_read=row["cache_read"],
        output=row["output"],
        cost_pico=row["cost_pico"],
        cost_usd=usd(row["cost_pico"])
        if row["outcome"] is None or row["cost_pico"] is not None
        else "unpriced",
        ttft_us=row["ttft_us"],
        total_us=row["total_us"],
        kind=row["kind"],
        error=row["error"] or "",
    )


def _attempt(site: Site, row: dict[str, Any], names: dict[str, str]) -> Attempt:
    closed, before = row["closed_us"], None
    if closed is not None and row["outcome"] != "swept":
        before = max(0, row["total_us"] - (closed - row["at_us"]))
    return Attempt(
        line=line_of(row, names),
        provider=row["provider"],
        dialect_in=row["dialect_in"],
        dialect_out=row["dialect_out"],
        stream=bool(row["stream"]),
        asked=row["asked"],
        served_model=row["served_model"] or "",
        reserved_pico=row["reserved_pico"],
        scopes=json.loads(row["scopes"]),
        unpriced=row["unpriced"] or "",
        usage_source=row["usage_source"] or "",
        reasoning=row["reasoning"],
        corrected=bool(row.get("corrected")),
        losses=json.loads(row["losses"]) if row["losses"] else [],
        opened_us=row["at_us"],
        closed_us=closed,
        before_us=before,
        reference_pico=row["reference_pico"],
        asked_pico=row["asked_pico"],
        arithmetic=_arithmetic(site, row) if closed is not None else None,
    )


def _arithmetic(site: Site, row: dict[str, Any]) -> Arithmetic:
    price_id, tokens = row["price_id"], {bucket: int(row[bucket]) for bucket in BUCKETS}
    extra = json.loads(row["extra"] or "{}")
    usage = convert({**tokens, "extra": extra, "service_tier": row["service_tier"] or ""}, Usage)
    price = price_of(model_recorded(site.catalog, row["model"]), row, usage)
    if price is None:
        terms = [Term(bucket, amount, None, None) for bucket, amount in tokens.items() if amount]
        why = (
            f"The price {price_id} is not in today's catalog, so the arithmetic cannot be repeated here."
            if price_id
            else "No price was known when the call was opened."
        )
        return Arithmetic(price_id, "", terms, None, None, why)
    rates: Any = step_at(price, usage.prompt)
    terms = []
    for bucket, amount in tokens.items():
        if amount:
            rate = getattr(rates, bucket)
            terms.append(Term(bucket, amount, rate, None if rate is None else amount * rate))
    terms += [
        Term(unit, amount, price.extra.get(unit), amount * price.extra[unit] if unit in price.extra else None)
        for unit, amount in usage.extra.items()
    ]
    summed = cost(usage, price).pico
    held = row["cost_pico"]
    agrees = summed == held if summed is not None and held is not None else None
    note = ""
    if agrees is False:
        note = f"The ledger holds {exact(held)}: a discount, a service tier or a sweep's booking applies."
    elif held is not None and not OTHERS.isdisjoint(usage.extra):
        note = "The provider asked other models too: their tokens are in the cost at those models' prices."
    elif usage.service_tier:
        note = f"The service tier {usage.service_tier!r} multiplies these terms as the price says."
    elif rates is not price:
        note = f"Long-context prices: the prompt has more than {rates.above:,} tokens."
    return Arithmetic(price.id, f"{price.source.name}, {price.source.date}", terms, summed, agrees, note)


def price_of(model: Model | None, row: dict[str, Any], usage: Usage) -> Price | None:
    """The price that the OPEN names; the one of the day the call ended, where a new price came between them
    and only that gives the cost in the ledger. None: it is in today's catalog no more.
    """
    prices = model.prices if model else ()
    named = next((price for price in prices if price.id == row["price_id"]), None)
    ended = price_at(prices, rfc3339(row["closed_us"])[:10])
    if named and ended and cost(usage, named).pico != row["cost_pico"] == cost(usage, ended).pico:
        return ended
    return named
