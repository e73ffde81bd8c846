"""Answer, Event, Usage, Loss: what comes back, whole or in pieces."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import Struct

from .ask import Citation, Part

FinishReason = Literal[
    "stop", "stop_sequence", "length", "context", "tool_calls", "refusal", "pause", "error"
]
BlockKind = Literal["text", "thinking", "tool_call", "refusal", "opaque"]


class Usage(Struct, frozen=True):
    """Tokens in disjoint buckets: a token is in exactly one of input, cache_read, cache_write_5m,
    cache_write_1h, output.

    `reasoning` is the part of `output` spent thinking. `extra` counts other billed units by name
    (`web_search` calls,
    `input_audio`, `output_image` tokens …), disjoint from the buckets. `source`: `reported` by the
    provider, `estimated` here, or `partial` (some buckets reported before a stream broke off), or
    `cached`: an answer that was kept, so nothing was used.
    `service_tier` is the class the provider says it billed the call in (`flex`, `priority`, `batch` …; see
    tier_billed), "" at list price: it decides the price, whatever was asked for. `others`: model ids of the
    same provider that it asked of its own accord, with what each used, which is in no bucket; `extra` counts
    their tokens (`fallback_tokens`, `advisor_tokens`).
    """

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    extra: dict[str, int] = {}
    source: Literal["reported", "estimated", "partial", "cached"] = "reported"
    service_tier: str = ""
    others: tuple[tuple[str, Usage], ...] = ()

    @property
    def prompt(self) -> int:
        """All input tokens, cached or not."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


NOTHING = Usage()
"""Told by its identity: what a call came to that the provider refused, and does not bill."""
OTHERS = frozenset(("advisor_tokens", "fallback_tokens"))
"""Units of `extra` that count tokens of `others`."""
LIST_PRICE_TIERS = frozenset({"", "default", "standard", "auto", "standard_only", "on_demand"})
"""Words with which vendors name the class that is billed at list price."""


def tier_billed(*told: str | None) -> str:
    """Usage.service_tier of what a reply told: lower case, "" at list price, several joined by `+`."""
    words = [word.lower() for word in told if word]
    return "+".join(word for word in words if word not in LIST_PRICE_TIERS)


class Loss(Struct, frozen=True):
    """A named thing one dialect could not carry. `name` is a stable dotted word such as `sampling.top_k`."""

    name: str
    detail: str = ""


class Choice(Struct, frozen=True):
    """One answer of n. `finish` is why it ended, `stop_sequence` which one matched, `logprobs` as OpenAI
    chat writes them, `extras` its vendor's fields outside these words."""

    parts: tuple[Part, ...] = ()
    finish: FinishReason = "stop"
    stop_sequence: str | None = None
    logprobs: dict[str, Any] | None = None
    extras: dict[str, Any] = {}


class Answer(Struct, frozen=True):
    """A whole reply. `usage` None when the provider told none. `extras` are vendor fields outside these
    words, as `dialect` wrote them; of those in `cited`, citations tell the same."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    created: int = 0
    """Seconds since 1970, 0 when unsaid."""
    service_tier: str | None = None
    extras: dict[str, Any] = {}
    dialect: str = ""
    cited: tuple[str, ...] = ()


class Started(Struct, frozen=True, tag="started"):
    """The stream begins. `usage` holds the input buckets when the provider tells them this early."""

    id: str
    model: str
    created: int = 0
    usage: Usage | None = None
    service_tier: str | None = None


class BlockStart(Struct, frozen=True, tag="block_start"):
    """A block of content opens. Blocks of one choice may interleave; `index` is unique within the choice.

    `part` carries what is known at the start: ToolCall with id, name and empty arguments; Thinking with its
    ids; Opaque whole.
    """

    index: int
    kind: BlockKind
    part: Part | None = None
    choice: int = 0


class Delta(Struct, frozen=True, tag="delta"):
    """A piece of block `index`: answer text, thinking text, argument text or refusal text, as the block's
    kind says."""

    index: int
    text: str
    choice: int = 0
    logprobs: dict[str, Any] | None = None


class Signed(Struct, frozen=True, tag="signed"):
    """What verifies a thinking block (or Gemini's signature on a tool call), sent after its text."""

    index: int
    signature: str = ""
    encrypted: str = ""
    choice: int = 0


class Cited(Struct, frozen=True, tag="cited"):
    """A citation for text block `index`, told before the block stops."""

    index: int
    citation: Citation
    choice: int = 0


class BlockStop(Struct, frozen=True, tag="block_stop"):
    index: int
    choice: int = 0


class Finished(Struct, frozen=True, tag="finished"):
    """One choice is complete."""

    reason: FinishReason
    stop_sequence: str | None = None
    choice: int = 0


class Extra(Struct, frozen=True, tag="extra"):
    """A vendor's field of the answer outside these words, as `dialect` wrote it: of one choice, or, with
    `choice` None, of the whole answer. A later one of the same name replaces the first. `cited`: citations
    tell the same."""

    name: str
    value: Any
    dialect: str
    choice: int | None = None
    cited: bool = False


class UsageSeen(Struct, frozen=True, tag="usage"):
    """Totals so far: each one replaces the last, never adds."""

    usage: Usage


class Ping(Struct, frozen=True, tag="ping"):
    pass


class Failed(Struct, frozen=True, tag="failed"):
    """The provider reported an error inside the stream. Nothing follows."""

    status: int
    message: str
    code: str = ""


class Ended(Struct, frozen=True, tag="ended"):
    """The provider's own terminator was seen ([DONE], message_stop, response.completed …): the stream is
    whole."""


Event = (
    Started
    | BlockStart
    | Delta
    | Signed
    | Cited
    | BlockStop
    | Finished
    | Extra
    | UsageSeen
    | Ping
    | Failed
    | Ended
)
