"""Playground: one prompt to several tiers, through the data plane like any other call."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tierwise.costing import price_at
from tierwise.errors import BadRequest, TierwiseError
from tierwise.http1 import Call, Origin, Pool, Response
from tierwise.ledger.location import is_shared

from ..shown import iso
from ..site import Site, now
from .ranges import Nothing

KEY_NAME = "playground"
PROJECT = "dashboard"
_MOST_OUTPUT = 32_000
_USED_US = 12 * 3_600_000_000
"""How long a process uses its key before it makes another."""
_OVER_US = 2 * _USED_US


class Choice(Struct, frozen=True):
    """A tier that can be asked, with today's prices in pico-dollars a token."""

    tier: str
    model: str
    input_price: int | None
    output_price: int | None


class Playground(Struct, frozen=True):
    """What the playground offers."""

    choices: list[Choice]
    tasks: list[str]
    data_url: str
    key_name: str
    project: str


class Prompt(Struct, frozen=True, forbid_unknown_fields=True):
    """One prompt to one target: `tier/NAME`, `task/NAME`, `auto` or a model's name."""

    model: Annotated[str, Meta(min_length=1, max_length=300)]
    prompt: Annotated[str, Meta(min_length=1, max_length=200_000)]
    system: Annotated[str, Meta(max_length=200_000)] = ""
    max_tokens: Annotated[int, Meta(ge=1, le=_MOST_OUTPUT)] = 300


class QuotedTier(Struct, frozen=True):
    """What the prompt may cost on one tier, pico-dollars: `low` its prompt alone, `high` what a budget would
    reserve. None: `unpriced` says why. `chosen`: where the call would go."""

    tier: str
    model: str
    chosen: bool
    low_pico: int | None
    high_pico: int | None
    unpriced: str
    low_usd: str | None
    high_usd: str | None


class Quote(Struct, frozen=True):
    """What a prompt may cost before it is sent. Its tokens are an estimate."""

    tier: str
    model: str
    route: str
    prompt_tokens: int
    tiers: list[QuotedTier]


class Refused(TierwiseError):
    """What the data plane refused, in this port's words."""

    kind = "data_plane"

    def __init__(self, status: int, body: bytes) -> None:
        try:
            fault = msgspec.json.decode(body, type=_Refusal).error
        except msgspec.DecodeError:
            fault = _Fault("The data plane gave no reason.")
        super().__init__(fault.message, f"The data plane calls this `{fault.code}`." if fault.code else "")
        self.status = status


class _Fault(Struct):
    message: str
    code: str | None = None


class _Refusal(Struct):
    error: _Fault


class Stream:
    """The data plane's reply, passed on as it comes."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self.status = response.status
        self.headers: dict[str, str] = {}
        for name, value in response.headers:
            word = name.decode("latin1")
            if word == "content-type" or word.startswith("x-tierwise-"):
                self.headers[word] = value.decode("latin1")

    async def whole(self) -> bytes:
        """All of the body."""
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body; the data plane's call is cut when nobody listens any more."""
        try:
            while piece := await self._response.chunk():
                yield piece
        finally:
            self._response.close()


def playground(site: Site, asked: Nothing) -> Playground:
    """The tiers to choose from."""
    today, choices = iso(now())[:10], []
    for name in site.tier_order():
        model = site.catalog.models[site.catalog.tiers[name].model]
        price = price_at(model.prices, today)
        choices.append(
            Choice(name, model.name, price.input if price else None, price.output if price else None)
        )
    return Playground(choices, sorted(site.policy.tasks), site.control.data_url, KEY_NAME, PROJECT)


async def send(pool: Pool, secret: str, site: Site, prompt: Prompt) -> Stream:
    """Sends a prompt as a stream of OpenAI chat. Raises Refused, and UpstreamError when the data plane
    does not answer."""
    return await _post(pool, secret, site, ("/v1/chat/completions", _body(prompt)))


async def quote(pool: Pool, secret: str, site: Site, prompt: Prompt) -> Quote:
    """What the prompt may cost on each tier. Nothing is sent or booked. Raises Refused, UpstreamError."""
    stream = await _post(pool, secret, site, ("/v1/quote", _body(prompt)))
    return msgspec.json.decode(await stream.whole(), type=Quote)


def _body(prompt: Prompt) -> bytes:
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in prompt.model):
        raise BadRequest("The model's name has control characters.", "Choose a tier.", "model")
    messages = [{"role": "user", "content": prompt.prompt}]
    if prompt.system:
        messages.insert(0, {"role": "system", "content": prompt.system})
    return msgspec.json.encode(
        {
            "model": prompt.model,
            "messages": messages,
            "max_tokens": prompt.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


async def _post(pool: Pool, secret: str, site: Site, asked: tuple[str, bytes]) -> Stream:
    path, body = asked
    origin, prefix = Origin.parse(site.control.data_url)
    headers = [
        (b"authorization", b"Bearer " + secret.encode()),
        (b"content-type", b"application/json"),
        (b"x-tierwise-tags", b"playground"),
    ]
    stream = Stream(await pool.send(Call(origin, "POST", f"{prefix}{path}", headers, body)))
    if stream.status != 200:
        raise Refused(stream.status, await stream.whole())
    return stream


def secret_of(site: Site) -> str:
    """This process's own key of the playground, made when first needed and kept in memory only.

    Those of earlier starts are revoked; in a ledger that replicas share, once they are so old that no replica
    can still be using its own.
    """
    with site.playground_lock:
        ledger, at_us = site.control.gate.ledger, now()
        secret = site.playground_secret
        own = ledger.find(ledger.digest_of(secret)) if secret else None
        if own is not None and own.created_us > at_us - _USED_US:
            return secret
        left_us = at_us - (_OVER_US if is_shared(site.control.ledger_url) else 0)
        for key in ledger.list_keys():
            mine = key.name == KEY_NAME and key.project == PROJECT and key.revoked_us is None
            if mine and key != own and key.created_us <= left_us:
                ledger.revoke_key(key.id)
        _, site.playground_secret = ledger.create_key(KEY_NAME, project=PROJECT)
        return site.playground_secret
