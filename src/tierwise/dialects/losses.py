"""The names of what a dialect could not carry. They are stable: callers match on them in
`x-tierwise-losses`.

A name says *what* was asked for, never which dialect lacked it. Two families are open: `extra.NAME` (a
top-level field of the caller's dialect that these words do not cover) and `opaque.KIND` (a part only the
caller's dialect understands).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ..nouns import Answer, Extra, Loss, Tool

# Fields of one dialect with the value that is the same as leaving them out.
_IDLE: Mapping[str, Any] = MappingProxyType({"truncation": "disabled", "background": False})

CATALOG = MappingProxyType(
    {
        # sampling
        "sampling.temperature": "temperature was not sent",
        "sampling.temperature_range": "temperature is above the target's highest, which was sent instead",
        "sampling.top_p": "top_p was not sent",
        "sampling.top_k": "top_k was not sent",
        "sampling.seed": "the seed was not sent: answers are not reproducible",
        "sampling.frequency_penalty": "frequency_penalty was not sent",
        "sampling.presence_penalty": "presence_penalty was not sent",
        "sampling.logit_bias": "logit_bias was not sent",
        "sampling.logprobs": "log probabilities are not returned",
        "sampling.top_logprobs": "alternatives' log probabilities are not returned",
        "sampling.n": "only one answer is returned",
        # stopping
        "stop.sequences": "stop sequences were not sent",
        "stop.more_than_4": "only the first 4 stop sequences were sent",
        "stop.more_than_5": "only the first 5 stop sequences were sent",
        "stop.which": "which stop sequence ended the answer cannot be told",
        "stop.reason": "why the answer ended has only a nearest word",
        "max_output.assumed": "the target needs an output limit and the caller gave none",
        "max_output.least": "the output limit is below the least the target takes, which was sent instead",
        # tools
        "tool.custom": "a free-text tool was sent as a function with one text argument, or not at all",
        "tool.grammar": "a tool's grammar was not sent",
        "tool.hosted": "a tool run by the vendor was not sent",
        "tool.strict": "strict schema following was not asked for",
        "tool.name_length": "a tool's name is longer than the target documents; it was sent as it is",
        "tool.schema": "part of a tool's schema was not sent",
        "tool_choice.forced": "the tool choice was not forced",
        "tool_choice.allowed": "the choice was not limited to the allowed tools",
        "tool_choice.parallel": "whether tools may be called in parallel was not sent",
        "tool_call.signature": "the signature on a tool call was dropped",
        "tool_call.id": "a tool call's id was changed or dropped",
        "tool_call.arguments": "a tool call's arguments are not a JSON object; they were wrapped or left out",
        "tool_result.is_error": "that a tool failed is told in text, not by a flag",
        "tool_result.media": "media in a tool's result was moved to a user message or dropped",
        "tool_result.orphan": "a tool's result answers no call before it",
        # messages
        "message.name": "a participant's name was not sent",
        "message.role": "a message was sent under another role",
        "message.order": "messages were merged or moved to fit the target's turn order",
        "message.empty": "an empty message was left out",
        "message.prefill": "the answer's beginning given by the caller was not continued",
        "message.citations": "citations in the history were not sent",
        "message.media": "media in the assistant's own turns was not sent",
        "message.refusal": "a refusal in the history was sent as text",
        "system.position": "a system message in mid-conversation was moved",
        "system.billing_header": "Claude Code's billing line was left out: it defeats prompt caches",
        # media
        "media.image": "an image was not sent",
        "media.image_url": "an image's URL could not be sent",
        "media.document": "a document was not sent",
        "media.document_url": "a document's URL could not be sent",
        "media.document.as_text": "a document was sent as plain text",
        "media.document.citations": "citations of a document were not asked for",
        "media.document.context": "a document's title or context was sent as text or dropped",
        "media.audio": "audio was not sent",
        "media.video": "video was not sent",
        "media.file_id": "a file known to one vendor only was not sent",
        "media.mime": "a media type that the caller did not say was guessed",
        "media.detail": "an image's detail was not sent",
        "media.name": "the file name of an image, audio or video was not sent",
        "media.output": "media in the answer was dropped",
        # thinking
        "thinking.replay": "another vendor's or unsigned thinking in the history was dropped",
        "thinking.signature": "a thinking signature was dropped; the text cannot be replayed to its vendor",
        "thinking.redacted": "encrypted thinking was dropped",
        "thinking.budget": "a thinking budget was sent as an effort, or not at all",
        "thinking.effort": "an effort was sent as its nearest value or as a budget, or not at all",
        "thinking.mode": "the thinking mode was not sent",
        "thinking.summary": "a summary of the thinking was not asked for",
        "thinking.encrypted": "encrypted thinking was not asked for",
        "thinking.text": "thinking in the answer was dropped",
        # output
        "output.json_object": "JSON without a schema was asked for in words, or in words too, or not at all",
        "output.json_schema": "the output schema was not enforced",
        "output.schema": "the output schema was changed to fit the target's rules",
        "output.strict": "strict schema following of the output was not asked for",
        "output.modalities": "an output modality was not asked for",
        "output.verbosity": "verbosity was not sent",
        "output.prediction": "a predicted output was not sent",
        # cache
        "cache.mark": "a prompt-cache breakpoint was not sent",
        "cache.more_than_4": "only 4 prompt-cache breakpoints were sent",
        "cache.ttl": "a prompt-cache breakpoint was sent with another lifetime",
        "cache.key": "the prompt-cache key was not sent",
        # the rest of a request
        "user": "the end user's id was not sent",
        "metadata": "metadata was not sent",
        "store": "whether to store the answer was not sent",
        "service_tier": "the service tier was not sent",
        "previous_id": "the reference to an earlier response was not sent",
        # answers
        "answer.choices": "only the first of several answers was returned",
        "answer.citations": "citations in the answer were dropped",
        "answer.logprobs": "log probabilities in the answer were dropped",
        "answer.refusal": "a refusal was returned as text",
        "answer.usage": "part of the usage has no place in the reply",
        # open families; the part after the first dot is the caller's or the vendor's own word
        "extra": "a top-level field of the caller's dialect was not sent",
        "opaque": "a part only the caller's dialect understands was not sent",
        "header": "a header of the caller's dialect was not sent",
        "answer_extra": "a vendor's own field of the answer was not returned",
    }
)
"""Every name, and what a caller lost by it."""

FAMILIES = ("extra", "opaque", "header", "answer_extra")
_ODD = re.compile(r"[^A-Za-z0-9_.\-]")
_HEADER_BYTES = 1024
_TOOL = frozenset(("type", "name", "description", "parameters", "strict", "format"))


class Losses:
    """Collects Losses in order, each name and detail once."""

    def __init__(self) -> None:
        self._seen: dict[Loss, None] = {}

    def add(self, name: str, detail: str = "") -> None:
        """Notes a loss. `name` must be in CATALOG or of an open family."""
        self._seen[Loss(name, detail)] = None

    def extras(self, extras: Mapping[str, Any]) -> None:
        """Notes top-level fields that the target does not know, but for those that ask for nothing. An empty
        object asks: OpenAI's `web_search_options: {}` turns the search on."""
        for name, value in extras.items():
            if value not in ("", []) and _IDLE.get(name, _IDLE) != value:
                self.add(f"extra.{name}")

    def opaque(self, kind: str) -> None:
        """Notes a part that only its own dialect understands."""
        self.add(f"opaque.{kind}")

    def tool(self, tool: Tool) -> None:
        """Notes the members of a function or custom tool that only its own dialect understands."""
        raw = tool.raw or {}
        inner = raw.get("tool")
        if "namespace" in raw and isinstance(inner, dict):  # a tool inside a namespace keeps its whole self
            raw = {name: value for name, value in inner.items() if name not in _TOOL}
        for name in raw:
            self.opaque(f"tool.{name}")

    def beside(self, extra: Extra) -> None:
        """Notes a vendor's own field of a streamed answer."""
        if not extra.cited:
            self.add(f"answer_extra.{extra.name}")

    def answer(self, answer: Answer) -> None:
        """Notes the vendor's own fields of an answer and of its choices."""
        for extras in (answer.extras, *(choice.extras for choice in answer.choices)):
            for name in extras:
                if name not in answer.cited:
                    self.add(f"answer_extra.{name}")

    def has(self, name: str) -> bool:
        """Whether a loss of this name was noted."""
        return any(loss.name == name for loss in self._seen)

    def tuple(self) -> tuple[Loss, ...]:
        return tuple(self._seen)

    def __bool__(self) -> bool:
        return bool(self._seen)


def meaning(name: str) -> str:
    """What a caller lost by `name`, "" when the name is not in the catalog."""
    if name in CATALOG:
        return CATALOG[name]
    family = name.partition(".")[0]
    return CATALOG[family] if family in FAMILIES and name != family else ""


def header(losses: Iterable[Loss]) -> bytes:
    """The value of `x-tierwise-losses`: names, comma-separated, each once; at most 1 KiB, then `+N`.

    Names of the open families come from the caller, so anything but letters, digits, `_`, `.`, `-` is
    written as `_`.
    """
    names = list(dict.fromkeys(_ODD.sub("_", loss.name)[:80] for loss in losses))
    text, left = "", len(names)
    for name in names:
        if len(text) + len(name) > _HEADER_BYTES:
            return f"{text}, +{left}".encode()
        text += f", {name}" if text else name
        left -= 1
    return text.encode()
