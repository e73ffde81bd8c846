"""One cheap call to each provider of a configuration."""

from __future__ import annotations

import asyncio

from msgspec import Struct

from ..clock import now_us, rfc3339, tick_us
from ..config import Settings
from ..costing import price_at
from ..errors import TierwiseError, UpstreamBroke, UpstreamStatus, UpstreamTimeout
from ..http1 import Pool
from ..nouns import Ask, Message, Model, Provider, Text
from ..upstream import Deployment, Sent, send

_DEADLINE_S = 60.0
_REPLY = 1 << 20
_NOT_CHAT = ("embed", "rerank", "whisper", "tts", "image", "moderation")


class Heard(Struct, frozen=True):
    """What came of one call; `error` "" when it was answered. Tokens and cost are None when not known."""

    provider: str
    model: str | None = None
    latency_ms: int | None = None
    input: int | None = None
    output: int | None = None
    cost_pico: int | None = None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the provider answered."""
        return not self.error


async def ask_all(settings: Settings) -> tuple[Heard, ...]:
    """Asks every provider at once for one token, in the order of the configuration."""
    pool = Pool()
    try:
        calls = [_ask(pool, provider, settings) for provider in settings.catalog.providers.values()]
        return tuple(await asyncio.gather(*calls))
    finally:
        await pool.close()


async def _ask(pool: Pool, provider: Provider, settings: Settings) -> Heard:
    model = cheapest(provider, settings)
    if model is None:
        return Heard(
            provider.name, error="no model of it is known. List one in its `models`, or make a tier."
        )
    began_us = tick_us()
    deployment = Deployment(model, provider, settings.secrets.get(provider.name))
    try:
        body = await _answer(pool, deployment)
        took_ms = (tick_us() - began_us) // 1000
        deployment.dialect.read_answer(body)
        usage = deployment.dialect.usage(body)
    except TierwiseError as error:
        return Heard(provider.name, model.name, error=f"{model.name}: {words(error, provider, deployment)}")
    if usage is None:
        return Heard(provider.name, model.name, took_ms)
    cost = deployment.priced.cost(usage, now_us()).pico
    return Heard(provider.name, model.name, took_ms, usage.prompt, usage.output, cost)


def words(error: TierwiseError, provider: Provider, deployment: Deployment) -> str:
    """What went wrong. A provider that refuses a credential is not quoted: it may repeat a part of it."""
    if isinstance(error, UpstreamStatus) and error.status in (404, 405):
        asked = (
            f"{deployment.origin.scheme}://{deployment.origin.authority().decode()}{deployment.path(False)}"
        )
        return f"{error.sentence()} Asked at {asked}: is its base_url as the vendor's own SDK takes it?"
    if isinstance(error, UpstreamStatus) and error.status in (401, 403):
        return f"the provider refused {provider.key or 'a call without a key'} ({error.status})."
    return error.sentence()


async def _answer(pool: Pool, deployment: Deployment) -> bytes:
    """The reply's body. Raises UpstreamError."""
    asked = Ask(
        dialect=deployment.dialect.name,
        model=deployment.model.id,
        messages=(Message("user", (Text("Say: 1"),)),),
        max_output=1,
    )
    written = deployment.dialect.write_request(asked, deployment.model)
    headers = deployment.headers(None, written.headers)
    try:
        async with asyncio.timeout(_DEADLINE_S):
            response = await send(pool, deployment, Sent(deployment.path(False), headers, written.body))
            try:
                body = await response.read(_REPLY)
            finally:
                response.close()
    except TimeoutError:
        raise UpstreamTimeout(f"no answer within {_DEADLINE_S:g} seconds.") from None
    if not body:
        raise UpstreamBroke("an empty answer.")
    return body


def cheapest(provider: Provider, settings: Settings) -> Model | None:
    """The model there whose answer costs least, unpriced ones last; None when none is known."""
    today = rfc3339(now_us())[:10]

    def rank(model: Model) -> tuple[bool, int]:
        price = price_at(model.prices, today)
        known = price is not None and price.input is not None and price.output is not None
        return (not known, (price.input or 0) + (price.output or 0) if price is not None else 0)

    models = [
        model
        for model in settings.catalog.models.values()
        if model.provider == provider.name and not any(word in model.id.lower() for word in _NOT_CHAT)
    ]
    return min(models, key=rank, default=None)
