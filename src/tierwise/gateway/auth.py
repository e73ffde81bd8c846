"""The Door's first half: whose key is this? Read from the head alone, before any byte of the body."""

from __future__ import annotations

import hashlib
import os
from urllib.parse import parse_qs

from tierwise.errors import Unauthenticated
from tierwise.http1 import Request
from tierwise.ledger import Ledger
from tierwise.nouns import Caller, Key

_NO_KEY = "No key was sent."
_HOW = "Send a tierwise key as `Authorization: Bearer KEY`, `x-api-key: KEY` or `x-goog-api-key: KEY`."
# A key is about 43 characters; nothing longer can be one, and it is not worth hashing.
_LONGEST = 512


class Callers:
    """The Callers of one ledger's keys.

    A key's own digest costs several microseconds. Whoever was known before is therefore found by a cheaper
    one, keyed for this process only, and no secret is kept. Only keys that exist are remembered.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._salt = os.urandom(32)
        self._known: dict[bytes, Caller] = {}

    def of(self, request: Request) -> Caller:
        """The Caller a request's key stands for, with the budget scopes it pays from.

        Raises Unauthenticated when no key was sent, or it is unknown or revoked; which of these is not told.
        """
        known: Caller | None = request.alike.get("caller")
        # Asked of the ledger each time: a key that was revoked or changed is another one, or none.
        if known is not None and self._ledger.find(known.key.digest) is known.key:
            return known
        caller = request.alike["caller"] = self._found(request)
        return caller

    def _found(self, request: Request) -> Caller:
        secret = secret_of(request)
        if secret is None:
            raise Unauthenticated(_NO_KEY, _HOW)
        if len(secret) > _LONGEST:
            raise _unknown()
        mark = hashlib.blake2b(
            secret.encode("utf-8", "surrogatepass"), digest_size=32, key=self._salt
        ).digest()
        caller = self._known.get(mark)
        if caller is None or self._ledger.find(caller.key.digest) is not caller.key:
            self._known.pop(mark, None)
            caller = self._known[mark] = caller_of(self._ledger, secret)
        return caller


def caller_of(ledger: Ledger, secret: str) -> Caller:
    """The Caller of `secret`. Raises Unauthenticated."""
    key = ledger.find(ledger.digest_of(secret))
    if key is None or key.revoked_us is not None:
        raise _unknown()
    return caller_for(key)


def caller_for(key: Key) -> Caller:
    """The Caller of a key, with the budget scopes it pays from."""
    scopes = (f"key:{key.id}", f"project:{key.project}") if key.project else (f"key:{key.id}",)
    return Caller(key, scopes)


def _unknown() -> Unauthenticated:
    return Unauthenticated(
        "Incorrect API key provided: it is not known here, or was revoked.",
        "Create one: tierwise keys create NAME",
    )


def secret_of(request: Request) -> str | None:
    """The key as sent: any of the three headers, or Gemini's `?key=`. None when there is none."""
    for name, value in request.headers:
        if name == b"authorization":
            scheme, _, rest = value.partition(b" ")
            if scheme.lower() == b"bearer" and rest.strip():
                return rest.strip().decode("latin1")
        elif name in (b"x-api-key", b"x-goog-api-key") and value.strip():
            return value.strip().decode("latin1")
    if "key=" in request.query:
        found = parse_qs(request.query).get("key")
        return found[0] if found else None
    return None
