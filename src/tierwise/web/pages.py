"""The control plane's application: paths → pages and their JSON twins."""

from __future__ import annotations

import hmac
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tierwise.errors import Forbidden, TierwiseError

from .control import Control
from .exposition import exposition

_LOCAL_BODY = 64 << 10


def application(control: Control) -> Starlette:
    """The ASGI application over one running gateway."""

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(exposition(control.gate), media_type="text/plain; version=0.0.4")

    async def alive(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def local(request: Request) -> Response:
        given = request.headers.get("x-tierwise-local", "")
        if not hmac.compare_digest(given.encode(), control.local_token.encode()):
            raise Forbidden("This path is for this machine's own command line.")
        body = await _json(request)
        return JSONResponse(await control.local(request.url.path, body))

    async def front(request: Request) -> Response:
        return PlainTextResponse(
            f"tierwise serves models at {control.data_url}; metrics are at /metrics here.\n"
        )

    return Starlette(
        routes=[
            Route("/", front),
            Route("/healthz", alive),
            Route("/metrics", metrics),
            Route("/api/v1/local/{rest:path}", local, methods=["POST"]),
        ],
        exception_handlers={TierwiseError: _told},
    )


async def _json(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if len(raw) > _LOCAL_BODY:
        raise Forbidden("The body is too large.")
    body = json.loads(raw or b"{}")
    return body if isinstance(body, dict) else {}


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, TierwiseError)
    body = {"error": {"kind": error.kind, "message": error.message, "hint": error.hint}}
    return JSONResponse(body, status_code=error.status)
