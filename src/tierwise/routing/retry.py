"""Retry: after a failed attempt, what next? Pure: the attempts so far and the time go in, one decision
comes out.

| moment of failure | decision |
|---|---|
| `connect`: DNS, connect, TLS | another deployment at once |
| `status` 429, 529, 503 | another now; the same one only after its Retry-After (else 1 s, 2 s) |
| other 5xx | the same |
| spend-limit 429, 401, 402, 403 | never again on that credential; another provider if there is one; alarm |
| other 4xx | never |
| `sent`: no status yet | at most one more in all; never with side effects (`store`, hosted tools, files) |
| `sent` on a connection that had been kept | as `sent`, but the same one at once: it may have been given up |
| `held`: 200 but no content event yet | as `sent` without its limit, or by the status an error event told |
| `content`: after the first content or tool byte | never |

A retry also needs: time before the deadline, a provider whose retry budget is not spent (20 % + 10/s), and
fewer than `attempts` tries so far. The caller of the gateway retries nothing (`x-should-retry: false`):
there is one owner of retries.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct

from ..errors import TierwiseError, UpstreamBroke, UpstreamRefused, UpstreamStatus, UpstreamTimeout
from ..nouns import Ask, Catalog, DialectName, Media, Opaque, Route, ToolChange, ToolResult
from .pinned import model_of

Moment = Literal["connect", "sent", "status", "held", "content"]

# Machine words by which providers say that an account is out of money: waiting does not help.
_SPENT = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error",
     "spend_limit_exceeded", "contract_spend_limit_reached", "quota_exceeded", "credit_balance_too_low",
     "insufficient_funds"}
)  # fmt: skip
ACTING = frozenset(
    {"mcp_servers", "container", "background", "conversation", "web_search_options", "plugins"}
)
"""Top-level fields by which a vendor does or remembers something, beyond answering."""
_BACKOFF_S = (1.0, 2.0)
_LONGEST_REST_S = 3600.0
_LONGEST_WORDS = 200


class Failure(Struct, frozen=True):
    """How an attempt ended. `status` None: no answer was read. `spent`: the account is out of money.
    `timeout`: it was time. `stale`: it broke on a connection that had been kept. `own`: this machine lacked
    something. `said`: its error's words.
    """

    moment: Moment
    status: int | None = None
    retry_after_s: float | None = None
    spent: bool = False
    timeout: bool = False
    stale: bool = False
    own: bool = False
    said: str = ""

    @property
    def why(self) -> str:
        """It in a few words, for people."""
        return self.said or self.moment if self.status is None else f"status {self.status}"


class Try(Struct, frozen=True):
    """One failed attempt at candidate `index` of the Plan, which ended at `ended_s` (monotonic seconds)."""

    index: int
    failure: Failure
    ended_s: float


class Plan(Struct, frozen=True):
    """What may be tried, in the Route's order: for each candidate its deployment (the Model's name) and
    provider.

    `repeatable` False: the request has side effects, so it is sent again only where it surely did nothing.
    `attempts` bounds all tries, `same` those at one candidate, `longest_wait_s` any one wait.
    """

    deployments: tuple[str, ...]
    providers: tuple[str, ...]
    repeatable: bool = True
    deadline_s: float | None = None
    attempts: int = 6
    same: int = 3
    longest_wait_s: float = 20.0


class Again(Struct, frozen=True):
    """Try candidate `index` after `after_s` seconds (0: now). `alarm` names providers that refused our
    credential.
    """

    index: int
    after_s: float
    why: str
    alarm: tuple[str, ...] = ()


class GiveUp(Struct, frozen=True):
    """Answer the caller with the last failure. `why` says what forbids another try."""

    why: str
    alarm: tuple[str, ...] = ()


def plan_of(route: Route, catalog: Catalog, repeatable: bool = True, deadline_s: float | None = None) -> Plan:
    """The Plan of a Route. `deadline_s` in the same monotonic seconds as the tries."""
    models = [model_of(catalog, candidate) for candidate in route.candidates]
    providers = tuple(
        model.provider if model else candidate.model
        for model, candidate in zip(models, route.candidates, strict=True)
    )
    return Plan(tuple(each.model for each in route.candidates), providers, repeatable, deadline_s)


def repeatable(ask: Ask, at: DialectName) -> bool:
    """Whether sending a request twice to a provider of the dialect `at` does no more than cost twice: nothing
    is stored, no vendor's tool acts, no vendor's file is read.

    OpenAI's responses are stored unless `store` is false.
    """
    stored = ask.store is True or (ask.dialect == at == "openai_responses" and ask.store is None)
    return not (stored or acts(ask) or any(_has_file(message.parts) for message in ask.messages))


def acts(ask: Ask) -> list[str]:
    """What makes a vendor act for `ask` itself: tools that it runs, fields by which it does or remembers
    something."""
    parts = [part for message in ask.messages for part in message.parts]
    changes = [
        part.means for part in parts if isinstance(part, Opaque) and isinstance(part.means, ToolChange)
    ]
    tools = [*ask.tools, *(change.tool for change in changes if change.tool is not None)]
    hosted = [tool.name or tool.kind for tool in tools if tool.kind == "hosted"]
    return hosted + sorted(name for name in ACTING & ask.extras.keys() if ask.extras[name] is not False)


def _has_file(parts: Sequence[object]) -> bool:
    return any(
        (isinstance(part, Media) and part.source == "file_id")
        or (isinstance(part, ToolResult) and _has_file(part.parts))
        for part in parts
    )


def failure_of(error: TierwiseError, moment: Moment) -> Failure:
    """The Failure of an upstream error that came at `moment`; an UpstreamRefused always came at `connect`."""
    if isinstance(error, UpstreamStatus):
        spent = error.status == 402 or (error.status == 429 and error.code in _SPENT)
        where: Moment = moment if moment in ("held", "content") else "status"
        return Failure(where, error.status, error.retry_after_s, spent)
    said = error.message.rstrip(".")[:_LONGEST_WORDS]
    if isinstance(error, UpstreamRefused):
        return Failure("connect", own=error.own, said=said)
    stale = isinstance(error, UpstreamBroke) and error.stale
    return Failure(moment, timeout=isinstance(error, UpstreamTimeout), stale=stale, said=said)


def counts_against(failure: Failure) -> bool:
    """Whether a failure is the deployment's fault, for its circuit breaker: all but 4xx, what this machine
    lacked, and what broke on a kept connection: a new one tells how the deployment is."""
    return not (failure.stale or failure.own) if failure.status is None else failure.status >= 500


def rest_s(failure: Failure) -> float:
    """Seconds a deployment asked to be left alone: the Retry-After of a 429, 503 or 529; 0: none."""
    told = failure.retry_after_s if failure.status in (429, 503, 529) and not failure.spent else None
    return 0.0 if told is None else min(max(told, 0.0), _LONGEST_REST_S)


def refuses_credential(failure: Failure) -> bool:
    """Whether the provider refused our credential or our account, so that it must not be used again."""
    return failure.spent or failure.status in (401, 402, 403)


def decide(
    plan: Plan, tries: Sequence[Try], now_s: float, broke: Collection[str] = (), unfit: Collection[int] = ()
) -> Again | GiveUp:
    """What to do after the last of `tries`. `broke` names providers whose retry budget is spent, `unfit`
    candidates that may not be asked.
    """
    last = tries[-1].failure
    barred = {plan.providers[each.index] for each in tries if refuses_credential(each.failure)}
    alarm = tuple(sorted(barred))
    forbidden = _forbidden(plan, tries, last)
    if forbidden:
        return GiveUp(forbidden, alarm)
    if len(tries) >= plan.attempts:
        return GiveUp(f"{len(tries)} attempts failed", alarm)
    open_to = [i for i, provider in enumerate(plan.providers) if provider not in barred and i not in unfit]
    if not open_to:
        return GiveUp("no other credential", alarm)
    able = [i for i in open_to if plan.providers[i] not in broke]
    if not able:
        return GiveUp("retry budget spent", alarm)
    step = _soonest(plan, tries, able, now_s)
    if step is None:
        return GiveUp("no candidate left", alarm)
    index, after_s = step
    if plan.deadline_s is not None and now_s + after_s >= plan.deadline_s:
        return GiveUp("the deadline is nearer than the next try", alarm)
    return Again(index, after_s, _why(last), alarm)


def _forbidden(plan: Plan, tries: Sequence[Try], last: Failure) -> str:
    """Why nothing may be tried any more, whatever is left; "" when something may."""
    if last.moment == "content":
        return "content was already sent"
    status = last.status
    if status is not None:
        if status >= 500 or status == 429 or refuses_credential(last):
            return "" if plan.repeatable or last.moment == "status" else "the request has side effects"
        return f"status {status} is the request's own"
    if last.moment in ("sent", "held") and not plan.repeatable:
        return "the request has side effects and may have been carried out"
    if last.moment == "sent" and sum(each.failure.moment == "sent" for each in tries) > 1:
        return "sent twice without an answer"
    return ""


def _soonest(plan: Plan, tries: Sequence[Try], able: Sequence[int], now_s: float) -> tuple[int, float] | None:
    """The first candidate not tried yet, now (where connecting failed, another provider's first); else the
    one that is ready soonest, in the Route's order among equals.
    """
    tried = {plan.deployments[each.index] for each in tries}
    dead = {plan.providers[each.index] for each in tries if each.failure.moment == "connect"}
    # Tiers may share a deployment: only the first of them stands for it.
    able = list({plan.deployments[i]: i for i in reversed(able)}.values())[::-1]
    fresh = [i for i in able if plan.deployments[i] not in tried]
    if fresh:
        return min(fresh, key=lambda i: (plan.providers[i] in dead, i)), 0.0
    waits = []
    for index in able:
        own = [each for each in tries if plan.deployments[each.index] == plan.deployments[index]]
        if len(own) >= plan.same:
            continue
        told = 0.0 if own[-1].failure.stale else own[-1].failure.retry_after_s
        pause = _BACKOFF_S[min(len(own), len(_BACKOFF_S)) - 1] if told is None else max(told, 0.0)
        wait = max(0.0, own[-1].ended_s + pause - now_s)
        if wait <= plan.longest_wait_s:
            waits.append((wait, index))
    if not waits:
        return None
    wait, index = min(waits)
    return index, wait


def _why(last: Failure) -> str:
    if last.status is not None:
        return f"status {last.status}"
    if last.timeout:
        return "timeout"
    return {"connect": "could not connect", "sent": "no answer"}.get(last.moment, "the answer broke off")
