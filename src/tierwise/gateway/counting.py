"""Counting tokens before a call: asked of the provider where it can count, else estimated and marked so.

The estimate is bytes / 3.5 times a factor per model, learned from what providers reported for real calls.
"""

from __future__ import annotations

import msgspec

from tierwise.errors import TierwiseError, UpstreamError
from tierwise.http1 import Reply
from tierwise.nouns import DialectName
from tierwise.upstream import Deployment, Sent, send

from . import reply as writing
from .calling import Caller
from .walk import Walk

# Where providers of a dialect count, appended to their base URL; a dialect that is not here cannot be asked.
_ASKED: dict[DialectName, str] = {
    "anthropic_messages": "/v1/messages/count_tokens",
    "openai_responses": "/responses/input_tokens",
}
_LIMIT = 1 << 20
_WEIGHT = 0.1
_LEAST_BYTES = 400
_MOST = 10_000


class Factors:
    """Model name → reported prompt tokens over estimated ones, as a moving average."""

    def __init__(self) -> None:
        self._factors: dict[str, float] = {}

    def learn(self, model: str, estimated: int, reported: int, size: int) -> None:
        """Takes in one call's figures; short prompts say little and are left out."""
        if size < _LEAST_BYTES or estimated <= 0 or reported <= 0:
            return
        seen = min(max(reported / estimated, 0.25), 4.0)
        known = self._factors.get(model)
        if known is None and len(self._factors) >= _MOST:
            return
        self._factors[model] = seen if known is None else known + _WEIGHT * (seen - known)

    def estimate(self, model: str, tokens: int) -> int:
        """`tokens` estimated from bytes, corrected for `model`."""
        return max(1, round(tokens * self._factors.get(model, 1.0)))


async def count(caller: Caller, factors: Factors, walk: Walk, reply: Reply) -> None:
    """Answers how many prompt tokens the request has at the model its route names. Costs nothing, so it has
    no row."""
    assert walk.route is not None
    deployment = walk.snapshot.deployment(walk.route.candidates[0].model)
    suffix = _ASKED.get(deployment.dialect.name)
    if suffix is not None and deployment.dialect.name == walk.surface.name:
        try:
            body = await _ask(caller, deployment, walk, suffix)
            reply.send(200, writing.told(walk, writing.PLAIN, ("", deployment.name)), body)
            return
        except UpstreamError as error:
            if error.retry == "never":
                raise
    tokens = factors.estimate(deployment.name, walk.prompt_tokens)
    estimate = [(b"x-tierwise-estimate", b"true")]
    head = writing.told(walk, writing.PLAIN, ("", deployment.name), None, estimate)
    reply.send(200, head, _shaped(walk.surface.name, tokens))


async def _ask(caller: Caller, deployment: Deployment, walk: Walk, suffix: str) -> bytes:
    body = deployment.dialect.replace_model(walk.body, deployment.model.id)
    sent = Sent(deployment.other_path(suffix), deployment.headers(walk.request.headers), body)
    try:
        response = await send(caller.pool, deployment, sent)
    except TierwiseError:
        walk.failed_dialect = deployment.dialect.name
        raise
    try:
        return await response.read(_LIMIT)
    finally:
        response.close()


def _shaped(dialect: DialectName, tokens: int) -> bytes:
    if dialect == "gemini":
        return msgspec.json.encode({"totalTokens": tokens})
    if dialect == "anthropic_messages":
        return msgspec.json.encode({"input_tokens": tokens})
    return msgspec.json.encode({"object": "response.input_tokens", "input_tokens": tokens})
