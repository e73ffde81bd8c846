"""What the simulator's faces read into and write from:

its own small words, so that it stays a check of the dialects.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Literal

from msgspec import Struct

MEDIA_TOKENS = 258
"""What one image or document counts, whatever its size."""


_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.S)


def asked_in(texts: list[str]) -> str:
    """What a user's turn asks:

    its last text that says something beside reminders that a client slipped in.
    """
    for text in reversed(texts):
        left = _REMINDER.sub("", text).strip() if "<system-reminder>" in text else text
        if left:
            return left
    return ""


def count(text: str) -> int:
    """Simulated tokens of `text`: UTF-8 bytes / 4, rounded up. No real tokenizer counts like this."""
    size = len(text) if text.isascii() else len(text.encode())
    return (size + 3) // 4


class Rejected(Exception):
    """A reply that is an error of the provider: each face writes it in its own dialect."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s: int | None = None


class Block(Struct):
    """One piece of the prompt in cache order (tools, system, messages).

    `ttl` is "" or its cache breakpoint: 5m, 1h, 30m.
    """

    key: bytes
    tokens: int
    ttl: str = ""


class ToolSpec(Struct):
    """A tool the caller offers.

    `schema` is the JSON Schema of its arguments; `custom` tools take free text.
    """

    name: str
    schema: dict[str, Any] = {}
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class ToolOutput(Struct):
    name: str
    text: str
    error: bool = False


class Medium(Struct):
    """An image, document or sound in the question. `size` in bytes, None when it is only referred to."""

    kind: str
    size: int | None


class Prompt(Struct):
    """A request, as far as the simulator cares.

    `max_tokens` None: as long as it likes. `thinking`: token budget, 0 for none.

    `choice`: auto, none, any, or the name of the tool that must be called.
    """

    model: str
    purpose: Literal["answer", "count", "embed"] = "answer"
    stream: bool = False
    system: str = ""
    turns: list[str] = []
    """Every text said so far but the system's, in order."""
    question: str = ""
    results: list[ToolOutput] = []
    """Tool results since the assistant last spoke."""
    media: list[Medium] = []
    prefill: str = ""
    tools: list[ToolSpec] = []
    choice: str = "auto"
    parallel: bool = True
    max_tokens: int | None = None
    stops: list[str] = []
    schema: dict[str, Any] | None = None
    wants_json: bool = False
    thinking: int = 0
    n: int = 1
    include_usage: bool = False
    blocks: list[Block] = []
    automatic: bool = False
    """Whether a long prefix is cached without breakpoints."""
    writes_free: bool = False
    """Whether writing to the cache costs nothing whatever the model, since usage has no word for it."""
    asked: dict[str, Any] = {}
    """The decoded body, for what a face echoes."""
    prefix: bytes = b""
    """Chained digest of all blocks, where thinking blocks are bound to it."""

    def tokens(self) -> int:
        """Tokens of the whole prompt, at least 1."""
        return max(1, sum(block.tokens for block in self.blocks))

    def canonical(self) -> bytes:
        """The same for the same words in any dialect."""
        said = "\x00".join([self.system, *self.turns, *(result.text for result in self.results)])
        return said.encode(errors="surrogatepass")


class Call(Struct):
    """A tool call. `arguments` is JSON text, or the free text of a custom tool."""

    id: str
    name: str
    arguments: str
    kind: Literal["function", "custom"] = "function"
    namespace: str | None = None


class Said(Struct):
    """One answer. `output` counts all its tokens, `reasoning` those of them spent thinking."""

    text: str = ""
    thinking: str = ""
    signature: str = ""
    calls: list[Call] = []
    finish: Literal["stop", "length", "stop_sequence", "tool_calls", "refusal"] = "stop"
    stop_sequence: str | None = None
    output: int = 0
    reasoning: int = 0


class Buckets(Struct):
    """Tokens in disjoint buckets, as a bill has them; `reasoning` is a part of `output`."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def written(self) -> int:
        return self.cache_write_5m + self.cache_write_1h


class Answering(Struct):
    """What a face needs to write a reply: ids, the prompt, what was said (one or n), what it used."""

    id: str
    created: int
    prompt: Prompt
    said: list[Said]
    used: Buckets
    piece: int = 16
    """Characters per frame of a stream."""
    explicit_writes: bool = False
    """Whether this model's usage tells cache writes in the OpenAI dialects."""


def draw(*parts: object) -> int:
    """64 bits that depend on `parts` alone, the same on every machine."""
    text = "\x1f".join(part if isinstance(part, str) else repr(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` alone."""
    return draw(*parts) / 2**64


def pieces(text: str, size: int = 16) -> list[str]:
    """`text` in the slices a stream sends, none empty."""
    return [text[i : i + size] for i in range(0, len(text), size)]
