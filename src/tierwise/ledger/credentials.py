"""Secrets of callers: made, shown once, kept as a keyed digest."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from ..errors import ConfigError
from .store import Store

PREFIX = "tw-"
VARIABLE = "TIERWISE_SECRET"
_CHECKED = b"tierwise"


def new_secret() -> str:
    """`tw-` and 40 characters from A-Z a-z 0-9 - _ (240 bits)."""
    return PREFIX + secrets.token_urlsafe(30)


def digest(pepper: bytes, secret: str) -> str:
    """HMAC-SHA-256 of a secret under the pepper, in hex. Any text is digested, hostile or not."""
    return hmac.digest(pepper, secret.encode("utf-8", "surrogatepass"), "sha256").hex()


def pepper_of(store: Store, environ: Mapping[str, str], keys_exist: bool) -> bytes:
    """The pepper: TIERWISE_SECRET where it is set, else one made once and kept in the store.

    Raises ConfigError when TIERWISE_SECRET is empty, or is not the one the stored keys were made with.
    """
    given = environ.get(VARIABLE)
    if given is not None and not given.strip():
        raise ConfigError(f"{VARIABLE} is empty.", "Unset it, or give it at least 32 random characters.")
    pepper = (given or store.word("pepper", lambda: secrets.token_urlsafe(32))).encode(
        "utf-8", "surrogateescape"
    )
    # One way: it tells whether the pepper changed, not what it is.
    print_of = hashlib.sha256(hmac.digest(pepper, _CHECKED, "sha256")).hexdigest()
    known = store.word("pepper_print", lambda: print_of)
    if known != print_of:
        if keys_exist:
            raise ConfigError(
                f"The keys of this ledger were made with another {VARIABLE}.",
                f"Set {VARIABLE} as it was, or unset it if it was not set: with this one no key is known.",
            )
        store.replace_word("pepper_print", print_of)
    return pepper
