"""The Ledger as the gateway sees it: OPEN and CLOSE on the hot path, keys from memory, budgets."""

from __future__ import annotations

import difflib
import hmac
import os
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import TypedDict, Unpack

from msgspec.structs import replace

from ..clock import new_id, now_us, tick_us
from ..costing.edits import SeenEdit
from ..errors import BadRequest, NotFound, TierwiseError
from ..money import exact_usd, usd_text
from ..nouns import Budget, Close, Key, Open
from ..nouns.record import Period
from .budgets import Balance
from .credentials import digest, new_secret, pepper_of
from .edits import keep_edits
from .location import is_shared, require_postgres
from .periods import zone_named
from .sqlite.reader import SqliteReader
from .sqlite.store import SqliteStore
from .store import Reader, Store

MOST_PICO = 10**30
"""A cap no one has: 10^18 dollars."""
NAME_LENGTH = 200
SCOPES = ("key", "project", "task", "tag")
"""Kinds of what a budget may be set on."""


class KeyTerms(TypedDict, total=False):
    """What may be said of a new key: its project, limits per minute and at once, and a hard cap in
    pico-dollars.
    """

    project: str
    rpm: int | None
    tpm: int | None
    max_concurrent: int | None
    strict: bool
    budget_pico: int | None
    period: Period
    zone: str


def open_ledger(url: str, environ: Mapping[str, str] | None = None, *, upgrade: bool = True) -> Ledger:
    """Opens the ledger at `url` for writing: `sqlite:///path`, which takes its lock, or `postgres://…`, which
    other processes may write too.

    `environ` (default: the process's) may hold TIERWISE_SECRET. Without `upgrade` a ledger of an older
    version is refused: servers of that version may be writing it, and could not start again. Raises
    StoreLocked naming the owner, StoreError, ConfigError.
    """
    environ = os.environ if environ is None else environ
    if not is_shared(url):
        return _ledger_on(SqliteStore(url, upgrade), environ)
    require_postgres()
    from .postgres.store import PostgresStore

    store = PostgresStore(url, upgrade)
    ledger = _ledger_on(store, environ)
    store.follow(ledger.learn)
    return ledger


def read_ledger(url: str) -> Reader:
    """Opens the ledger at `url` for reading; works while another process writes. Raises StoreError."""
    if not is_shared(url):
        return SqliteReader(url)
    require_postgres()
    from .postgres.reader import PostgresReader

    return PostgresReader(url)


def _ledger_on(store: Store, environ: Mapping[str, str]) -> Ledger:
    try:
        return Ledger(store, environ)
    except TierwiseError:
        store.release()
        raise


_ANSWERS = "answers_since"


