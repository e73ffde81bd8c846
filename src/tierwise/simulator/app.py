"""Paths → faces.

Every path is taken with and without a version, and behind the prefixes that gateways use.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Struct

from ..errors import BadRequest, TierwiseError
from ..http1 import Reply, Request
from .batches import Batches
from .exchange import SIMULATED, Exchange, credential
from .faces import listing
from .faces.anthropic import AnthropicCount, AnthropicMessages
from .faces.embeddings import GeminiEmbeddings, OpenAIEmbeddings
from .faces.face import Face
from .faces.gemini import Gemini, GeminiCount
from .faces.openai_chat import OpenAIChat
from .faces.responses import OpenAIResponses, ResponsesCount
from .faces.stored import Stored
from .profile import Profile, lay_over
from .prompt import Rejected
from .world import World

_PREFIX = re.compile(r"^/(?:anthropic|gemini|openai|google|api)(?=/)")
_VERSION = re.compile(r"^/v1(?:beta\d?|alpha)?(?=/)")
_MODEL_VERB = re.compile(r"^/models/(.+):(\w+)$")
_JSON = [(b"content-type", b"application/json"), SIMULATED]


class Found(Struct):
    """Which face answers, and what the path itself says of model and streaming."""

    face: Face
    model: str = ""
    stream: bool = False


class App:
    """Answers every request of one simulator. `key`: the only credential taken, "" for any."""

    def __init__(self, world: World, key: str = "") -> None:
        self._world = world
        self._key = key.encode()
        stored = Stored()
        self._posts: dict[str, Face] = {
            "/chat/completions": OpenAIChat(),
            "/messages": AnthropicMessages(),
            "/messages/count_tokens": AnthropicCount(),
            "/responses": OpenAIResponses(stored),
            "/responses/input_tokens": ResponsesCount(stored),
            "/embeddings": OpenAIEmbeddings(),
        }
        self._batches = Batches(world, self._posts)
        self._verbs: dict[str, tuple[Face, bool]] = {
            "generateContent": (Gemini(), False),
            "streamGenerateContent": (Gemini(), True),
            "countTokens": (GeminiCount(), False),
            "embedContent": (GeminiEmbeddings(), False),
            "batchEmbedContents": (GeminiEmbeddings(), False),
        }
        self._own: dict[tuple[str, str], Callable[[bytes], Any]] = {
            ("GET", "/simulator/profile"): lambda body: world.profile,
            ("POST", "/simulator/profile"): self._lay_over,
            ("DELETE", "/simulator/profile"): lambda body: self._use(world.started_with),
            ("GET", "/simulator/totals"): lambda body: world.bill.totals(),
            ("POST", "/simulator/reset"): self._reset,
        }

    async def handle(self, request: Request, reply: Reply) -> None:
        """The http1 server's handler."""
        if request.method == "POST":
            found = self._find(request.path)
            if found is not None:
                exchange = Exchange(self._world, found.face, request, reply)
                await exchange.run(found.model, found.stream, self._key)
                return
        own = self._own.get((request.method, request.path))
        tail = _VERSION.sub("", _PREFIX.sub("", request.path))
        if own is not None:
            await self._administer(own, request, reply)
        elif self._batches.knows(tail):
            await self._batch(request, reply, tail)
        elif request.method in ("GET", "HEAD"):
            self._look(request, reply)
        else:
            self._miss(request, reply)

    async def _batch(self, request: Request, reply: Reply, tail: str) -> None:
        if self._key and credential(request) != self._key:
            self._send(reply, 401, _fault("Simulated: incorrect API key provided."))
        else:
            await self._batches.answer(request, reply, tail)

    def _find(self, path: str) -> Found | None:
        tail = _VERSION.sub("", _PREFIX.sub("", path))
        face = self._posts.get(tail)
        if face is not None:
            return Found(face)
        verb = _MODEL_VERB.match(tail)
        if verb is None or verb[2] not in self._verbs:
            return None
        gemini, stream = self._verbs[verb[2]]
        return Found(gemini, unquote(verb[1]), stream)

    def _look(self, request: Request, reply: Reply) -> None:
        """GET and HEAD: model lists, and the paths that clients and gateways knock at."""
        tail = _PREFIX.sub("", request.path)
        if tail in ("/", "/hello", "/api/hello", "/healthz", "/readyz", "/anthropic", "/gemini"):
            self._send(reply, 200, {"simulated": True})
            return
        dialect = "openai"
        if request.header(b"anthropic-version") is not None:
            dialect = "anthropic"
        elif tail.startswith(("/v1beta/", "/v1alpha/")):
            dialect = "gemini"
        tail = _VERSION.sub("", tail)
        if tail == "/responses" and request.header(b"upgrade") is not None:
            self._send(reply, 426, _fault("Simulated: WebSocket is not spoken here."))
        elif tail == "/models":
            self._send(reply, 200, listing.models(self._world.profile.models, dialect))
        elif tail.startswith("/models/") and self._serves(unquote(tail[8:])):
            self._send(reply, 200, listing.model(unquote(tail[8:]), dialect))
        else:
            self._miss(request, reply)

    def _serves(self, model: str) -> bool:
        return not self._world.profile.only_listed or model in self._world.profile.models

    def _miss(self, request: Request, reply: Reply) -> None:
        rejected = Rejected(404, f"Simulated: no {request.method} {request.path} here.")
        face = self._posts["/messages" if request.header(b"anthropic-version") else "/chat/completions"]
        reply.send(404, _JSON, face.error(rejected, "req_simulated"))

    async def _administer(self, own: Callable[[bytes], Any], request: Request, reply: Reply) -> None:
        try:
            self._send(reply, 200, own(await request.body()))
        except TierwiseError as error:
            self._send(reply, error.status, _fault(error.sentence()))

    def _lay_over(self, body: bytes) -> Any:
        try:
            found = msgspec.json.decode(body)
        except (msgspec.DecodeError, ValueError) as error:
            raise BadRequest(f"The profile is not valid JSON: {error}.") from error
        return self._use(lay_over(self._world.profile, found))

    def _use(self, profile: Profile) -> Profile:
        self._world.use(profile)
        return profile

    def _reset(self, body: bytes) -> Any:
        """Back to the profile of the start, with an empty prompt cache."""
        self._world.cache.clear()
        return self._use(self._world.started_with)

    def _send(self, reply: Reply, status: int, value: Any) -> None:
        reply.send(status, _JSON, msgspec.json.encode(value))


def _fault(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
