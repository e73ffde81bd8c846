"""Doors: who may come in to the control plane: host names, sessions, form tokens, the secret, failures.

Everything is in this process's memory: a restart signs everyone out. Only digests of session ids are kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict

from msgspec import Struct

from tierwise.clock import tick_us
from tierwise.config import LOOPBACK
from tierwise.errors import Forbidden, LimitRefused, Unauthenticated

_WILDCARD = frozenset(("", "0.0.0.0", "::"))  # noqa: S104  compared with, not bound to
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:]+))(?::[0-9]{1,5})?")
_SESSION_S = 12 * 3600
_IDLE_S = 2 * 3600
_MOST_SESSIONS = 1000
_FAILURES = 5
_FAILURES_OF_ALL = 60
_WINDOW_S = 60.0
_PEERS = 4096


class Session(Struct):
    """One signed-in browser. `form_token` goes into every form of its pages."""

    form_token: str
    until_s: float
    seen_s: float


class Doors:
    """The state of all doors. `ticket` is what the sign-in link printed at start carries, "" for none."""

    def __init__(self, host: str = "127.0.0.1", port: int = 4001, ticket: str = "") -> None:
        self.host = host
        self.port = port
        self.cookie = f"tierwise_{port}"
        self._ticket = ticket
        self._boot = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the control port."""
        return self.host in LOOPBACK

    def knows_host(self, header: str) -> bool:
        """Whether a Host header names this server, so that no foreign name can be rebound to it.

        A wildcard bind has no name of its own: every name is taken, and everything asks for a credential.
        """
        if self.host in _WILDCARD:
            return bool(header)
        found = _HOST.fullmatch(header.lower())
        return found is not None and (found[1] or found[2]) in (*LOOPBACK, self.host.lower())

    def check_secret(self, given: str, secret: str | None, peer: str) -> None:
        """Passes when `given` is the admin secret. Raises Unauthenticated, LimitRefused after too many
        failures."""
        self._refuse_when_many(peer)
        if secret and same(given, secret):
            return
        self._failed(peer)
        if not secret:
            raise Unauthenticated(
                "This gateway has no admin secret.",
                'Set [server] admin_secret = "env:TIERWISE_ADMIN_SECRET" and restart it.',
            )
        raise Unauthenticated("That is not the admin secret.", "It is what [server] admin_secret names.")

    def use_ticket(self, given: str, peer: str, foreign: bool = False) -> None:
        """Passes once, when `given` is the printed link's token. Raises Unauthenticated or LimitRefused. What
        `foreign` pages make a browser ask counts as nobody's failure: they could lock its user out. The right
        one passes whatever failed before: nobody guesses it, and behind a proxy all share one address."""
        with self._lock:
            if self._ticket and same(given, self._ticket):
                self._ticket = ""
                return
        self._refuse_when_many(peer)
        if not foreign:
            self._failed(peer)
        raise Unauthenticated(
            "This sign-in link is not valid: it works once, for one start of the gateway.",
            "`tierwise dashboard` prints a new one. With an admin secret you can sign in at any time.",
        )

    def new_ticket(self) -> str:
        """Another one-time token, in place of any before."""
        with self._lock:
            self._ticket = secrets.token_urlsafe(24)
            return self._ticket

    def enter(self) -> tuple[str, Session]:
        """A new session and the id that goes into its cookie."""
        id_, now = secrets.token_urlsafe(32), tick_us() / 1e6
        session = Session(secrets.token_urlsafe(24), now + _SESSION_S, now)
        with self._lock:
            self._sessions[_digest(id_)] = session
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return id_, session

    def session(self, id_: str) -> Session | None:
        """The living session of a cookie's value, None: unknown or expired."""
        now, name = tick_us() / 1e6, _digest(id_)
        with self._lock:
            session = self._sessions.get(name)
            if session is None:
                return None
            if now > session.until_s or now - session.seen_s > _IDLE_S:
                del self._sessions[name]
                return None
            session.seen_s = now
            return session

    def leave(self, id_: str) -> None:
        """Ends a session."""
        with self._lock:
            self._sessions.pop(_digest(id_), None)

    def visitor_token(self, visitor: str) -> str:
        """The form token of a browser that is not signed in, tied to its visitor cookie."""
        return hmac.new(self._boot, visitor.encode(), hashlib.sha256).hexdigest()

    def _refuse_when_many(self, peer: str) -> None:
        now = tick_us() / 1e6
        with self._lock:
            waits = []
            for name, most in ((peer, _FAILURES), ("*", _FAILURES_OF_ALL)):
                recent = [at for at in self._failures.get(name, ()) if now - at < _WINDOW_S]
                if len(recent) >= most:
                    waits.append(recent[-most] + _WINDOW_S - now)
        if waits:
            seconds = max(1.0, *waits)
            raise LimitRefused(
                "Too many failed sign-ins.", f"Wait {seconds:.0f} s, then try again.", retry_after_s=seconds
            )

    def _failed(self, peer: str) -> None:
        now = tick_us() / 1e6
        with self._lock:
            for name, most in ((peer, _FAILURES), ("*", _FAILURES_OF_ALL)):
                recent = self._failures.pop(name, [])
                self._failures[name] = [*(at for at in recent if now - at < _WINDOW_S), now][-most:]
            while len(self._failures) > _PEERS:
                self._failures.popitem(last=False)


def check_form(given: str, wanted: str) -> None:
    """Raises Forbidden unless a form or script sent the token of its page."""
    if not wanted or not same(given, wanted):
        raise Forbidden(
            "The form's token is missing or old, so nothing was done.",
            "Load the page again and repeat what you did.",
        )


def same(given: str, wanted: str) -> bool:
    """Equality in constant time, of texts of any length."""
    return hmac.compare_digest(_digest(given), _digest(wanted))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
