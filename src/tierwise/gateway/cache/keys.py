"""Wanted: a request that may be answered from the cache, and the keys its answer is kept under.

A key is a BLAKE2b digest over everything that decides the answer, and over the tenant. It is made with the
ledger's secret, so that a key tells nobody what was asked, and gateways that share a server, but no ledger,
share no answers.
"""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from tierwise.errors import LossRefused
from tierwise.nouns import Candidate

from ..holdout import TAG
from ..second import refuse_acts
from ..walk import Walk
from .canonical import Canonical, canonical, temperature
from .terms import Terms

# Request headers that may change what a provider answers.
_VENDORS = (b"anthropic-", b"openai-", b"x-goog-")
_NOT_THEIRS = frozenset((b"x-goog-api-key", b"x-goog-api-client", b"x-goog-request-params"))
# Fields that may make a provider do more than answer: looked into only where one is there.
_ACTS = frozenset(
    (
        *("tools", "mcp_servers", "container"),
        *("store", "background", "conversation", "previous_response_id"),
    )
)
_SEARCHES = frozenset(("web_search_options", "plugins"))
_encode = msgspec.json.Encoder(order="sorted").encode


class Wanted:
    """`key` for the tier that would serve; `reads` is False when the caller wants a fresh answer kept."""

    __slots__ = ("_asked", "_walk", "key", "reads")

    def __init__(self, walk: Walk, asked: blake2b, reads: bool) -> None:
        assert walk.route is not None
        self._walk = walk
        self._asked = asked
        self.reads = reads
        self.key = self.key_of(walk.route.candidates[0])

    def key_of(self, served: Candidate) -> bytes:
        """The key of this request's answer by `served`: 32 bytes."""
        deployment = self._walk.snapshot.deployment(served.model)
        tier = self._walk.snapshot.catalog.tiers.get(served.tier)
        digest = self._asked.copy()
        digest.update(
            _encode(
                (
                    deployment.name,
                    deployment.provider.base_url,
                    served.tier,
                    tier.settings if tier is not None else {},
                )
            )
        )
        return digest.digest()


def wanted(walk: Walk, terms: Terms, secret: bytes) -> Wanted | None:
    """What may be looked for in the cache; None when this request goes past it."""
    assert walk.route is not None
    any_temperature = terms.any_temperature(walk.route.task)
    control = (walk.request.header(b"cache-control") or b"").lower()
    if any_temperature is None or b"no-store" in control or walk.kind.errand is not None:
        return None
    # A held-out call is there to be measured, so it is always made; a cost told in the body is this call's.
    if TAG in walk.tags or walk.outline.usage_cost:
        return None
    tier = walk.snapshot.catalog.tiers.get(walk.route.candidates[0].tier)
    settings = tier.settings if tier is not None else {}
    if not any_temperature and b'"temperature"' not in walk.body and temperature(settings) is None:
        return None
    form = canonical(walk.body, echoes=walk.surface.name == "openai_responses")
    if form is None or _acts(walk, form):
        return None
    if not any_temperature and temperature(settings, form.fields) != 0:
        return None
    digest = blake2b(digest_size=32, key=secret, person=b"tierwise-answer")
    digest.update(_encode((_tenant(walk, terms), walk.surface.name, walk.strict, _headers(walk))))
    digest.update(form.text)
    return Wanted(walk, digest, b"no-cache" not in control)


def _tenant(walk: Walk, terms: Terms) -> tuple[str, str]:
    """Who may be given the answer: a key, or its project. Keys without a project share with nobody."""
    key = walk.caller.key
    if terms.said.share == "project" and key.project:
        return "project", key.project
    return "key", key.id


def _headers(walk: Walk) -> list[tuple[str, str]]:
    found = [
        (name.decode("latin1"), value.decode("latin1"))
        for name, value in walk.request.headers
        if name.startswith(_VENDORS) and name not in _NOT_THEIRS
    ]
    return sorted(found)


def _acts(walk: Walk, form: Canonical) -> bool:
    """Whether a provider would do more than answer: store, search, run a tool of its own."""
    named = form.fields.keys()
    if not named.isdisjoint(_SEARCHES):
        return True
    if named.isdisjoint(_ACTS) and not walk.outline.tools:
        return False
    try:
        refuse_acts(walk, walk.ask())
    except LossRefused:
        return True
    return False
