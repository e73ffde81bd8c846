"""ChatTier: one Case asked of one Model, streamed so that the first token is timed, priced to the
pico-dollar.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Struct

from ...clock import now_us, tick_us
from ...config import model_at
from ...costing import PricedModel, estimate_tokens
from ...dialects import registry
from ...dialects.base import Dialect, limit_of
from ...dialects.spans import overrule
from ...dialects.whole import events_of
from ...errors import UpstreamBroke, UpstreamStatus
from ...http1 import Pool, Response
from ...nouns import (
    BlockStart,
    Case,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Price,
    Started,
    ToolCall,
    Usage,
    UsageSeen,
)
from ...upstream import Deployment, Header, Sent, send
from .records import TierCard
from .replies import Reply

_UNCACHED: tuple[Header, ...] = ((b"cache-control", b"no-store"),)
_TURNS = ("system", "user", "assistant")
_LEAST_FIELDS = 4
_WHOLE_LIMIT = 64 << 20
_CARRIED = ("tools", "tool_choice", "response_format")
# What the provider says of the request itself: this tier cannot serve the Case, whoever asks.
REJECTED = (400, 413, 422)
OUTCOMES = {"length": "truncated", "context": "truncated", "refusal": "refused"}


class Knobs(Struct, frozen=True):
    """How every call is made; None leaves it to the provider."""

    max_tokens: int | None = None
    temperature: float | None = None


class ChatTier:
    """A tier behind a provider or URL. `uncached` asks a gateway in between not to answer from its cache."""

    def __init__(
        self,
        card: TierCard,
        deployment: Deployment,
        pool: Pool,
        knobs: Knobs,
        settings: dict[str, Any],
        *,
        uncached: bool = False,
    ) -> None:
        self.card = card
        self.deployment = deployment
        self.free = False
        self._pool = pool
        self._knobs = knobs
        self._settings = settings
        self._extra = _UNCACHED if uncached else ()
        self._chat = registry.get("openai_chat")
        self._served: dict[str, PricedModel] = {}

    @property
    def price(self) -> Price | None:
        return self.deployment.priced.price(now_us())

    @property
    def longest(self) -> int | None:
        own = limit_of(self._settings)
        if own is None:
            return self._knobs.max_tokens
        return own if own >= 0 else None

    async def answer(self, case: Case, repeat: int) -> Reply:
        """Raises UpstreamError when the provider gave no whole answer; a request it will not take is an
        outcome.
        """
        sent = self.written(case)
        began = tick_us()
        try:
            response = await send(self._pool, self.deployment, sent)
        except UpstreamStatus as error:
            if error.status not in REJECTED:
                raise
            return Reply("", "rejected", Usage(), 0, tick_us() - began, error=error.message[:300])
        gathered = Gathered(self.deployment.dialect)
        try:
            await gathered.read(response)
        finally:
            response.close()
        total = tick_us() - began
        cached = response.header(b"x-tierwise-cache") == b"hit"
        usage = gathered.usage
        if usage is None:
            usage = Usage(
                input=estimate_tokens(len(sent.body)),
                output=estimate_tokens(len(gathered.text.encode())),
                source="estimated",
            )
        return Reply(
            text=gathered.answer(),
            outcome=OUTCOMES.get(gathered.finish, "ok"),
            usage=usage,
            cost_pico=0 if cached else self.cost(usage, gathered.served),
            total_us=total,
            ttft_us=None if cached or gathered.first_us is None else gathered.first_us - began,
            cached=cached,
            served=gathered.served,
        )

    def written(self, case: Case) -> Sent:
        """The streamed request of one Case, as this tier's provider takes it."""
        body: dict[str, Any] = {
            "model": self.deployment.model.id,
            "messages": case.messages or ({"role": "user", "content": case.input},),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._knobs.max_tokens is not None:
            body["max_tokens"] = self._knobs.max_tokens
        if self._knobs.temperature is not None:
            body["temperature"] = self._knobs.temperature
        body |= {name: _plain(case.metadata[name]) for name in _CARRIED if case.metadata.get(name)}
        data, extra = msgspec.json.encode(body), self._extra
        if self.deployment.dialect is not self._chat or not _simple(body):
            ask = self._chat.read_request(data, {})
            written = self.deployment.dialect.write_request(ask, self.deployment.model)
            data, extra = written.body, (*written.headers, *extra)
        if self._settings:
            data = overrule(data, self._settings)
        headers = self.deployment.headers(None, extra)
        return Sent(self.deployment.path(True), headers, data)

    def cost(self, usage: Usage, served: str) -> int | None:
        """Pico-dollars of one call whose reply names the model `served`; None: unpriced."""
        priced = self.deployment.priced
        if self._extra and served and not self.deployment.model.prices:
            priced = self._priced_as_served(served)
        tier = self._settings.get("service_tier")
        return priced.cost(usage, now_us(), service_tier=tier if isinstance(tier, str) else None).pico

    def _priced_as_served(self, served: str) -> PricedModel:
        """By the model the reply names, where the one asked for has no price (`tier/haiku` at a gateway)."""
        if served not in self._served:
            found = self.deployment.priced
            for name in (served, served.partition("/")[2]):
                model = model_at(self.deployment.provider, name) if name else self.deployment.model
                if model.prices:
                    found = PricedModel(model)
                    break
            self._served[served] = found
        return self._served[served]


class Gathered:
    """A stream put together: text, tool calls, usage, why it ended, and when its first content came."""

    def __init__(self, dialect: Dialect) -> None:
        self.text = ""
        self.usage: Usage | None = None
        self.finish = ""
        self.served = ""
        self.first_us: int | None = None
        self.ended = False
        self._dialect = dialect
        self._kinds: dict[int, str] = {}
        self._texts: list[str] = []
        self._calls: dict[int, tuple[str, list[str]]] = {}

    async def read(self, response: Response) -> None:
        """Reads to the end; a whole reply in a stream's place is taken too. Raises UpstreamBroke without the
        stream's own terminator, UpstreamStatus on an error in it.
        """
        data = await response.chunk()
        if data.lstrip()[:1] == b"{":  # some servers do not stream, or not every model
            for event in events_of(self._dialect.read_answer(data + await response.read(_WHOLE_LIMIT))):
                self._take(event)
        else:
            await self._read_stream(response, data)
        if not self.ended:
            raise UpstreamBroke("The provider's stream broke off before its end.")
        self.text = "".join(self._texts)

    async def _read_stream(self, response: Response, data: bytes) -> None:
        reader = self._dialect.reader()
        while True:
            for event in reader.feed(data) if data else reader.finish():
                self._take(event)
            if not data:
                return
            data = await response.chunk()

    def answer(self) -> str:
        """The tool calls as JSON where there are any, else the text."""
        if not self._calls:
            return self.text
        calls = [{"name": name, "arguments": "".join(pieces)} for name, pieces in self._calls.values()]
        return json.dumps(calls, ensure_ascii=False)

    def _take(self, event: Event) -> None:
        if isinstance(event, Delta):
            if event.choice == 0:
                self._piece(event)
        elif isinstance(event, BlockStart):
            if event.choice == 0:
                self._kinds[event.index] = event.kind
                if isinstance(event.part, ToolCall):
                    self._calls[event.index] = (event.part.name, [event.part.arguments])
        elif isinstance(event, UsageSeen):
            self.usage = event.usage
        elif isinstance(event, Started):
            self.served = event.model
            self.usage = event.usage or self.usage
        elif isinstance(event, Finished):
            self.finish = "refusal" if self.finish == "refusal" else event.reason
        elif isinstance(event, Failed):
            raise UpstreamStatus(event.status, event.message, event.code)
        elif isinstance(event, Ended):
            self.ended = True

    def _piece(self, event: Delta) -> None:
        if self.first_us is None and event.text:
            self.first_us = tick_us()
        kind = self._kinds.get(event.index, "text")
        if kind == "tool_call":
            self._calls[event.index][1].append(event.text)
        elif kind in ("text", "refusal"):
            self._texts.append(event.text)
            if kind == "refusal":
                self.finish = "refusal"


def _simple(body: dict[str, Any]) -> bool:
    """Whether a body is plain text turns and nothing else: OpenAI chat's own models all take it as it is."""
    return len(body) == _LEAST_FIELDS and all(
        type(turn.get("content")) is str and turn["role"] in _TURNS and len(turn) == 2
        for turn in body["messages"]
    )


def _plain(value: Any) -> Any:
    """A CSV's JSON text as what it says."""
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
