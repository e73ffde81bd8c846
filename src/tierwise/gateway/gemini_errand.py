"""Embeddings as Gemini has them: the path names the model, and each request of a batch once more."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct, field

from tierwise.dialects import registry
from tierwise.errors import BadRequest
from tierwise.nouns import Outline, Usage

from .errand import Errand

_BODY = msgspec.json.Decoder(dict[str, Raw])
_REQUESTS = msgspec.json.Decoder(list[dict[str, Raw]])


class _Counted(Struct):
    prompt: int | None = field(name="promptTokenCount", default=None)


class _Replied(Struct):
    usage: _Counted | None = field(name="usageMetadata", default=None)


class Embedding(Errand, frozen=True):
    """`suffix` is the path's verb."""

    def outline(self, body: bytes) -> Outline:
        """The Outline of the request, without its model. BadRequest on what is no JSON object."""
        _members(body)
        return Outline("", prompt_bytes=len(body), max_output=0)

    def written(self, body: bytes, model_id: str) -> tuple[str, bytes]:
        """The path at the provider, and the body with the model's name replaced wherever it stands."""
        path = registry.get("gemini").path(model_id, False).rpartition(":")[0]
        name, members = Raw(msgspec.json.encode(f"models/{model_id}")), _members(body)
        if "model" in members:
            members["model"] = name
        if "requests" in members:
            members["requests"] = Raw(
                msgspec.json.encode([{**each, "model": name} for each in _requests(members["requests"])])
            )
        return f"{path}:{self.suffix}", msgspec.json.encode(members)


def _members(body: bytes) -> dict[str, Raw]:
    try:
        return _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"The body is not understood: {error}.", "Send a JSON object with `content` or `requests`."
        ) from None


def _requests(raw: Raw) -> list[dict[str, Raw]]:
    try:
        return _REQUESTS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(
            f"`requests` is not understood: {error}.", "Send a list of objects.", "requests"
        ) from None


def _usage(body: bytes) -> Usage | None:
    """The prompt's tokens. None where the reply tells none, as those of older models."""
    try:
        told = msgspec.json.decode(body, type=_Replied).usage
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if told is None or told.prompt is None else Usage(input=told.prompt)


GEMINI_ERRANDS: Mapping[str, Errand] = MappingProxyType(
    {
        verb: Embedding("embeddings", verb, ("gemini",), _usage)
        for verb in ("embedContent", "batchEmbedContents")
    }
)
"""By the verb of the path."""
