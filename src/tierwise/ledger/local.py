"""What the command line asks for, done here by whichever process owns the ledger: the server, or the
command itself.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from ..errors import BadRequest, NotFound
from ..money import NotMoney, usd_to_pico
from ..nouns import Budget
from ..nouns.record import Period
from .ledger import Ledger

KEYS = "/api/v1/local/keys"
REVOKE = "/api/v1/local/keys/revoke"
BUDGETS = "/api/v1/local/budgets"
REMOVE_BUDGET = "/api/v1/local/budgets/remove"
CLEAR_ANSWERS = "/api/v1/local/answers/clear"
SIGN_IN = "/api/v1/local/sign-in"
TOKEN_HEADER = "x-tierwise-local"  # noqa: S105  the header's name, no secret


_Shape = TypeVar("_Shape")


class _Create(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    budget_usd: str | int | float | None = None
    rpm: int | None = None
    tpm: int | None = None
    project: str | None = None
    max_concurrent: int | None = None
    strict: bool = False
    period: Period = "total"
    zone: str = "UTC"


class _Revoke(msgspec.Struct, forbid_unknown_fields=True):
    id: str


class _Remove(msgspec.Struct, forbid_unknown_fields=True):
    scope: str


class _SetBudget(msgspec.Struct, forbid_unknown_fields=True):
    scope: str
    cap_usd: str | int | float
    period: Period = "total"
    zone: str = "UTC"
    soft_usd: str | int | float | None = None


def apply_local(ledger: Ledger, path: str, body: Any) -> dict[str, Any]:
    """Does what `path` says with the decoded JSON `body` and gives the JSON reply.

    KEYS → {"id", "key", "name"}; REVOKE → {"id", "name", "revoked": true}; BUDGETS → {"scope", "note"};
    REMOVE_BUDGET → {"scope", "removed": true}; CLEAR_ANSWERS → {"cleared": true}.
    Raises BadRequest, NotFound, ConfigError, StoreError. The caller checks TOKEN_HEADER first.
    """
    if path == KEYS:
        wish = _read(body, _Create)
        key, secret = ledger.create_key(
            wish.name,
            project=wish.project or "",
            rpm=wish.rpm,
            tpm=wish.tpm,
            max_concurrent=wish.max_concurrent,
            strict=wish.strict,
            budget_pico=_pico(wish.budget_usd),
            period=wish.period,
            zone=wish.zone,
        )
        return {"id": key.id, "key": secret, "name": key.name}
    if path == REVOKE:
        key = ledger.revoke_key(_read(body, _Revoke).id)
        return {"id": key.id, "name": key.name, "revoked": True}
    if path == BUDGETS:
        cap = _read(body, _SetBudget)
        scope = ledger.scope_named(cap.scope)
        budget = Budget(scope, pico_of(cap.cap_usd), cap.period, cap.zone, _pico(cap.soft_usd))
        return {"scope": budget.scope, "note": ledger.set_budget(budget)}
    if path == REMOVE_BUDGET:
        scope = ledger.scope_named(_read(body, _Remove).scope)
        ledger.remove_budget(scope)
        return {"scope": scope, "removed": True}
    if path == CLEAR_ANSWERS:
        ledger.clear_answers()
        return {"cleared": True}
    raise NotFound(f"Nothing local is at {path!r}.", f"Use {KEYS}, {REVOKE} or {BUDGETS}.")


def _read(body: Any, shape: type[_Shape]) -> _Shape:
    try:
        return msgspec.convert(body, shape)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"The request is not understood: {error}.", "Look at the names and types of its fields."
        ) from None


def pico_of(usd: str | int | float) -> int:
    """Pico-dollars of an amount as it was typed. Raises BadRequest."""
    # A JSON number is taken as it was typed: its shortest decimal form.
    amount = repr(usd) if isinstance(usd, float) else str(usd)
    # Such an exponent would be a number of as many digits before anyone could call it out of range.
    if re.search(r"e\+?0*[1-9]\d", amount, re.IGNORECASE):
        raise BadRequest(
            f"{amount[:40]!r} is no amount in USD.", "Write it as a number such as 2.50.", "budget_usd"
        )
    try:
        return usd_to_pico(amount)
    except NotMoney as error:
        raise BadRequest(str(error), param="budget_usd") from None


def _pico(usd: str | int | float | None) -> int | None:
    return None if usd is None else pico_of(usd)
