"""Signing in and out: by the admin secret, or once by the link that `tierwise serve` printed."""

from __future__ import annotations

import logging
import secrets
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tierwise.errors import Forbidden, LimitRefused, TierwiseError, Unauthenticated

from .doors import check_form
from .guard import Visitor, peer_of
from .paper import Paper, in_json
from .reading import TOKEN_FIELD, fields_of
from .site import Site

log = logging.getLogger("tierwise")

_LONGEST_SECRET = 4096


class Signing:
    """The sign-in page and what its form does."""

    def __init__(self, site: Site, paper: Paper) -> None:
        self._site = site
        self._paper = paper

    async def ask(self, request: Request) -> Response:
        """The sign-in page; with the printed link's token, a session at once."""
        visitor: Visitor = request.state.visitor
        token = request.query_params.get("token", "")
        if visitor.session is not None:
            return RedirectResponse(_local(request.query_params.get("next", "/")), 303)
        if not token:
            why = "Your session has ended. Sign in again; nothing was changed meanwhile."
            return self._form(request, why if request.query_params.get("ended") else "")
        foreign = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        try:
            self._site.doors.use_ticket(token, peer_of(request), foreign)
        except TierwiseError as error:
            return self._form(request, error.sentence(), error)
        # A page that goes on by itself, not a redirect: a strict cookie is not sent on a redirect that began
        # on another site.
        reply = self._paper.page("welcome.html", "Signed in", Visitor())
        self._enter(request, reply)
        return reply

    async def enter(self, request: Request) -> Response:
        """The form's secret → a session."""
        fields = await fields_of(request)
        doors = self._site.doors
        next_ = _local(fields.get("next", "/"))
        visitor = request.cookies.get(self._visitor_cookie, "")
        try:
            check_form(fields.get(TOKEN_FIELD, ""), doors.visitor_token(visitor) if visitor else "")
            given = fields.get("secret", "")[:_LONGEST_SECRET]
            doors.check_secret(given, self._site.settings.secrets.admin, peer_of(request))
        except (Forbidden, LimitRefused, Unauthenticated) as error:
            log.warning("sign-in refused for %s: %s", peer_of(request), error.message)
            return self._form(request, error.sentence(), error, next_)
        reply = RedirectResponse(next_, 303)
        self._enter(request, reply)
        return reply

    async def leave(self, request: Request) -> Response:
        """Ends the session."""
        fields = await fields_of(request)
        visitor: Visitor = request.state.visitor
        if visitor.session is not None:
            check_form(fields.get(TOKEN_FIELD, ""), visitor.form_token)
            self._site.doors.leave(request.cookies.get(self._site.doors.cookie, ""))
        reply = RedirectResponse("/sign-in", 303)
        reply.delete_cookie(self._site.doors.cookie, path="/", httponly=True, samesite="strict")
        return reply

    async def ticket(self, request: Request) -> Response:
        """For this machine's command line: another sign-in link, in place of any before."""
        doors = self._site.doors
        host = request.headers.get("host", "")
        return in_json({"url": f"http://{host}/sign-in?token={doors.new_ticket()}"})

    @property
    def _visitor_cookie(self) -> str:
        return f"{self._site.doors.cookie}_visitor"

    def _enter(self, request: Request, reply: Response) -> None:
        id_, _ = self._site.doors.enter()
        self._cookie(request, reply, self._site.doors.cookie, id_)
        log.warning("audit: signed in from %s", peer_of(request))

    def _form(
        self, request: Request, why: str, error: TierwiseError | None = None, next_: str = ""
    ) -> Response:
        visitor = request.cookies.get(self._visitor_cookie, "") or secrets.token_urlsafe(16)
        reply = self._paper.page(
            "sign_in.html",
            "Sign in",
            Visitor(),
            status=error.status if error else 200,
            wrong=why,
            next=next_ or _local(request.query_params.get("next", "/")),
            visitor_token=self._site.doors.visitor_token(visitor),
            has_secret=bool(self._site.settings.secrets.admin),
        )
        if isinstance(error, LimitRefused):
            reply.headers["retry-after"] = str(round(error.retry_after_s or 1))
        self._cookie(request, reply, self._visitor_cookie, visitor)
        return reply

    def _cookie(self, request: Request, reply: Response, name: str, value: str) -> None:
        secure = request.url.scheme == "https"
        reply.set_cookie(name, value, path="/", httponly=True, samesite="strict", secure=secure)


def address_of(request: Request, error: Unauthenticated) -> str:
    """Where to sign in, and come back from."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    ended = "&ended=1" if "ended" in error.message else ""
    return f"/sign-in?next={quote(path, safe='/')}{ended}"


def _local(path: str) -> str:
    """`path` if it leads to a page of this server, else the overview."""
    ok = path.startswith("/") and not path.startswith(("//", "/\\", "/sign-")) and path.isprintable()
    return path if ok and "\\" not in path and len(path) < 2000 else "/"
