"""Paper: figures as HTML by template and as JSON. Everything that came with a request is shown as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse, Response

from tierwise.errors import LimitRefused, TierwiseError

from .charts import charts
from .guard import Visitor
from .routes import PAGES
from .shown import filters
from .site import Site, now

_FOLDER = Path(__file__).parent


class Paper:
    """The templates of one control plane."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= filters()
        self._templates.globals |= charts()

    def page(self, template: str, title: str, visitor: Visitor, **words: Any) -> HTMLResponse:
        """A page of the dashboard. `status` and `path` may be among the words."""
        status = words.pop("status", 200)
        given = {
            "title": title,
            "visitor": visitor,
            "form_token": visitor.form_token,
            "menu": [(page.path, page.nav) for page in PAGES if page.nav],
            "path": "",
            "now_us": now(),
            "data_url": self._site.control.data_url,
            "said": "",
            "wrong": "",
            **words,
        }
        text = self._templates.get_template(template).render(given)
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)

    def fault(self, error: TierwiseError, visitor: Visitor, path: str, **words: Any) -> Response:
        """An error as a page: what happened and what to do."""
        given = {"typed": {}, "home": "/", **words}
        reply = self.page(
            "error.html", "Not possible", visitor, status=error.status, path=path, error=error, **given
        )
        _retry(reply, error)
        return reply


def in_json(answer: Any, status: int = 200) -> Response:
    """A Struct as JSON. Python's own writer: sums of pico-dollars may outgrow 64 bits."""
    text = json.dumps(msgspec.to_builtins(answer), ensure_ascii=True, allow_nan=False)
    return Response(text, status, media_type="application/json")


def told(error: TierwiseError) -> Response:
    """An error as JSON."""
    body = {"error": {"kind": error.kind, "message": error.message, "hint": error.hint}}
    reply = JSONResponse(body, error.status)
    if error.status == 401:
        reply.headers["www-authenticate"] = "Bearer"
    _retry(reply, error)
    return reply


def _retry(reply: Response, error: TierwiseError) -> None:
    if isinstance(error, LimitRefused):
        reply.headers["retry-after"] = str(max(1, round(error.retry_after_s or 1)))