class Ledger:
    """One process's ledger. `open`, `close`, `sweep` and `shutdown` belong to one event loop; the rest to
    any thread.
    """

    def __init__(self, store: Store, environ: Mapping[str, str]) -> None:
        self._store = store
        self._keys = {key.digest: key for key in store.load_keys()}
        self._pepper = pepper_of(store, environ, bool(self._keys))

    def open(self, row: Open) -> Awaitable[None]:
        """Durable when it resolves, with `reserved_pico` reserved on every scope of the row that has a
        budget.

        Raises BudgetRefused (cap, spent, what is left, when it resets), StoreError. Nothing may go upstream
        before.
        """
        return self._store.open(row)

    def close(self, row: Close) -> Awaitable[None]:
        """Durable when it resolves; releases the reservation and books the cost where OPEN reserved it.

        Raises StoreError: written later if the disk failed (never lost), refused if the attempt is closed
        or unknown. A CLOSE after a sweep becomes a correction.
        """
        return self._store.close(row)

    def sweep(self, before_us: int) -> Awaitable[int]:
        """Closes attempts opened before then and still open as `swept`, booked at their reservation; how
        many.
        """
        return self._store.sweep(before_us)

    def find(self, digest: str) -> Key | None:
        """The key with that digest, from memory; None when unknown or revoked."""
        key = self._keys.get(digest)
        return key if key is not None and key.revoked_us is None else None

    def key_of(self, id: str) -> Key | None:
        """The key with that id; None when unknown or revoked."""
        return next((key for key in self._keys.values() if key.id == id and key.revoked_us is None), None)

    def learn(self, keys: Iterable[Key], every: bool = False) -> None:
        """Takes keys as another process made or changed them; where they are `every` key, there is no other.
        From any thread.
        """
        known = {key.digest: key for key in keys}
        if every:
            self._keys = known
        else:
            self._keys.update(known)

    def digest_of(self, secret: str) -> str:
        """The digest a secret is kept under: HMAC-SHA-256 in hex."""
        return digest(self._pepper, secret)

    def prefix_key(self) -> bytes:
        """The key of prompts' digests: without it, nobody can try which prompt a digest is of."""
        return hmac.digest(self._pepper, b"prompt prefix", "sha256")

    def create_key(self, name: str, **terms: Unpack[KeyTerms]) -> tuple[Key, str]:
        """A new key and its secret, which is not kept. With `budget_pico`, a hard cap on `key:ID`. Raises
        BadRequest.
        """
        _check_words(name=name, project=terms.get("project", ""))
        if not name.strip():
            raise BadRequest("A key needs a name.", "Say who uses it.", "name")
        for limit in ("rpm", "tpm", "max_concurrent"):
            amount = terms.get(limit)
            if amount is not None and not (isinstance(amount, int) and 0 < amount < 2**63):
                raise BadRequest(
                    f"{limit} is {amount}.", "Give a whole number above 0, or leave it out.", limit
                )
        secret = new_secret()
        key = Key(
            id=new_id("key"),
            name=name,
            digest=self.digest_of(secret),
            hint=secret[-4:],
            project=terms.get("project", ""),
            rpm=terms.get("rpm"),
            tpm=terms.get("tpm"),
            max_concurrent=terms.get("max_concurrent"),
            strict=terms.get("strict", False),
            created_us=now_us(),
        )
        budget, cap = None, terms.get("budget_pico")
        if cap is not None:
            budget = Budget(f"key:{key.id}", cap, terms.get("period", "total"), terms.get("zone", "UTC"))
            _check_budget(budget)
        self._store.save_key(key, budget, "key created")
        self._keys[key.digest] = key
        return key, secret

    def revoke_key(self, which: str) -> Key:
        """Revokes the one key whose id, name, or beginning of either is `which`. NotFound; BadRequest if
        several match.
        """
        key = _one_key(self.list_keys(), which)
        if key.revoked_us is None:
            key = replace(key, revoked_us=now_us())
            self._store.save_key(key, None, "key revoked")
            self._keys[key.digest] = key
        return key

    def list_keys(self) -> list[Key]:
        """Every key, revoked ones too, oldest first."""
        return sorted(self._keys.values(), key=lambda key: (key.created_us, key.id))

    def set_budget(self, budget: Budget) -> str:
        """Puts a budget in force for its scope, in place of any before. Counts calls opened from now on in
        a new window.

        Gives a note for people where the cap is already reached, else "". Raises BadRequest, ConfigError,
        StoreError.
        """
        _check_budget(budget)
        balance = self._store.save_budget(budget)
        if balance.left_pico > 0:
            return ""
        used = usd_text(balance.spent_pico + balance.reserved_pico)
        return (
            f"{budget.scope} has already used {used} of {usd_text(budget.cap_pico)}: its calls are refused."
        )

    def remove_budget(self, scope: str) -> None:
        """Takes a scope's budget out of force. Raises NotFound naming the nearest, StoreError."""
        if not self._store.remove_budget(scope):
            scopes = [balance.budget.scope for balance in self._store.balances()]
            near = difflib.get_close_matches(scope, scopes, n=3)
            raise NotFound(
                f"{scope!r} has no budget.",
                f"Nearest: {', '.join(near)}." if near else "`tierwise budgets list` shows them.",
            )

    def scope_named(self, scope: str) -> str:
        """A budget's scope as people write it, `key:` followed by a key's id or name, with the key's id.

        Raises BadRequest for what is no scope, NotFound for an unknown key.
        """
        kind, _, name = scope.partition(":")
        if kind not in SCOPES or not name:
            raise BadRequest(
                f"{scope!r} is no scope of a budget.",
                "Write key:ID, project:NAME, task:NAME or tag:NAME.",
                "scope",
            )
        return f"key:{_one_key(self.list_keys(), name).id}" if kind == "key" else scope

    def keep_edits(self, fresh: Iterable[SeenEdit]) -> None:
        """Adds to the list of where prompts' beginnings change. From any thread; StoreError."""
        keep_edits(self._store, fresh)

    def budgets(self) -> list[Balance]:
        """Every budget and where it stands now, by scope."""
        return self._store.balances()

    def capped(self, scopes: Sequence[str]) -> str:
        """The first of `scopes` that has a budget, "" where none has. From memory."""
        return self._store.capped(scopes)

    def backlog(self) -> tuple[int, int]:
        """Rows that wait to be written, and for how long the oldest has, microseconds. From any thread."""
        rows, oldest_us = self._store.backlog()
        return rows, max(0, now_us() - oldest_us) if rows else 0

    def failing_us(self) -> int:
        """For how long the ledger could not be written, microseconds; 0: it can be, as far as is known. From
        memory and any thread: nothing is tried."""
        since_us = self._store.failing_since()
        return max(1, tick_us() - since_us) if since_us else 0

    def look(self) -> None:
        """Notices where the ledger's file was removed or replaced; for every second, in the event loop."""
        self._store.look()

    def roll(self) -> bool:
        """Rolls up the next slice of rows, behind the calls, in the calling thread: some tenths of a second.

        True: another slice may wait. Raises StoreError; nothing is lost, and the next call does it.
        """
        return self._store.roll()

    def claim(self, name: str) -> bool:
        """True for the first of all processes, ever, that claims `name`. From any thread. StoreError."""
        mine = new_id("claim")
        return self._store.word(name, lambda: mine) == mine

    def answers_since(self) -> str:
        """Changes when the response cache is cleared. From any thread. StoreError."""
        return self._store.word(_ANSWERS, lambda: "")

    def clear_answers(self) -> None:
        """No answer that was kept before is given again, by any replica. StoreError."""
        self._store.replace_word(_ANSWERS, new_id("answers"), "response cache cleared")

    def announce(self, admin_url: str, token: str) -> None:
        """Into the lock file, so that the command line can ask this process."""
        self._store.announce(admin_url, token)

    async def shutdown(self) -> None:
        """Writes what is queued and gives the lock up. StoreError when rows could not be written."""
        await self._store.shutdown()


