"""Task, Bar, Rule, Policy, Route, Health: which tier for which request, and why."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Bar(Struct, frozen=True):
    """How good is good enough: at most `margin` below the reference, at error rate `alpha`, from
    `least_cases` up.

    Above an observed loss of `refuse` the cheap tier is not cheaper: retries and error handling eat the
    difference.
    """

    margin: float = 0.05
    refuse: float = 0.10
    alpha: float = 0.05
    least_cases: int = 20


class Task(Struct, frozen=True):
    """A named kind of request. `ladder` holds tiers' names, cheap to dear; `start` is where it begins
    before evidence."""

    name: str
    ladder: tuple[str, ...] = ()
    start: str = ""
    bar: Bar = Bar()
    max_output_tokens: int | None = None
    default_output_tokens: int | None = None
    why: str = ""
    shadow_share: float = 0.0
    shadow_tier: str = ""
    shadow_daily_usd: str = "0"
    shadow_demote: bool = False
    holdout_share: float = 0.0
    cache_breakpoints: Literal["off", "auto"] = "off"
    cache_wait_s: float = 2.0
    cache_edits: bool = False
    scorer: str = ""
    sample_share: float = 0.0
    sample_daily: int = 200
    cache: bool | None = None
    """Whether its answers are kept to be given again, at whatever temperature; None: as the configuration
    says for all."""
    cache_ttl_s: float | None = None
    cache_similarity: float | None = None


class Rule(Struct, frozen=True):
    """One line of the Policy: Task → Tiers in order, with the evidence it rests on.

    `evidence`: `unmeasured (prior)`, or what the Verdict said in one line; `verdict` is the Verdict's id in
    policy.toml.
    `state`: prior, measured, expired or contradicted.
    """

    task: str
    tiers: tuple[str, ...]
    state: Literal["prior", "measured", "expired", "contradicted"] = "prior"
    evidence: str = "unmeasured (prior)"
    verdict: str | None = None
    expires: str | None = None


class Policy(Struct, frozen=True):
    """Task → ordered Tiers. `safe_middle` serves whatever no rule covers. `hash` identifies this version."""

    rules: dict[str, Rule]
    tasks: dict[str, Task]
    safe_middle: str
    hash: str = ""


class TierHealth(Struct, frozen=True):
    """What the circuit breaker and recent calls say of one Tier's deployment. Latencies are medians in ms,
    None: unknown. `open`: its circuit; `waiting`: it said when to come again, and that time is not over."""

    open: bool = False
    reason: str = ""
    waiting: bool = False
    ttft_ms: float | None = None
    total_ms: float | None = None


class Candidate(Struct, frozen=True):
    """One place the request may be sent, in the Route's order. `tier` is "" for a pinned model."""

    model: str
    tier: str = ""


class Skipped(Struct, frozen=True):
    """A tier left out, and why in words."""

    tier: str
    why: str


class Route(Struct, frozen=True):
    """The decision for one Ask: candidates in order of preference, the task, and the reason in words.

    `asked` is what the caller named (model, tier, task or `auto`). `how`: pinned, tier, task, inferred or
    unknown_task.
    """

    candidates: tuple[Candidate, ...]
    task: str
    how: Literal["pinned", "tier", "task", "inferred", "safe_middle"]
    reason: str
    asked: str
    skipped: tuple[Skipped, ...] = ()
