"""Paths → what answers. Every generation path is an Exchange in the dialect the path belongs to."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import cast
from urllib.parse import unquote

from tierwise.dialects import registry
from tierwise.dialects.base import Dialect
from tierwise.errors import MethodNotAllowed, NotFound, TierwiseError, UpgradeRequired
from tierwise.http1 import Reply, Request
from tierwise.nouns import DialectName

from . import listing
from . import reply as writing
from .array_reply import ArrayReply
from .batch import Desk
from .errand import ERRANDS
from .exchange import Gate, exchange, refuse
from .gemini_errand import GEMINI_ERRANDS
from .mounts import MOUNTS, bare
from .quote import quote
from .walk import GENERATION, Kind, Named

_COUNT = Kind(counts=True)
KINDS: dict[str, tuple[DialectName, Kind]] = {
    "/chat/completions": ("openai_chat", GENERATION),
    "/messages": ("anthropic_messages", GENERATION),
    "/messages/count_tokens": ("anthropic_messages", _COUNT),
    "/responses": ("openai_responses", Kind(recalls=True)),
    "/responses/input_tokens": ("openai_responses", Kind(counts=True, recalls=True)),
    **{path: ("openai_chat", Kind(errand=errand)) for path, errand in ERRANDS.items()},
}
_GEMINI = "/gemini/"
_VERBS = frozenset(("generateContent", "streamGenerateContent", "countTokens", *GEMINI_ERRANDS))
_HICCUP_US = 1_000_000
"""How long the ledger may fail before a load balancer is told: one failed commit is tried again in 50 ms."""
_READS = ("GET", "HEAD")
_PATHS = (
    "Base URLs: /v1 for OpenAI's SDKs, /anthropic for Anthropic's and Claude Code, /gemini for Google's; "
    "GET /v1/models lists what can be asked."
)
_OFFERED = (
    "Here are chat/completions, responses, messages, embeddings, images/generations, files, batches, models, "
    "and Gemini's generateContent, countTokens and embedContent. Ask the vendor itself for anything else."
)
_KNOWN = {prefix + path: kind for path, kind in KINDS.items() for prefix in ("", *MOUNTS)}


class App:
    """The data plane: `handle` is given to http1's Server. `ready` is what /readyz tells."""

    def __init__(self, gate: Gate, batches: Desk | None = None) -> None:
        self.gate = gate
        self.batches = batches
        self.ready = False

    def handle(self, request: Request, reply: Reply) -> Awaitable[None]:
        """Answers one request."""
        path = request.path
        known = _KNOWN.get(path)
        if known is not None and request.method == "POST" and request.header(b"prefer") is None:
            return exchange(self.gate, request, reply, registry.get(known[0]), known[1])
        return self._rarer(request, reply, path, known)

    async def _rarer(
        self, request: Request, reply: Reply, path: str, known: tuple[DialectName, Kind] | None
    ) -> None:
        try:
            if known is not None and request.method == "POST":
                await self._preferring(request, reply, registry.get(known[0]), known[1])
            else:
                await self._other(request, reply, path)
        except TierwiseError as error:
            refuse(self.gate, None, reply, error, surface_of(request))

    async def _preferring(self, request: Request, reply: Reply, surface: Dialect, kind: Kind) -> None:
        """A call with `prefer:`, which may want a handle now and its answer later."""
        if self.batches is not None and self.batches.takes_later(request):
            await self.batches.later(request, reply, surface)
        else:
            await exchange(self.gate, request, reply, surface, kind)

    async def _other(self, request: Request, reply: Reply, path: str) -> None:
        method = request.method
        if path == "/healthz":
            writing.plain(reply, 200, b"ok\n")
        elif path == "/readyz":
            why = self._unready()
            writing.plain(reply, 503 if why else 200, why or b"ok\n")
        elif (method == "HEAD" and path == "/") or (method in _READS and path.endswith("/api/hello")):
            reply.send(200, [])
        elif method == "POST" and bare(path) == "/quote":
            await quote(self.gate, request, reply, surface_of(request))
        elif path.startswith(_GEMINI) and method == "POST":
            await self._gemini(request, reply, path)
        elif method in _READS and _bare_gemini(path).startswith("/models"):
            self._models(request, reply, _bare_gemini(path))
        elif method in _READS and bare(path).startswith("/models"):
            self._models(request, reply, bare(path))
        elif self.batches is not None and self.batches.knows(path):
            await self.batches.answer(request, reply, surface_of(request))
        elif bare(path) in KINDS or bare(path) == "/quote":
            if request.header(b"upgrade") is not None:
                raise UpgradeRequired("WebSocket is not spoken here.", "POST the request instead.")
            raise MethodNotAllowed(method, path, "POST")
        elif bare(path).startswith("/models"):
            raise MethodNotAllowed(method, path, "GET, HEAD")
        else:
            # Under a right base URL it is the thing asked for that is not to be had.
            right = (bare(path) != path or _bare_gemini(path) != path) and not path.endswith(tuple(KINDS))
            raise NotFound(f"Nothing answers {method} {path[:200]}.", _OFFERED if right else _PATHS)

    def _unready(self) -> bytes:
        """Why no calls should be sent here, b"" when they should."""
        if not self.ready or self.gate.admission.draining:
            return b"not ready\n"
        if self.gate.ledger.failing_us() > _HICCUP_US:
            return b"not ready: the ledger cannot be written\n"
        return b""

    async def _gemini(self, request: Request, reply: Reply, path: str) -> None:
        # Some SDKs leave `models/` out where the model's name has a slash of its own.
        model, _, verb = _bare_gemini(path).lstrip("/").removeprefix("models/").rpartition(":")
        if not model or verb not in _VERBS:
            raise NotFound(f"Nothing answers POST {path[:200]}.", "Use models/MODEL:generateContent.")
        asked = Named(unquote(model), verb.startswith("stream"))
        kind = Kind(asked, GEMINI_ERRANDS.get(verb), counts=verb == "countTokens")
        if asked.stream and "alt=sse" not in request.query.split("&"):
            reply = cast(Reply, ArrayReply(reply))
        await exchange(self.gate, request, reply, registry.get("gemini"), kind)

    def _models(self, request: Request, reply: Reply, path: str) -> None:
        self.gate.callers.of(request)
        body = listing.models(
            self.gate.snapshot, surface_of(request).name, unquote(path.removeprefix("/models").strip("/"))
        )
        writing.plain(reply, 200, body, b"application/json")


def _bare_gemini(path: str) -> str:
    """`path` without what Gemini's SDKs put before `/models`, with a version or none."""
    return path.removeprefix("/gemini").removeprefix("/v1beta").removeprefix("/v1")


def surface_of(request: Request) -> Dialect:
    """The dialect a client of this path speaks: what errors and lists are written in."""
    path = request.path
    if path.startswith(_GEMINI):
        return registry.get("gemini")
    named = request.header(b"anthropic-version") is not None or bare(path).startswith("/messages/")
    if named or path.startswith("/anthropic"):
        return registry.get("anthropic_messages")
    return registry.get(KINDS.get(bare(path), ("openai_chat", GENERATION))[0])