def _one_key(keys: Iterable[Key], which: str) -> Key:
    living = [key for key in keys if key.revoked_us is None]
    for matches in (
        [key for key in keys if key.id == which],
        [key for key in living if key.name == which],
        [key for key in living if which and (key.id.startswith(which) or key.name.startswith(which))],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            found = ", ".join(f"{key.id} ({key.name})" for key in matches[:5])
            raise BadRequest(f"{len(matches)} keys match {which!r}: {found}.", "Give the whole id.", "id")
    near = difflib.get_close_matches(which, [word for key in living for word in (key.name, key.id)], n=3)
    raise NotFound(
        f"No key matches {which!r}.",
        f"Nearest: {', '.join(near)}." if near else "`tierwise keys list` shows them.",
    )


def _check_words(**words: str) -> None:
    for name, text in words.items():
        if len(text) > NAME_LENGTH or not text.isprintable():
            raise BadRequest(f"{name} is not printable text of at most {NAME_LENGTH} characters.", "", name)


def _check_budget(budget: Budget) -> None:
    _check_words(scope=budget.scope)
    kind, _, name = budget.scope.partition(":")
    if kind == "tag" and ("," in name or name != name.strip()):
        raise BadRequest(
            f"No call can have the tag {name!r}: x-tierwise-tags is split at commas, and blanks around a "
            "word are left out.",
            "Set one budget for each word: tag:NAME.",
            "scope",
        )
    for amount in (budget.cap_pico, budget.soft_pico or 0):
        if not 0 <= amount <= MOST_PICO:
            raise BadRequest("The budget is out of range.", "Give from $0 to $10^18.", "budget_usd")
    if budget.soft_pico is not None and budget.soft_pico > budget.cap_pico:
        raise BadRequest(
            f"Calls are refused at {exact_usd(budget.cap_pico)}: no notice would come at "
            f"{exact_usd(budget.soft_pico)}.",
            "Give a soft amount up to the cap.",
            "soft_usd",
        )
    if budget.period not in ("total", "day", "week", "month"):
        raise BadRequest(f"{budget.period!r} is no period.", "Use total, day, week or month.", "period")
    zone_named(budget.zone)
