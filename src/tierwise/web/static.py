"""The stylesheet, the script and the icon: read once, served with their hash as tag."""

from __future__ import annotations

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from tierwise.errors import NotFound

_KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class Static:
    """The files of static/, by name."""

    def __init__(self) -> None:
        folder = Path(__file__).parent / "static"
        self._files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in _KINDS}

    async def file(self, request: Request) -> Response:
        """One of them. Raises NotFound."""
        name = request.path_params["name"]
        body = self._files.get(name)
        if body is None:
            raise NotFound(f"There is no file {name[:100]!r}.", "Start at the overview: /")
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"etag": tag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        kind = _KINDS[name[name.rindex(".") :]]
        return Response(body, media_type=kind, headers=headers)
