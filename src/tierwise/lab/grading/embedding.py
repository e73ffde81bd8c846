"""Embedder: how near an answer is to the target, by one call of /v1/embeddings."""

from __future__ import annotations

from ...clock import now_us, tick_us
from ...config.rows import EMBEDDING_DIALECTS
from ...errors import SuiteError
from ...http1 import Pool
from ...nouns import Case, Price
from ...upstream import Deployment
from ...upstream.embedding import cosine, embed
from ..running.asking import ChatTier
from ..running.records import TierCard
from ..running.replies import Answering, Reply


class Embedder:
    """Answers a Case whose `input` and `target` are two texts with their cosine, as text."""

    def __init__(self, card: TierCard, deployment: Deployment, pool: Pool) -> None:
        self.card = card
        self.free = False
        self.longest: int | None = None
        self._deployment = deployment
        self._pool = pool

    @property
    def price(self) -> Price | None:
        return self._deployment.priced.price(now_us())

    async def answer(self, case: Case, repeat: int) -> Reply:
        """Raises UpstreamError when the provider gave no two vectors."""
        began = tick_us()
        found = await embed(self._pool, self._deployment, [case.input, str(case.target)])
        usage = found.usage
        cost = self._deployment.priced.cost(usage, now_us()).pico
        near = cosine(*found.vectors)
        text = "" if near is None else repr(near)
        return Reply(text, "ok", usage, cost, tick_us() - began, served=found.model)


def embedder_of(tier: Answering, pool: Pool) -> Embedder:
    """The Embedder at the place a model was found. Raises SuiteError where no embeddings are spoken."""
    if not isinstance(tier, ChatTier) or tier.deployment.provider.dialect not in EMBEDDING_DIALECTS:
        raise SuiteError(
            f"{tier.card.name} has no /v1/embeddings.", "Name an embedding model of an OpenAI-like provider."
        )
    return Embedder(tier.card, tier.deployment, pool)
