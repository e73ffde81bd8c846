"""Paths → what answers. Every generation path is an Exchange in the dialect the path belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tierwise.dialects import registry
from tierwise.dialects.base import Dialect
from tierwise.errors import MethodNotAllowed, NotFound, TierwiseError, UpgradeRequired
from tierwise.http1 import Reply, Request
from tierwise.nouns import DialectName

from . import listing
from . import reply as writing
from .auth import caller_of
from .exchange import Gate, exchange
from .walk import Named

_GENERATE: dict[str, DialectName] = {
    "/chat/completions": "openai_chat",
    "/messages": "anthropic_messages",
    "/responses": "openai_responses",
}
# What stands before a path and changes nothing, except that it says whose client this is.
_PREFIXES = ("/anthropic/v1", "/anthropic", "/openai/v1", "/openai", "/v1")
_GEMINI = "/gemini/"
Endpoint = Callable[["App", Request, Reply, str], Awaitable[None]]


class App:
    """The data plane: `handle` is given to http1's Server. `ready` is what /readyz tells."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.ready = False

    async def handle(self, request: Request, reply: Reply) -> None:
        """Answers one request."""
        path = request.path
        name = _GENERATE.get(bare(path))
        if name is not None and request.method == "POST":
            await exchange(self.gate, request, reply, registry.get(name))
            return
        try:
            await self._other(request, reply, path)
        except TierwiseError as error:
            self.gate.metrics.refused[error.kind] += 1
            writing.refuse(None, reply, surface_of(request).write_error(error, ""))

    async def _other(self, request: Request, reply: Reply, path: str) -> None:
        method = request.method
        if path in ("/healthz", "/readyz"):
            ok = path == "/healthz" or (self.ready and not self.gate.admission.draining)
            writing.plain(reply, 200 if ok else 503, b"ok\n" if ok else b"not ready\n")
        elif method == "HEAD" and (path == "/" or path.endswith("/api/hello")):
            reply.send(200, [])
        elif path.startswith(_GEMINI) and method == "POST":
            await self._gemini(request, reply, path)
        elif method in ("GET", "HEAD") and path.startswith(_GEMINI):
            self._models(request, reply, path.removeprefix("/gemini/v1beta").removeprefix("/gemini/v1"))
        elif method in ("GET", "HEAD") and bare(path).startswith("/models"):
            self._models(request, reply, bare(path))
        elif bare(path) in _GENERATE:
            if request.header(b"upgrade") is not None:
                raise UpgradeRequired("WebSocket is not spoken here.", "POST the request instead.")
            raise MethodNotAllowed(f"{method} is not answered at {path}.", "Use POST.")
        else:
            raise NotFound(f"Nothing answers {method} {path[:200]}.", "See the paths in the README.")

    async def _gemini(self, request: Request, reply: Reply, path: str) -> None:
        model, _, verb = path.removeprefix("/gemini").partition("/models/")[2].rpartition(":")
        if not model or verb not in ("generateContent", "streamGenerateContent"):
            raise NotFound(f"Nothing answers POST {path[:200]}.", "Use models/MODEL:generateContent.")
        surface = registry.get("gemini")
        await exchange(self.gate, request, reply, surface, Named(model, verb.startswith("stream")))

    def _models(self, request: Request, reply: Reply, path: str) -> None:
        caller_of(self.gate.ledger, request)
        body = listing.models(
            self.gate.snapshot, surface_of(request).name, path.removeprefix("/models").strip("/")
        )
        writing.plain(reply, 200, body, b"application/json")


def bare(path: str) -> str:
    """`path` without the prefixes that vendors' SDKs and habits put before it."""
    for prefix in _PREFIXES:
        if path.startswith(prefix + "/"):
            return path[len(prefix) :]
    return path


def surface_of(request: Request) -> Dialect:
    """The dialect a client of this path speaks: what errors and lists are written in."""
    path = request.path
    if path.startswith(_GEMINI):
        return registry.get("gemini")
    if path.startswith("/anthropic") or request.header(b"anthropic-version") is not None:
        return registry.get("anthropic_messages")
    return registry.get(_GENERATE.get(bare(path), "openai_chat"))


async def drain(app: App, cut: Callable[[float], Awaitable[int]], timeout_s: float) -> int:
    """Stops taking requests and waits for running ones, at most `timeout_s`. Gives how many were cut off."""
    app.gate.admission.draining = True
    await asyncio.sleep(0)
    return await cut(timeout_s)
