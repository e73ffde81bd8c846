"""Placing cache breakpoints where they pay, for tasks with `cache_breakpoints = "auto"`.

What a place of a prompt would have read and written is learned from live traffic, and at the start from the
ledger. A breakpoint is put there only when that beats the break-even of the model's own prices, and never
into a request that has one of its own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from tierwise.clock import now_us, tick_us
from tierwise.costing import estimate_tokens
from tierwise.costing.ordered import WITH_TURN
from tierwise.costing.placement import Reuse
from tierwise.costing.promptcache import Lifetime, rates_at
from tierwise.dialects.anthropic_messages.marks import LOOK_BACK, Place, Places, marked, places
from tierwise.nouns import Prefixed, Price
from tierwise.upstream import Deployment, Sent

from ..metrics import Metrics
from ..walk import Walk
from .fanout import Fanout, Mark
from .prefix import Prefixes, least_of

if TYPE_CHECKING:
    from hashlib import _Hash

_DIALECT = "anthropic_messages"
_MARK = b'"cache_control"'
_MOST_PLACES = 8192
_MOST_TURNS = 32_768
TAG = "breakpoint-"
WORTH_PICO = 10**8
"""A hundredth of a cent: no call waits for less."""


class Placed(NamedTuple):
    """A request with breakpoints: what is sent, what each covers, and what a call saves at most, in
    pico-dollars, that waits until it can read them."""

    sent: Sent
    marks: tuple[Mark, ...]
    saved_pico: int


class _Spot(Struct):
    """A place of one request: its name, what it covers, its tokens, and what was learned of it."""

    name: str
    place: Place
    digest: bytes
    reuse: Reuse


class Placing:
    """One gateway's memory of which prompts come again. Bounded: what was not used for longest goes first."""

    def __init__(self, prefixes: Prefixes, metrics: Metrics, clock: Callable[[], int] = now_us) -> None:
        self._prefixes = prefixes
        self._metrics = metrics
        self._clock = clock
        self._reuse: OrderedDict[Hashable, Reuse] = OrderedDict()
        self._turns: OrderedDict[bytes, int] = OrderedDict()
        self._fanout = Fanout(clock, metrics.cache_waits)

    def place(self, walk: Walk, deployment: Deployment, sent: Sent, retry: bool = False) -> Placed | None:
        """The request with the breakpoints that pay; None where none does, or none may be placed. Of a
        `retry` nothing is learned: it was counted when it was sent first."""
        if walk.breakpoints:  # of an attempt before, at another model
            _forget(walk)
        least = least_of(deployment.model.abilities)
        if (
            deployment.dialect.name != _DIALECT
            or least is None
            or walk.prompt_tokens < least
            or walk.outline.cache_marks
            or walk.max_cost_pico is not None
            or _MARK in sent.body
        ):
            return None
        now = self._clock()
        price = deployment.priced.price(now)
        found = places(sent.body)
        if price is None or found is None:
            return None
        spots = self._spots(walk, deployment, found, (least, now, not retry))
        chosen = _paying(spots, price, walk.prompt_tokens)
        if walk.outline.thinking_history:
            # Signed thinking is bound to what stands before it: no text is put into a block there.
            chosen = [(spot, lifetime) for spot, lifetime in chosen if spot.place.start is None]
        if not chosen:
            return None
        for spot, lifetime in chosen:
            self._metrics.breakpoints[spot.name, lifetime] += 1
        walk.breakpoints = ", ".join(f"{spot.name}={lifetime}" for spot, lifetime in chosen)
        longest = "1h" if any(lifetime == "1h" for _, lifetime in chosen) else "5m"
        walk.outline = structs.replace(walk.outline, cache_marks=True)  # reserved as what it may cost so
        walk.tags = (*walk.tags, TAG + longest)
        body = marked(sent.body, [(spot.place, lifetime) for spot, lifetime in chosen])
        marks = tuple((spot.digest, lifetime) for spot, lifetime in chosen)
        return Placed(Sent(sent.path, sent.headers, body), marks, _by_waiting(chosen, price, walk))

    @asynccontextmanager
    async def turn(self, walk: Walk, placed: Placed) -> AsyncIterator[None]:
        """Sends a request in its body, after a wait for another that writes the same prefix where that is
        worth while."""
        assert walk.route is not None
        wait_s = walk.snapshot.policy.tasks[walk.route.task].cache_wait_s
        if placed.saved_pico < WORTH_PICO:
            wait_s = 0.0
        if walk.deadline_s is not None:
            left_s = walk.deadline_s - (tick_us() - walk.began_us) / 1e6
            wait_s = min(wait_s, left_s / 2)
        async with self._fanout.turn(placed.marks, wait_s):
            yield

    def seed(self, calls: Iterable[Prefixed]) -> None:
        """Learns from recorded calls, oldest first. How long their prefixes were is not recorded: they count
        with their whole prompts."""
        sessions: dict[tuple[str, str, str], Prefixed] = {}
        for call in calls:
            if not call.prefix.endswith(WITH_TURN):
                reuse = self._reuse_of((call.model, call.prefix))
                gap_us = None if reuse.last_us is None else call.at_us - reuse.last_us
                reuse.use(call.prompt, call.prompt, gap_us)
                reuse.last_us = call.at_us
            if call.session:
                series = (call.model, call.key, call.session)
                before = sessions.get(series)
                kept, gap_us = (before.prompt, call.at_us - before.at_us) if before else (0, None)
                self._reuse_of((call.model, "end", call.task)).use(call.prompt, kept, gap_us)
                sessions[series] = call

    def _spots(
        self, walk: Walk, deployment: Deployment, found: Places, terms: tuple[int, int, bool]
    ) -> list[_Spot]:
        """The places of a request that are long enough, each with this use of it learned if this is the
        `first`. What counts at one place is what it covers beyond the place before."""
        least, now, first = terms
        model = deployment.name
        spots: list[_Spot] = []
        below = 0
        chain = sha256(model.encode())
        for piece in found.pieces:
            chain.update(piece)
        opening = chain.copy()
        opening.update(found.settings)
        for block in found.blocks:
            opening.update(block)
        head = self._prefixes.head(walk.outline, least)
        known = (
            ("head", found.head if head else None, (model, head), chain),
            ("opening", found.opening, (model, opening.digest()), opening),
        )
        for name, place, key, digest in known:
            if place is None or estimate_tokens(place.size) < least:
                continue
            tokens = estimate_tokens(place.size)
            reuse = self._reuse_of(key)
            if first:
                gap_us = None if reuse.last_us is None else now - reuse.last_us
                reuse.use(tokens - below, tokens - below, gap_us)
                reuse.last_us = now
            spots.append(_Spot(name, place, digest.digest(), reuse))
            below = tokens
        if found.end is not None:
            assert walk.route is not None
            reuse = self._reuse_of((model, "end", walk.route.task))
            kept, gap_us = self._before(found, chain, now)
            if first:
                tokens = estimate_tokens(found.end.size)
                reuse.use(tokens - below, max(0, kept - below), gap_us)
            spots.append(_Spot("end", found.end, chain.digest(), reuse))
        return spots

    def _before(self, found: Places, chain: _Hash, now: int) -> tuple[int, int | None]:
        """How many tokens of this conversation stood at the end of another request, and how long ago; this
        one's end is remembered. `chain` becomes the digest of all turns."""
        kept, gap_us = 0, None
        chain.update(found.settings)
        size = sum(len(memoryview(piece)) for piece in found.pieces)
        behind = sum(turn.blocks for turn in found.turns)
        for turn in found.turns:
            chain.update(turn.raw)
            size += turn.size
            behind -= turn.blocks
            if behind >= LOOK_BACK:
                continue
            seen_us = self._turns.get(chain.digest())
            if seen_us is not None:
                kept, gap_us = estimate_tokens(size), now - seen_us
        self._turns[chain.digest()] = now
        self._turns.move_to_end(chain.digest())
        if len(self._turns) > _MOST_TURNS:
            self._turns.popitem(last=False)
        return kept, gap_us

    def _reuse_of(self, key: Hashable) -> Reuse:
        reuse = self._reuse.get(key)
        if reuse is None:
            reuse = self._reuse[key] = Reuse()
            if len(self._reuse) > _MOST_PLACES:
                self._reuse.popitem(last=False)
        else:
            self._reuse.move_to_end(key)
        return reuse


def _paying(spots: Iterable[_Spot], price: Price, prompt_tokens: int) -> list[tuple[_Spot, Lifetime]]:
    """The places that pay with their lifetimes, longer ones first."""
    chosen: list[tuple[_Spot, Lifetime]] = []
    longest: Lifetime = "1h"
    for spot in spots:
        lifetime = spot.reuse.lifetime(price, prompt_tokens, longest)
        if lifetime is not None:
            chosen.append((spot, lifetime))
            longest = lifetime
    return chosen


def _forget(walk: Walk) -> None:
    walk.breakpoints = ""
    walk.tags = tuple(tag for tag in walk.tags if not tag.startswith(TAG))
    walk.outline = structs.replace(walk.outline, cache_marks=False)


def _by_waiting(chosen: list[tuple[_Spot, Lifetime]], price: Price, walk: Walk) -> int:
    """Pico-dollars between writing all that the breakpoints cover and reading it."""
    spot, lifetime = chosen[-1]
    rates = rates_at(price, walk.prompt_tokens, lifetime)
    assert rates is not None
    return estimate_tokens(spot.place.size) * (rates[2] - rates[1])
