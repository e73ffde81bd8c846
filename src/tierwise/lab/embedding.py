"""Embedder: how near an answer is to the target, by one call of /v1/embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from ..clock import now_us, tick_us
from ..costing import estimate_tokens
from ..errors import SuiteError, UpstreamBroke
from ..http1 import Pool
from ..nouns import Case, Price, Usage
from ..upstream import Deployment, Sent, send
from .asking import ChatTier
from .records import TierCard
from .replies import Answering, Reply

_PATH = "/embeddings"
_DIALECTS = ("openai_chat", "openai_responses")
_LARGEST = 8 << 20


class _Counted(Struct):
    prompt_tokens: int = 0


class _Row(Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(Struct):
    data: list[_Row]
    usage: _Counted | None = None
    model: str = ""


class Embedder:
    """Answers a Case whose `input` and `target` are two texts with their cosine, as text."""

    def __init__(self, card: TierCard, deployment: Deployment, pool: Pool) -> None:
        self.card = card
        self.free = False
        self._deployment = deployment
        self._pool = pool

    @property
    def price(self) -> Price | None:
        return self._deployment.priced.price(now_us())

    async def answer(self, case: Case, repeat: int) -> Reply:
        """Raises UpstreamError when the provider gave no two vectors."""
        texts = [case.input, str(case.target)]
        body = msgspec.json.encode(
            {"model": self._deployment.model.id, "input": texts, "encoding_format": "float"}
        )
        sent = Sent(self._deployment.other_path(_PATH), self._deployment.headers(None), body)
        began = tick_us()
        response = await send(self._pool, self._deployment, sent)
        try:
            raw = await response.read(_LARGEST)
        finally:
            response.close()
        try:
            found = msgspec.json.decode(raw, type=_Vectors)
            first, second = (row.embedding for row in sorted(found.data, key=lambda row: row.index))
        except (msgspec.DecodeError, ValueError) as error:
            raise UpstreamBroke(f"The embeddings reply holds no two vectors: {error}.") from None
        usage = Usage(input=estimate_tokens(sum(len(text.encode()) for text in texts)), source="estimated")
        if found.usage is not None:
            usage = Usage(input=found.usage.prompt_tokens)
        cost = self._deployment.priced.cost(usage, now_us()).pico
        near = cosine(first, second)
        text = "" if near is None else repr(near)
        return Reply(text, "ok", usage, cost, tick_us() - began, served=found.model)


def embedder_of(tier: Answering, pool: Pool) -> Embedder:
    """The Embedder at the place a model was found. Raises SuiteError where no embeddings are spoken."""
    if not isinstance(tier, ChatTier) or tier.deployment.provider.dialect not in _DIALECTS:
        raise SuiteError(
            f"{tier.card.name} has no /v1/embeddings.", "Name an embedding model of an OpenAI-like provider."
        )
    return Embedder(tier.card, tier.deployment, pool)


def cosine(first: Sequence[float], second: Sequence[float]) -> float | None:
    """The cosine of two vectors; None when they have none: a zero vector, or two lengths."""
    norms = math.hypot(*first) * math.hypot(*second)
    if len(first) != len(second) or not norms or not math.isfinite(norms):
        return None
    return math.fsum(a * b for a, b in zip(first, second, strict=True)) / norms
