"""Who may do what: each route states an access, and its endpoint asks here before anything else.

public     anyone who names this server by a name of its own
observer   as public while the control port is on loopback, else as admin
admin      the admin secret as a bearer, or a signed-in browser (with its form token for every change)
local      this machine's command line, with the token of the ledger's lock file
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tierwise.errors import Forbidden, Misdirected, TierwiseError, Unauthenticated
from tierwise.ledger.local import TOKEN_HEADER

from .doors import Session, check_form, same
from .site import Site

Access = Literal["public", "observer", "admin", "local"]
TOKEN = "x-csrf-token"  # noqa: S105  the header's name, no secret
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)
_SAFE = ("GET", "HEAD")
_NEEDED = "This needs the admin."


class Visitor(Struct, frozen=True):
    """Who asks: a signed-in browser has a session, the admin's programs a bearer, others neither."""

    session: Session | None = None
    bearer: bool = False

    @property
    def form_token(self) -> str:
        return self.session.form_token if self.session else ""


def admit(site: Site, request: Request, access: Access) -> Visitor:
    """The Visitor, if the access lets them in. Raises Unauthenticated, Forbidden, LimitRefused."""
    check_origin(request)
    if access == "local":
        if not same(request.headers.get(TOKEN_HEADER, ""), site.control.local_token):
            raise Forbidden("This path is for this machine's own command line.", "Use `tierwise keys`.")
        return Visitor()
    if access == "public":
        # A bearer token is not looked at: a wrong one, as a proxy may add, could never be mended here.
        return _signed_in(site, request)
    visitor = _known(site, request)
    if access == "observer" and site.doors.on_loopback:
        return visitor
    if not visitor.bearer and visitor.session is None:
        cookie = request.cookies.get(site.doors.cookie)
        what = "Your session has ended." if cookie else _NEEDED
        raise Unauthenticated(what, "Sign in, or send `Authorization: Bearer ADMIN_SECRET`.")
    changes = request.method not in _SAFE and not visitor.bearer
    # A form carries its token in its body: its endpoint checks it.
    if visitor.session is not None and changes and not is_form(request):
        check_form(request.headers.get(TOKEN, ""), visitor.session.form_token)
    return visitor


def is_form(request: Request) -> bool:
    """Whether the body is an HTML form's."""
    return request.headers.get("content-type", "").partition(";")[0] == "application/x-www-form-urlencoded"


def check_origin(request: Request) -> None:
    """Raises Forbidden when a browser says that another site asks for a change."""
    origin = request.headers.get("origin")
    if request.method in _SAFE or origin is None:
        return
    if urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        raise Forbidden(
            "Another site asked for this change, so nothing was done.", "Use this dashboard's own forms."
        )


def peer_of(request: Request) -> str:
    """The address that connected, never one a header claims."""
    return request.client.host if request.client else ""


def _known(site: Site, request: Request) -> Visitor:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        site.doors.check_secret(given.strip(), site.settings.secrets.admin, peer_of(request))
        return Visitor(None, True)
    return _signed_in(site, request)


def _signed_in(site: Site, request: Request) -> Visitor:
    cookie = request.cookies.get(site.doors.cookie)
    return Visitor(site.doors.session(cookie) if cookie else None)


class Front:
    """ASGI: refuses foreign host names, and puts the protecting headers on every reply."""

    def __init__(self, app: ASGIApp, site: Site, told: Callable[[TierwiseError], Response]) -> None:
        self._app = app
        self._site = site
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in _HEADERS if pair[0] not in given),
                    *([] if b"cache-control" in given else [(b"cache-control", b"no-store")]),
                ]
            await send(message)

        hosts = [value.decode("latin1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or not self._site.doors.knows_host(hosts[0]):
            error = Misdirected(
                "This server does not answer to that host name.", "Use the address it listens on."
            )
            plain = PlainTextResponse(f"{error.sentence()}\n", error.status)
            reply = self._told(error) if scope["path"].startswith("/api/") else plain
            await reply(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)
