"""Caller, Key, Budget and the Ledger's rows: who asks, who pays, what happened."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from .answer import Usage

Outcome = Literal["ok", "error", "cancelled", "truncated", "refused", "swept", "cached"]
Period = Literal["total", "day", "week", "month"]
OUTPUT_LIMIT = "output_limit"
"""`error` of a Close whose answer is whole to its provider, and ended because it may not be longer."""


SHADOW = "shadow:"
"""How the scope begins that caps a task's shadow calls."""


class Budget(Struct, frozen=True):
    """A hard cap in pico-dollars on one scope (`key:ID`, `project:NAME`, `task:NAME`, `tag:NAME`,
    `shadow:TASK`), per period in `zone`."""

    scope: str
    cap_pico: int
    period: Period = "total"
    zone: str = "UTC"
    soft_pico: int | None = None

    @property
    def of_shadow(self) -> bool:
        """Whether it holds shadow calls, not callers: it is there to be used up."""
        return self.scope.startswith(SHADOW)


class Key(Struct, frozen=True):
    """A Caller's credential, without the secret. `digest` is HMAC-SHA-256 in hex; `hint` the secret's last
    4 characters."""

    id: str
    name: str
    digest: str
    hint: str
    project: str = ""
    rpm: int | None = None
    tpm: int | None = None
    max_concurrent: int | None = None
    strict: bool = False
    created_us: int = 0
    revoked_us: int | None = None


class Caller(Struct, frozen=True):
    """Who asks and who pays, as the Door established it. `scopes` are the budget scopes to charge, in a
    fixed order."""

    key: Key
    scopes: tuple[str, ...] = ()


class Open(Struct, frozen=True):
    """Committed before any byte goes upstream. Money in pico-dollars, times in microseconds since 1970.

    `reserved_pico` is what the call may cost at most by estimate; `scopes` the budget scopes it was
    reserved on.
    """

    exchange: str
    attempt: str
    at_us: int
    key: str
    task: str
    tier: str
    model: str
    provider: str
    dialect_in: str
    dialect_out: str
    stream: bool
    price_id: str
    reserved_pico: int
    scopes: tuple[str, ...] = ()
    asked: str = ""
    """What the caller named: a model, tier/…, task/… or auto."""
    route: str = ""
    session: str = ""
    tags: tuple[str, ...] = ()
    kind: str = "call"
    """call, shadow, judge, eval, batch: what the money was spent on; cached: nothing was."""
    prefix: str = ""
    """Keyed digest of the beginning of a prompt that the model could cache, "" for a shorter one."""


class Prefixed(Struct, frozen=True):
    """A call that ended, as prompt caching sees it. `at_us` is when it was opened; `prompt` its tokens."""

    at_us: int
    key: str
    task: str
    model: str
    session: str
    prefix: str
    prompt: int


class Close(Struct, frozen=True):
    """Committed before the terminal bytes reach the client. `cost_pico` None: unpriced, and `unpriced` says
    why.

    `ttft_us` None when there was no content; `upstream_us` is the part of `total_us` spent waiting for the
    provider.
    `baseline_pico`: what the same usage would have cost at the model asked for and at the reference tier,
    None: unknown. Of a hit of the response cache (outcome cached) `asked_pico` is what it saved: what the
    kept answer cost to make, at today's price.
    """

    exchange: str
    attempt: str
    at_us: int
    outcome: Outcome
    status: int
    usage: Usage
    cost_pico: int | None
    unpriced: str = ""
    error: str = ""
    ttft_us: int | None = None
    total_us: int = 0
    upstream_us: int = 0
    served_model: str = ""
    asked_pico: int | None = None
    reference_pico: int | None = None
    losses: tuple[str, ...] = ()
