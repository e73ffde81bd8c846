"""What a Dialect is: the shapes every wire format's translator has, so that the gateway treats them alike.

Dialects never know one another. A call that stays in one dialect passes as bytes (`replace_model`, `tap`);
a call that changes dialect goes `read_request` → `write_request`, then `read_answer` → `write_answer` or
`reader` → `writer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from ..errors import BadRequest, TierwiseError, UpstreamStatus
from ..nouns import Answer, Ask, DialectName, Event, Loss, Model, Outline, Usage
from .spans import LIMITS

Headers = tuple[tuple[bytes, bytes], ...]


_MOST_MODELS = 64


def asks_cost(usage: Any) -> bool:
    """Whether a request's member `usage` asks for its cost in the reply: `{"include": true}`."""
    return isinstance(usage, dict) and usage.get("include") is True


def named_models(*lists: Any) -> tuple[str, ...]:
    """Ids in a request's `models` or `fallbacks`: texts, or objects with a `model`. What is neither is for
    the provider to judge. Raises BadRequest for more than any provider takes."""
    entries = [entry for told in lists if isinstance(told, list) for entry in told]
    if len(entries) > _MOST_MODELS:
        raise BadRequest(
            f"The request names {len(entries)} models.", f"Name at most {_MOST_MODELS}.", "models"
        )
    ids = [entry.get("model") if isinstance(entry, dict) else entry for entry in entries]
    return tuple(dict.fromkeys(text for text in ids if isinstance(text, str) and text))


def searches(plugins: Any) -> bool:
    """Whether a request's `plugins` (OpenRouter's) have the web searched for it."""
    listed = plugins if isinstance(plugins, list) else ()
    found = (each for each in listed if isinstance(each, dict) and each.get("id") == "web")
    return any(each.get("enabled") is not False for each in found)


def loosest(*limits: float | None) -> int | None:
    """The limit of an answer, in tokens, of a request that may name it more than once: the largest, or a
    negative one, which some servers take for none. None: none is named."""
    told = [int(limit) for limit in limits if limit is not None]
    return None if not told else min(told) if min(told) < 0 else max(told)


def limit_of(settings: Mapping[str, Any]) -> int | None:
    """Tokens of the longest answer that a tier's settings ask for, negative: any; None: they name none."""
    google = settings.get("generationConfig")
    told = [settings.get(name) for name in LIMITS]
    if isinstance(google, Mapping):
        told.append(google.get("maxOutputTokens"))
    return loosest(*(value for value in told if isinstance(value, int | float)))


class Written(Struct, frozen=True):
    """Bytes for the wire, headers that must go with them, and what could not be carried."""

    body: bytes
    headers: Headers = ()
    losses: tuple[Loss, ...] = ()
    reworded: bool = False
    """Whether the model refuses the caller's own words in the same dialect, and takes these, which say the
    same."""


class StreamReader(Protocol):
    """Turns a provider's stream into Events, whatever the chunking."""

    def feed(self, data: bytes) -> list[Event]:
        """Events completed by `data`. UpstreamBroke when the stream is malformed; a provider's own error is
        a Failed.
        """

    def finish(self) -> list[Event]:
        """Events still due at the end of the bytes. No Ended among them unless the provider's terminator
        was seen.
        """


class StreamWriter(Protocol):
    """Turns Events into one dialect's stream."""

    @property
    def losses(self) -> list[Loss]:
        """What could not be shown so far."""

    def write(self, event: Event) -> bytes:
        """The bytes `event` causes, b"" when nothing is due. Ended gives the terminal bytes."""

    def error(self, error: TierwiseError) -> bytes:
        """The dialect's mid-stream error event. Nothing, no terminator either, may follow it."""


class Tap(Protocol):
    """Observes a stream that passes through as bytes. `usage` and `model` None: not seen; `text_bytes` of
    answer so far.
    """

    usage: Usage | None
    content: bool
    ended: bool
    error: UpstreamStatus | None
    text_bytes: int
    malformed: bool
    model: str | None

    def feed(self, data: bytes) -> int:
        """Offset into `data` from which bytes complete the terminator and must be held back; len(data):
        none.
        """


class Dialect(Protocol):
    """One wire format, both ways. Objects hold no state: one serves every call."""

    @property
    def name(self) -> DialectName: ...

    def outline(self, body: bytes) -> Outline:
        """The little that choosing needs. BadRequest with `param` on bad JSON, wrong types, a missing model
        or messages.
        """

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> Ask:
        """The whole request; unknown top-level fields go to extras. Header names are lower-case.
        BadRequest.
        """

    def write_request(self, ask: Ask, model: Model) -> Written:
        """The request for `model.id`, degraded as `model.abilities` demands; everything not carried is a
        Loss.
        """

    def replace_model(self, body: bytes, model_id: str) -> bytes:
        """`body` with only the bytes of the top-level model string changed."""

    def read_answer(self, body: bytes) -> Answer:
        """A whole reply. UpstreamBroke when malformed."""

    def write_answer(self, answer: Answer, ask: Ask) -> Written:
        """The reply to `ask`."""

    def usage(self, body: bytes) -> Usage | None:
        """Usage of a whole reply, fast; None when it tells none."""

    def served_model(self, body: bytes) -> str | None:
        """The model a whole reply names; None when it names none."""

    def reader(self) -> StreamReader: ...

    def writer(self, ask: Ask) -> StreamWriter: ...

    def tap(self) -> Tap: ...

    def write_error(
        self, error: TierwiseError, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        """Status, extra headers and body that tell `error` in this dialect's words."""

    def write_stream_error(self, error: TierwiseError) -> bytes:
        """The mid-stream error event."""

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
        """A provider's error reply. Header names are lower-case."""

    def path(self, model_id: str, stream: bool) -> str:
        """What the vendor's SDK appends to its base URL."""

    def credentials(self, secret: str) -> list[tuple[bytes, bytes]]:
        """Headers that authenticate upstream."""
