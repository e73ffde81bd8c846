"""Texts → vectors, by one call of /v1/embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tierwise.costing import estimate_tokens
from tierwise.errors import UpstreamBroke
from tierwise.http1 import Pool
from tierwise.nouns import Usage

from .attempt import Sent, send
from .deployment import Deployment

_PATH = "/embeddings"
_LARGEST = 8 << 20


class Embedded(Struct, frozen=True):
    """`vectors` in the order of the texts; `model` as the provider names it."""

    vectors: tuple[list[float], ...]
    usage: Usage
    model: str


class _Counted(Struct):
    prompt_tokens: int = 0


class _Row(Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(Struct):
    data: list[_Row]
    usage: _Counted | None = None
    model: str = ""


async def embed(pool: Pool, deployment: Deployment, texts: Sequence[str]) -> Embedded:
    """The vectors of `texts`. Raises UpstreamError when the provider gave another number of them."""
    body = msgspec.json.encode({"model": deployment.model.id, "input": texts, "encoding_format": "float"})
    response = await send(
        pool, deployment, Sent(deployment.other_path(_PATH), deployment.headers(None), body)
    )
    try:
        raw = await response.read(_LARGEST)
    finally:
        response.close()
    try:
        found = msgspec.json.decode(raw, type=_Vectors)
    except msgspec.DecodeError as error:
        raise UpstreamBroke(f"The embeddings reply holds no vectors: {error}.") from None
    if len(found.data) != len(texts):
        raise UpstreamBroke(f"The embeddings reply holds {len(found.data)} vectors for {len(texts)} texts.")
    usage = Usage(input=estimate_tokens(sum(len(text.encode()) for text in texts)), source="estimated")
    if found.usage is not None:
        usage = Usage(input=found.usage.prompt_tokens)
    rows = sorted(found.data, key=lambda row: row.index)
    return Embedded(tuple(row.embedding for row in rows), usage, found.model)


def cosine(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The cosine of two vectors; None when they have none: a zero vector, or two lengths."""
    norms = math.hypot(*first) * math.hypot(*second)
    if len(first) != len(second) or not norms or not math.isfinite(norms):
        return None
    return math.fsum(a * b for a, b in zip(first, second, strict=True)) / norms
