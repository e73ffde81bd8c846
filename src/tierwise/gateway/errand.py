"""Errands: calls that are no generation but cost money: embeddings and images. Passed through, priced,
recorded.

An errand takes the same six rooms; it only reads its body and its usage in its own way, and never changes
dialect.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw, Struct

from tierwise.dialects.spans import replace_text
from tierwise.errors import BadRequest
from tierwise.nouns import DialectName, Outline, Usage

# The largest picture at the highest quality, by OpenAI's table.
_IMAGE_TOKENS = 6240
_OPENAI: tuple[DialectName, ...] = ("openai_chat", "openai_responses")


class Errand(Struct, frozen=True):
    """`suffix` is appended to a provider's base URL; `dialects` are those whose providers have such an
    endpoint."""

    name: str
    suffix: str
    dialects: tuple[DialectName, ...]
    usage: Callable[[bytes], Usage | None]
    most_output: int = 0
    """Tokens that one result may have: what a budget reserves for it."""

    def outline(self, body: bytes) -> Outline:
        """The Outline of the request. BadRequest on bad JSON or a missing model."""
        try:
            asked = msgspec.json.decode(body, type=_Asked)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadRequest(
                f"The body is not understood: {error}.", "Send a JSON object with `model`."
            ) from None
        if not asked.model:
            raise BadRequest("`model` is missing.", "Name a model: see GET /v1/models.", "model")
        return Outline(
            asked.model, prompt_bytes=len(body), max_output=self.most_output, choices=max(asked.n or 1, 1)
        )

    def written(self, body: bytes, model_id: str) -> tuple[str, bytes]:
        """What is appended to the provider's base URL, and the body with the model's name replaced."""
        return self.suffix, replace_text(body, "model", model_id)


class _Asked(Struct):
    model: str = ""
    n: int | None = None


class _InputDetails(Struct):
    image_tokens: int | None = None


class _OutputDetails(Struct):
    text_tokens: int | None = None


class _Counts(Struct):
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Replied(Struct):
    usage: _Counts | None = None
    data: list[Raw] | None = None


def embedding_usage(body: bytes) -> Usage | None:
    """Usage of an embeddings reply: prompt tokens only. None when it tells none."""
    replied = _replied(body)
    if replied is None or replied.usage is None:
        return None
    told = (replied.usage.prompt_tokens, replied.usage.input_tokens, replied.usage.total_tokens)
    return next((Usage(input=count) for count in told if count is not None), None)


def image_usage(body: bytes) -> Usage | None:
    """Usage of an image generation: text tokens in, image tokens out as the unit `output_image`. Where a
    reply counts no tokens its images are counted, as the unit `image`."""
    replied = _replied(body)
    if replied is None:
        return None
    counts = replied.usage
    if counts is None or counts.output_tokens is None:
        return Usage(extra={"image": len(replied.data)}) if replied.data else None
    total = counts.input_tokens if counts.input_tokens is not None else counts.prompt_tokens or 0
    seen = (counts.input_tokens_details or _InputDetails()).image_tokens or 0
    words = (counts.output_tokens_details or _OutputDetails()).text_tokens or 0
    extra = {"output_image": counts.output_tokens - words, "input_image": seen}
    kept = {unit: count for unit, count in extra.items() if count}
    return Usage(input=total - seen, output=words, extra=kept)


def _replied(body: bytes) -> _Replied | None:
    try:
        return msgspec.json.decode(body, type=_Replied, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


ERRANDS = {
    "/embeddings": Errand("embeddings", "/embeddings", _OPENAI, embedding_usage),
    "/images/generations": Errand(
        "image generation", "/images/generations", _OPENAI, image_usage, _IMAGE_TOKENS
    ),
}
