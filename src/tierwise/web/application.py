"""The control plane's application: the route table made into endpoints. Each asks the guard itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tierwise.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound, TierwiseError, Unauthenticated
from tierwise.http1 import Pool
from tierwise.ledger.local import SIGN_IN, TOKEN_HEADER

from . import openapi
from .control import Control
from .doors import Doors, check_form
from .exposition import exposition
from .guard import Access, Front, Visitor, admit, is_form
from .paper import Paper, in_json, told
from .reading import TOKEN_FIELD, body_of, fields_of, form_of, json_of, query_of
from .routes import ACTS, PAGES, Act, Page
from .signing import Signing, address_of
from .site import Site
from .static import Static
from .views import evaluations, playground
from .views.policies import Outdated

log = logging.getLogger("tierwise")

Endpoint = Callable[[Request], Awaitable[Response]]
_LOCAL_BODY = 64 << 10
# A report was written from models' answers: it is shown, but may do nothing here.
_REPORT_CSP = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def application(control: Control, doors: Doors | None = None) -> ASGIApp:
    """The ASGI application over one running gateway."""
    site = Site(control, doors or Doors())
    return Front(Dashboard(site).app, site, told)


class Dashboard:
    """Endpoints over one Site. Views read the ledger in worker threads of their own."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.paper = Paper(site)
        self._workers = ThreadPoolExecutor(4, thread_name_prefix="dashboard")
        self._pool: Pool | None = None
        self._homes = {"/sign-out": "/"} | {act.form: _home(act).path for act in ACTS if act.form}
        signing = Signing(site, self.paper)
        routes = [
            Route("/healthz", self.guarded("public", self.alive)),
            Route("/metrics", self.guarded("observer", self.metrics)),
            Route("/openapi.json", self.guarded("observer", self.openapi)),
            Route("/sign-in", self.guarded("public", signing.ask)),
            Route("/sign-in", self.guarded("public", signing.enter), methods=["POST"]),
            Route("/sign-out", self.guarded("admin", signing.leave), methods=["POST"]),
            Route("/static/{name}", self.guarded("public", Static().file)),
            Route("/evaluations/{run}/{file}", self.guarded("admin", self.report)),
            Route("/api/v1/playground/ask", self.guarded("admin", self.play), methods=["POST"]),
            Route("/api/v1/playground/quote", self.guarded("admin", self.quote), methods=["POST"]),
            Route(SIGN_IN, self.guarded("local", signing.ticket), methods=["POST"]),
            Route("/api/v1/local/{rest:path}", self.guarded("local", self.local), methods=["POST"]),
        ]
        for act in ACTS:
            routes.append(Route(act.api, self.guarded("admin", self.act(act)), methods=[act.method]))
            if act.form:
                routes.append(Route(act.form, self.guarded("admin", self.form(act)), methods=["POST"]))
        for page in PAGES:
            routes.append(Route(page.path, self.guarded("admin", self.page(page))))
            routes.append(Route(page.api, self.guarded("admin", self.twin(page))))
        self.app = Starlette(
            routes=routes,
            exception_handlers={HTTPException: self.absent, Exception: self.broken},
        )
        self.app.router.redirect_slashes = False

    def guarded(self, access: Access, endpoint: Endpoint) -> Endpoint:
        """An endpoint that first asks who is there; its errors as a page or as JSON."""

        async def answer(request: Request) -> Response:
            request.state.visitor = Visitor()
            try:
                request.state.visitor = admit(self.site, request, access)
                return await endpoint(request)
            except Unauthenticated as error:
                if wants_json(request):
                    return told(error)
                if request.method in ("GET", "HEAD"):
                    return RedirectResponse(address_of(request, error), 303)
                return await self.ended(request, error)
            except TierwiseError as error:
                return self.said(request, error)

        return answer

    async def ended(self, request: Request, error: Unauthenticated) -> Response:
        """The reply to a change whose session is over, or that had none."""
        fields: dict[str, str] = {}
        if is_form(request) and self.site.doors.cookie in request.cookies:
            with suppress(TierwiseError):
                fields = await fields_of(request)
        return self.undone(request, error, fields)

    def undone(self, request: Request, error: TierwiseError, fields: dict[str, str]) -> Response:
        """A form that was refused before it was looked at: what was typed is shown, to be copied."""
        typed = {name: text for name, text in fields.items() if name != TOKEN_FIELD and text.strip()}
        home, visitor = self._homes.get(request.url.path, "/"), request.state.visitor
        return self.paper.fault(error, visitor, request.url.path, typed=typed, home=home)

    def said(self, request: Request, error: TierwiseError) -> Response:
        """An error as the asker understands it."""
        if wants_json(request):
            return told(error)
        return self.paper.fault(error, getattr(request.state, "visitor", Visitor()), request.url.path)

    async def ask(self, view: Callable[[Any, Any], Any], question: Any) -> Any:
        """The view's figures, from a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, view, self.site, question)

    def page(self, page: Page) -> Endpoint:
        """The HTML of a page."""

        async def answer(request: Request) -> Response:
            figures = await self.ask(page.view, query_of(request, page.query))
            return self.shown(page, request, figures)

        return answer

    def twin(self, page: Page) -> Endpoint:
        """The JSON of a page."""

        async def answer(request: Request) -> Response:
            return in_json(await self.ask(page.view, query_of(request, page.query)))

        return answer

    def act(self, act: Act) -> Endpoint:
        """A change asked for in JSON."""

        async def answer(request: Request) -> Response:
            if is_form(request):
                raise BadRequest("This path takes JSON.", "Send `Content-Type: application/json`.")
            done = await self.ask(act.do, await json_of(request, act.body, act.most))
            log.warning("audit: %s %s", act.method, act.api)
            return in_json(done, act.status)

        return answer

    def form(self, act: Act) -> Endpoint:
        """A change asked for by a page's form: its page again, with what was done or what is wrong."""
        page = _home(act)

        async def answer(request: Request) -> Response:
            visitor: Visitor = request.state.visitor
            asked = query_of(request, page.query)
            wish, fields, wrong = await form_of(request, act.body, act.most)
            try:
                if not visitor.bearer:
                    check_form(fields.get(TOKEN_FIELD, ""), visitor.form_token)
            except Forbidden as error:
                return self.undone(request, error, fields)
            words: dict[str, Any] = {"typed": fields, "act": act.api}
            done = None
            try:
                if wish is not None:
                    done = await self.ask(act.do, wish)
                    log.warning("audit: form %s", act.form)
            except Outdated as error:
                return self.paper.page(
                    "conflict.html", "Policy conflict", visitor, status=409, path="/policy", error=error
                )
            except TierwiseError as error:
                wrong = error.sentence()
            figures = await self.ask(page.view, asked)
            status = 400 if wrong else 200
            return self.shown(page, request, figures, done=done, wrong=wrong, status=status, **words)

        return answer

    def shown(self, page: Page, request: Request, figures: Any, **words: Any) -> Response:
        """A page filled in."""
        given = {"done": None, "typed": {}, "act": "", **words}
        return self.paper.page(
            page.template, page.title, request.state.visitor, path=page.path, figures=figures,
            query=dict(request.query_params), **given,
        )  # fmt: skip

    async def alive(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        text = exposition(self.site.control.gate)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    async def openapi(self, request: Request) -> Response:
        return in_json(openapi.document(self.site.doors.cookie))

    async def report(self, request: Request) -> Response:
        """A file of an evaluation, with no rights in the browser."""
        body, kind = await self.ask(evaluations.file_of, query_of(request, evaluations.OneFile))
        return Response(body, media_type=kind, headers={"content-security-policy": _REPORT_CSP})

    async def local(self, request: Request) -> Response:
        """The command line's key commands."""
        raw = await body_of(request, _LOCAL_BODY)
        try:
            body = msgspec.json.decode(raw or b"{}")
        except (msgspec.DecodeError, RecursionError):
            raise BadRequest(f"The body is not JSON (see {TOKEN_HEADER}).", "Send one JSON object.") from None
        if not isinstance(body, dict):
            raise BadRequest("The body is no JSON object.", "Send one JSON object.")
        return in_json(await self.site.control.local(request.url.path, body))

    async def play(self, request: Request) -> Response:
        """A prompt through the data plane, passed on as it streams."""
        pool, secret, prompt = await self.prompted(request)
        stream = await playground.send(pool, secret, self.site, prompt)
        return StreamingResponse(stream.pieces(), stream.status, stream.headers)

    async def quote(self, request: Request) -> Response:
        """What a prompt may cost."""
        pool, secret, prompt = await self.prompted(request)
        return in_json(await playground.quote(pool, secret, self.site, prompt))

    async def prompted(self, request: Request) -> tuple[Pool, str, playground.Prompt]:
        """What it takes to send the prompt that was asked for."""
        if is_form(request):
            raise BadRequest("This path takes JSON.", "Send `Content-Type: application/json`.")
        prompt = await json_of(request, playground.Prompt)
        secret = await asyncio.get_running_loop().run_in_executor(
            self._workers, playground.secret_of, self.site
        )
        if self._pool is None:
            self._pool = Pool()
        return self._pool, secret, prompt

    async def absent(self, request: Request, error: Exception) -> Response:
        """No such path or method. Said to everyone alike: the paths are no secret."""
        assert isinstance(error, HTTPException)
        home = self._homes.get(request.url.path)
        if home and error.status_code == 405 and request.method in ("GET", "HEAD"):
            return RedirectResponse(home, 303)  # asked for anew by its address, after the form was sent
        if error.status_code == 405:
            allow = ", ".join(sorted(self.answered(request.url.path)))
            reply = self.said(request, MethodNotAllowed(request.method, request.url.path, allow))
            reply.headers["allow"] = allow
            return reply
        fault = NotFound(f"There is no page {request.url.path[:200]}.", "Start at the overview: /")
        return self.said(request, fault)

    def answered(self, path: str) -> set[str]:
        """The methods of a path: its page and its acts are routes of their own."""
        ours = [route for route in self.app.routes if isinstance(route, Route)]
        return {method for route in ours if route.path_regex.match(path) for method in route.methods or ()}

    async def broken(self, request: Request, error: Exception) -> Response:
        """What nobody expected: the log has it, the reader gets no traceback."""
        log.error("the control plane failed at %s", request.url.path, exc_info=error)
        return self.said(
            request, TierwiseError("Something went wrong here.", "The log of `tierwise serve` says what.")
        )


def wants_json(request: Request) -> bool:
    """Whether errors are told as JSON: everything but pages and their forms."""
    return request.url.path.startswith(("/api/", "/openapi.json", "/metrics", "/healthz"))


def _home(act: Act) -> Page:
    """The page that has the act's form."""
    path = f"/{act.api.split('/')[3]}"
    return next(page for page in PAGES if page.path == ("/keys" if path == "/budgets" else path))
