"""Wanted: a request that may be answered from the cache, and the keys its answer is kept under.

A key is a BLAKE2b digest over everything that decides the answer, and over the tenant. It is made with the
ledger's secret, so that a key tells nobody what was asked, and gateways that share a server, but no ledger,
share no answers.
"""

from __future__ import annotations

from collections.abc import Hashable
from copy import copy
from hashlib import blake2b
from typing import Any

import msgspec

from tierwise.errors import LossRefused
from tierwise.nouns import Candidate
from tierwise.routing.retry import ACTING

from ..comparing.second import refuse_acts
from ..walk import Walk
from .canonical import Canonical, canonical, decisive, temperature
from .near import last_turn
from .terms import Terms

# Request headers that may change what a provider answers.
_VENDORS = (b"anthropic-", b"openai-", b"x-goog-")
_NOT_THEIRS = frozenset((b"x-goog-api-key", b"x-goog-api-client", b"x-goog-request-params"))
# Fields that may make a provider do more than answer: looked into only where one is there.
_ACTS = ACTING | {"tools", "store", "previous_response_id"}
_encode = msgspec.json.Encoder(order="sorted").encode


class Wanted:
    """`key` for the tier that would serve; `reads` is False when the caller wants a fresh answer kept.
    `alone`: it is this session's, and nobody else's."""

    __slots__ = ("_secret", "_terms", "_walk", "alone", "key", "reads")

    def __init__(self, walk: Walk, terms: Terms, secret: bytes, key: bytes) -> None:
        self._walk = walk
        self._terms = terms
        self._secret = secret
        self.key = key
        self.reads = b"no-cache" not in _control(walk)
        self.alone = False

    def of_session(self) -> Wanted | None:
        """What a held-out request wants where the answer as routed is not there: what its own session was
        answered, and nobody else is. None without a session: it is asked, and its answer not kept."""
        walk = self._walk
        assert walk.other is not None
        key = _key(walk, self._terms, self._secret, walk.other.candidates[0]) if walk.session else None
        if key is None:
            return None
        own = copy(self)
        own.key = blake2b(walk.session.encode(), digest_size=32, key=key).digest()
        own.alone = True
        return own

    def key_of(self, served: Candidate) -> bytes | None:
        """The key of this request's answer by `served`."""
        assert self._walk.route is not None
        if served == self._walk.route.candidates[0]:
            return self.key
        return None if self.alone else _key(self._walk, self._terms, self._secret, served)


def wanted(walk: Walk, terms: Terms, secret: bytes) -> Wanted | None:
    """What may be looked for in the cache; None when this request goes past it."""
    assert walk.route is not None
    any_temperature = terms.any_temperature(walk.route.task)
    if any_temperature is None or walk.kind.errand is not None or b"no-store" in _control(walk):
        return None
    if walk.outline.usage_cost:  # told in the body: this call's
        return None
    served = walk.route.candidates[0]
    if (
        not any_temperature
        and b'"temperature"' not in walk.body
        and temperature(_settings(walk, served)) is None
    ):
        return None
    body = terms.known.find(walk.surface.name, walk.body)
    beside = (secret, served.model, served.tier, any_temperature, *_whose(walk, terms))
    if body is not None and beside in body.keys:
        key = body.keys[beside]
    else:
        key = _key(walk, terms, secret, served)
        as_read = walk.as_read if walk.body is walk.request.whole() else None
        more = sum(len(name) + len(value) for name, value in _headers(walk))
        terms.known.learn(walk.surface.name, walk.body, as_read, more).keys[beside] = key
    return None if key is None else Wanted(walk, terms, secret, key)


def _key(walk: Walk, terms: Terms, secret: bytes, served: Candidate) -> bytes | None:
    """The key of the answer by `served`: 32 bytes; None where none may be kept."""
    form = canonical(walk.body, echoes=walk.surface.name == "openai_responses")
    if form is None or _acts(walk, form):
        return None
    assert walk.route is not None
    told = temperature(_settings(walk, served), form.fields)
    if told != 0 and not terms.any_temperature(walk.route.task):
        return None
    return _digest(walk, terms, secret, served, form.text)


def group_of(walk: Walk, terms: Terms, secret: bytes) -> tuple[bytes, str] | None:
    """A digest of all that a request asks but the words of its last user turn, and these words; None where
    another answer than to these very words would not do: tools, several choices, no plain text."""
    assert walk.route is not None
    echoes = walk.surface.name == "openai_responses"
    form = canonical(walk.body, echoes)
    turn = last_turn(form) if form is not None else None
    if turn is None or walk.outline.tools or walk.outline.choices > 1:
        return None
    rest, words = turn
    served = walk.route.candidates[0]
    made_by = f"near {terms.said.embedding} ".encode()  # vectors of two makers cannot be compared
    return _digest(walk, terms, secret, served, made_by + decisive(rest, echoes)), words


def _digest(walk: Walk, terms: Terms, secret: bytes, served: Candidate, text: bytes) -> bytes:
    deployment = walk.snapshot.deployment(served.model)
    digest = blake2b(text, digest_size=32, key=secret, person=b"tierwise-answer")
    by = (deployment.name, deployment.provider.base_url, served.tier, _settings(walk, served))
    digest.update(_encode((*_whose(walk, terms), *by)))
    return digest.digest()


def _settings(walk: Walk, served: Candidate) -> dict[str, Any]:
    """What the tier lays over the request."""
    tier = walk.snapshot.catalog.tiers.get(served.tier)
    return tier.settings if tier is not None else {}


def _whose(walk: Walk, terms: Terms) -> tuple[Hashable, ...]:
    """What decides the answer, or who may have it, beside the body and who serves."""
    assert walk.route is not None
    # Of tasks that keep answers for different times none is given one that is too old for it.
    ttl_us = terms.ttl_us(walk.route.task)
    return *_tenant(walk, terms), walk.surface.name, walk.strict, ttl_us, _headers(walk)


def _control(walk: Walk) -> bytes:
    return (walk.request.header(b"cache-control") or b"").lower()


def _tenant(walk: Walk, terms: Terms) -> tuple[str, str]:
    """Who may be given the answer: a key, or its project. Keys without a project share with nobody."""
    key = walk.caller.key
    if terms.said.share == "project" and key.project:
        return "project", key.project
    return "key", key.id


def _headers(walk: Walk) -> tuple[tuple[str, str], ...]:
    found: tuple[tuple[str, str], ...] | None = walk.request.alike.get("vendors")
    if found is None:
        told = (
            (name.decode("latin1"), value.decode("latin1"))
            for name, value in walk.request.headers
            if name.startswith(_VENDORS) and name not in _NOT_THEIRS
        )
        found = walk.request.alike["vendors"] = tuple(sorted(told))
    return found


def _acts(walk: Walk, form: Canonical) -> bool:
    """Whether a provider would do more than answer: store, search, run a tool of its own."""
    if form.fields.keys().isdisjoint(_ACTS) and not walk.outline.tools:
        return False
    try:
        refuse_acts(walk.ask())
    except LossRefused:
        return True
    return False
