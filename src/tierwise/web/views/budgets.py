"""Keys and budgets: who may call, what they may spend, and what is left."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from tierwise.errors import BadRequest, ConfigError, NotFound, StoreError
from tierwise.ledger import apply_local
from tierwise.ledger.local import BUDGETS, KEYS, REMOVE_BUDGET, REVOKE

from ..rollup import DAY_US, KeySlot, Sums
from ..site import Site, now
from .ranges import figures

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Limit = Annotated[int, Meta(ge=1, le=10**12)] | None
Usd = Annotated[str, Meta(min_length=1, max_length=40, pattern=r"^[0-9]+(\.[0-9]+)?$")]
Period = Literal["total", "day", "week", "month"]


class Standing(Struct, frozen=True):
    """A budget and where it stands. `used`: spent and reserved over the cap, None when the cap is 0.
    `passed`: those of [alerts] thresholds (percent) that what is spent has reached; `soft_passed`: whether it
    has reached `soft_pico`.
    """

    scope: str
    label: str
    cap_pico: int
    spent_pico: int
    reserved_pico: int
    left_pico: int
    period: str
    zone: str
    ends_us: int | None
    used: float | None
    soft_pico: int | None
    soft_passed: bool
    passed: list[int]


class KeyLine(Struct, frozen=True):
    """A key, without its secret, and what it did in the last 30 days. `cached` requests are no calls."""

    id: str
    name: str
    hint: str
    project: str
    rpm: int | None
    tpm: int | None
    max_concurrent: int | None
    strict: bool
    created_us: int
    revoked_us: int | None
    budget: Standing | None
    calls: int
    errors: int
    spend_pico: int
    cached: int


class Audit(Struct, frozen=True):
    """An administrator's act."""

    at_us: int
    act: str
    subject: str
    note: str


class AskedKeys(Struct, frozen=True):
    """`find`: only keys, and budgets of other scopes, with this in their name, id, project or ending."""

    find: Annotated[str, Meta(max_length=200)] = ""


class Keys(Struct, frozen=True):
    """The keys asked for (living ones first), budgets of other scopes, and the audit trail. `thresholds`:
    percent of a cap at which a notice is given; `webhook`: whether it is also sent somewhere.

    `complete` is false while calls are being counted; `trouble` says why nothing is counted.
    """

    keys: list[KeyLine]
    budgets: list[Standing]
    audits: list[Audit]
    complete: bool
    thresholds: list[int]
    webhook: bool
    asked: AskedKeys
    trouble: str = ""


class NewKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made. `budget_usd` is a hard cap in dollars per `period`."""

    name: Name
    project: Annotated[str, Meta(max_length=200)] = ""
    rpm: Limit = None
    tpm: Limit = None
    max_concurrent: Limit = None
    budget_usd: Usd | None = None
    period: Period = "total"
    zone: Annotated[str, Meta(max_length=64)] = "UTC"
    strict: bool = False


class MadeKey(Struct, frozen=True):
    """A new key. `key` is its secret: shown this once, kept nowhere."""

    id: str
    key: str
    name: str


class OneKey(Struct, frozen=True):
    """Which key, by its whole id."""

    id: Name


class Revoked(Struct, frozen=True):
    """A key that works no more."""

    id: str
    name: str
    revoked: bool = True


class NewBudget(Struct, frozen=True, forbid_unknown_fields=True):
    """A cap in dollars on a scope: key:ID, project:NAME, task:NAME or tag:NAME, in place of any it has.
    `soft_usd`: dollars from which a notice is given, beside [alerts] thresholds."""

    scope: Annotated[str, Meta(min_length=5, max_length=200, pattern=r"^(key|project|task|tag):.+$")]
    cap_usd: Usd
    period: Period = "total"
    zone: Annotated[str, Meta(max_length=64)] = "UTC"
    soft_usd: Usd | None = None


class OneBudget(Struct, frozen=True, forbid_unknown_fields=True):
    """Which budget, by its scope."""

    scope: Annotated[str, Meta(min_length=5, max_length=200)]


class RemovedBudget(Struct, frozen=True):
    """A scope that has no cap any more."""

    scope: str
    removed: bool = True


class SetBudget(Struct, frozen=True):
    """A budget in force; `note` says so where its cap is already reached."""

    scope: str
    note: str


def keys(site: Site, asked: AskedKeys) -> Keys:
    """Keys and budgets. Raises StoreError."""
    word = asked.find.strip().casefold()
    since = now() - 30 * DAY_US
    since -= since % DAY_US
    slots: list[tuple[KeySlot, Sums]] = []
    audits: list[Audit] = []
    complete, trouble = False, ""
    try:
        rollup = site.rollup
        slots, complete = list(rollup.key_slots(since)), rollup.complete
        audits = [Audit(*row) for row in site.history.audits()]
    except StoreError as error:
        # Keys are made and revoked all the same.
        trouble = error.sentence()
    standing = {each.scope: each for each in standings(site)}
    by_key: dict[str, list[tuple[KeySlot, Sums]]] = {}
    for slot, sums in slots:
        by_key.setdefault(slot.key, []).append((slot, sums))
    lines = []
    for key in site.all_keys():
        budget = standing.pop(f"key:{key.id}", None)
        if not any(word in text.casefold() for text in (key.name, key.id, key.project, key.hint)):
            continue
        did = figures(by_key.get(key.id, []))
        lines.append(
            KeyLine(
                id=key.id,
                name=key.name,
                hint=key.hint,
                project=key.project,
                rpm=key.rpm,
                tpm=key.tpm,
                max_concurrent=key.max_concurrent,
                strict=key.strict,
                created_us=key.created_us,
                revoked_us=key.revoked_us,
                budget=budget,
                calls=did.calls,
                errors=did.errors,
                spend_pico=did.spend_pico,
                cached=did.cached,
            )
        )
    lines.sort(key=lambda line: (line.revoked_us is not None, -line.spend_pico, line.name))
    alerts = site.settings.alerts
    return Keys(
        keys=lines,
        budgets=[each for each in standing.values() if word in each.scope.casefold()],
        audits=audits,
        complete=complete,
        thresholds=list(alerts.thresholds),
        webhook=bool(alerts.webhook),
        asked=asked,
        trouble=trouble,
    )


def standings(site: Site) -> list[Standing]:
    """Every budget, the fullest first."""
    names = site.key_names()
    found = []
    for balance in site.control.gate.ledger.budgets():
        budget = balance.budget
        kind, _, name = budget.scope.partition(":")
        label = f"key {names[name]}" if kind == "key" and name in names else f"{kind} {name}"
        taken = balance.spent_pico + balance.reserved_pico
        found.append(
            Standing(
                scope=budget.scope,
                label=label,
                cap_pico=budget.cap_pico,
                spent_pico=balance.spent_pico,
                reserved_pico=balance.reserved_pico,
                left_pico=balance.left_pico,
                period=budget.period,
                zone=budget.zone,
                ends_us=balance.end_us if balance.end_us < 2**62 else None,
                used=taken / budget.cap_pico if budget.cap_pico else None,
                soft_pico=budget.soft_pico,
                soft_passed=balance.soft_passed,
                passed=balance.passed(site.settings.alerts.thresholds),
            )
        )
    return sorted(found, key=lambda each: -(each.used if each.used is not None else 2.0))


def create(site: Site, wish: NewKey) -> MadeKey:
    """A new key, with an audit row. Raises BadRequest, StoreError."""
    body = {name: getattr(wish, name) for name in wish.__struct_fields__}
    made = _applied(site, KEYS, body)
    return MadeKey(made["id"], made["key"], made["name"])


def revoke(site: Site, wish: OneKey) -> Revoked:
    """Revokes a key at once, with an audit row. Raises NotFound."""
    if all(key.id != wish.id for key in site.all_keys()):
        raise NotFound(f"There is no key {wish.id!r}.", "The keys are listed under Keys and budgets.")
    done = apply_local(site.control.gate.ledger, REVOKE, {"id": wish.id})
    return Revoked(done["id"], done["name"])


def set_budget(site: Site, wish: NewBudget) -> SetBudget:
    """Puts a budget in force, with an audit row. Raises BadRequest, NotFound."""
    kind, _, name = wish.scope.partition(":")
    if kind == "key" and all(key.id != name for key in site.all_keys()):
        raise NotFound(f"There is no key {name!r}.", "Give its id as listed.")
    if kind == "task" and name not in site.policy.tasks:
        raise BadRequest(f"There is no task {name!r}.", "Tasks are listed under Tasks.", "scope")
    body = {name: getattr(wish, name) for name in wish.__struct_fields__}
    done = _applied(site, BUDGETS, body)
    return SetBudget(done["scope"], done["note"])


def remove_budget(site: Site, wish: OneBudget) -> RemovedBudget:
    """Takes a budget out of force, with an audit row. Raises NotFound."""
    return RemovedBudget(_applied(site, REMOVE_BUDGET, {"scope": wish.scope})["scope"])


def _applied(site: Site, path: str, body: dict[str, Any]) -> dict[str, Any]:
    try:
        return apply_local(site.control.gate.ledger, path, body)
    except ConfigError as error:
        # An amount or a time zone that was sent, not this server's own configuration.
        raise BadRequest(error.message, error.hint, error.param) from None
