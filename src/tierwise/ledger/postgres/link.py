"""Connections to Postgres: how they are made, what they are called, which errors mean what."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from ...errors import StoreError

SCHEMA = "tierwise"
CONNECT_S = 5
STATEMENT_MS = 10_000
"""How long one statement of the writing side may run; a lock is waited for half as long."""
OF_THE_ROW = (psycopg.DataError, psycopg.IntegrityError)
"""What one row of a batch may cause: the others are written without it."""
AGAIN = (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable)
"""The transaction left nothing behind and may be tried again at once."""

_RIGHTS = (
    "To make a ledger, GRANT a role CREATE ON DATABASE; to write one, the role that made it; to read one, "
    f"USAGE ON SCHEMA {SCHEMA}, and SELECT ON ALL TABLES and ON ALL SEQUENCES IN SCHEMA {SCHEMA}."
)

Terms = dict[str, Any]


def terms_of(url: str, statement_ms: int = STATEMENT_MS) -> Terms:
    """What `psycopg.connect` is given for a `postgres://` URL. What the URL says of the same is kept.

    Raises StoreError for a URL that cannot be read; its words never hold the password.
    """
    try:
        said = conninfo_to_dict(url)
    except psycopg.Error:
        raise StoreError(
            "The postgres:// URL of the ledger cannot be read.",
            "Write it as postgres://USER:PASSWORD@HOST:5432/DATABASE; escape special characters with %.",
        ) from None
    ours = (
        f"-c search_path={SCHEMA} -c statement_timeout={statement_ms} -c lock_timeout={statement_ms // 2}"
        f" -c idle_in_transaction_session_timeout={statement_ms} -c client_encoding=UTF8 -c timezone=UTC"
    )
    return {
        "connect_timeout": CONNECT_S,
        "application_name": "tierwise",
        # A server that vanished without a word is noticed in 10 s, not in hours.
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        **said,
        "options": f"{ours} {said.get('options') or ''}".strip(),
    }


def place_of(terms: Terms) -> str:
    """Where the ledger is, in words that hold no secret: `DATABASE at HOST`."""
    return f"{terms.get('dbname') or 'the default database'} at {terms.get('host') or 'the local server'}"


def connected(terms: Terms) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection in autocommit mode. Raises StoreError."""
    try:
        return psycopg.connect(**terms, autocommit=True)
    except psycopg.Error as error:
        raise unreachable(terms, error) from None


def unreachable(terms: Terms, error: BaseException) -> StoreError:
    """The error of a server that cannot be reached."""
    return StoreError(
        f"The ledger {place_of(terms)} cannot be reached: {first_line(error)}.",
        "Look at the server and at --db; calls resume by themselves when it answers.",
    )


def unusable(terms: Terms, error: BaseException) -> StoreError:
    """The error of a server that answers, but not as it should."""
    hint = "Look at the server's log; calls resume by themselves when it can be written."
    if isinstance(error, errors.OutOfMemory):
        hint = "Raise the server's max_locks_per_transaction: a query over all days locks the tables of each."
    elif isinstance(error, errors.InsufficientPrivilege):
        hint = _RIGHTS
    return StoreError(f"The ledger {place_of(terms)} cannot be used: {first_line(error)}.", hint)


def first_line(error: BaseException) -> str:
    """The first line of an error's words, or its kind where it has none."""
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return said or type(error).__name__
