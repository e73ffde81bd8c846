"""Events → Gemini's stream of server-sent events (`ArrayForm` turns it into the array form).

Prose goes out as it comes. A call is written whole when its block stops, since Gemini's calls are. The
finishReasons and the usage wait for Ended: the piece that carries them is how a client knows the stream's
end.
"""

from __future__ import annotations

import msgspec

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Cited,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Loss,
    Media,
    Opaque,
    Signed,
    Started,
    Thinking,
    ToolCall,
    Usage,
    UsageSeen,
)
from ..losses import Losses
from ..sse import frame
from .citations import write_citation
from .errors import write_stream_error
from .fields import NAME, SHOWN_SIGNATURE, Wire
from .logprobs import write_logprobs
from .reply import TIERS, answer_part, call_part, finish_reason, shows_thoughts
from .turns import sign_first_call
from .usage import write_usage


class _Block:
    """An open block. A call's arguments are held until it stops."""

    def __init__(self, start: BlockStart) -> None:
        self.kind = start.kind
        self.part = start.part
        self.held: list[str] = []
        self.signature = ""


class _Choice:
    def __init__(self) -> None:
        self.blocks: dict[int, _Block] = {}
        self.finish: Finished | None = None
        self.called = False
        self.refused = False
        self.sources: list[Wire] = []


class Writer:
    """The StreamWriter of this dialect, for one caller."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._shows = shows_thoughts(ask)
        self._noted = Losses()
        self._choices: dict[int, _Choice] = {0: _Choice()}
        self._usage: Usage | None = None
        self._tier: str | None = None
        self._tail: Wire = {"modelVersion": ask.model, "responseId": ""}
        self._over = False

    @property
    def losses(self) -> list[Loss]:
        """What could not be shown so far."""
        return list(self._noted.tuple())

    def write(self, event: Event) -> bytes:
        """The bytes due for `event`. After Ended, Failed or an error nothing is written any more."""
        if self._over:
            return b""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart():
                return self._open(event)
            case BlockStop():
                return self._stop(event.index, event.choice)
            case Started():
                self._tail = {"modelVersion": event.model or self._ask.model, "responseId": event.id}
                self._tier = event.service_tier
                self._usage = event.usage or self._usage
            case UsageSeen():
                self._usage = event.usage
            case Finished():
                return self._finished(event)
            case Signed():
                return self._signed(event)
            case Cited():
                self._cited(event)
            case Ended():
                return self._end()
            case Failed():
                return self.error(UpstreamStatus(event.status, event.message, event.code))
            case _:  # Ping: Gemini's streams hold replies only
                pass
        return b""

    def error(self, error: TierwiseError) -> bytes:
        """The frame `data: {"error": …}`. Nothing may follow."""
        self._over = True
        return write_stream_error(error)

    def _choice(self, number: int) -> _Choice:
        choice = self._choices.get(number)
        if choice is None:
            choice = self._choices[number] = _Choice()
        return choice

    def _frame(self, number: int, parts: list[Wire], more: Wire | None = None) -> bytes:
        content = {"parts": parts, "role": "model"}
        candidate: Wire = {"content": content, "index": number, **(more or {})}
        return frame(msgspec.json.encode({"candidates": [candidate], **self._tail}))

    def _open(self, event: BlockStart) -> bytes:
        choice, part = self._choice(event.choice), event.part
        block = choice.blocks[event.index] = _Block(event)
        if isinstance(part, ToolCall):
            block.signature = part.signature
            if part.arguments:
                block.held.append(part.arguments)
            return b""
        if isinstance(part, Opaque | Media):
            parts = answer_part(part, self._ask, self._noted)
            return self._frame(event.choice, parts) if parts else b""
        if event.kind == "refusal":
            choice.refused = True
            self._noted.add("answer.refusal")
        if isinstance(part, Thinking):
            if part.encrypted:
                self._noted.add("thinking.redacted")
            if part.signature and part.origin != NAME:
                self._noted.add("thinking.signature")
        text = getattr(part, "text", "")
        return self._delta(Delta(event.index, text, event.choice)) if text else b""

    def _delta(self, event: Delta) -> bytes:
        block = self._choice(event.choice).blocks.get(event.index)
        if block is None:  # of a block nobody opened
            return b""
        if block.kind == "tool_call":
            block.held.append(event.text)
            return b""
        told = write_logprobs(event.logprobs) if event.logprobs else None
        if not event.text and told is None:
            return b""
        more = None if told is None else {"logprobsResult": told}
        if block.kind != "thinking":
            return self._frame(event.choice, [{"text": event.text}], more)
        return self._frame(event.choice, [{"text": event.text, "thought": True}]) if self._shows else b""

    def _signed(self, event: Signed) -> bytes:
        block = self._choice(event.choice).blocks.get(event.index)
        if block is None:
            return b""
        if block.kind == "tool_call":
            block.signature = event.signature or block.signature
        elif isinstance(block.part, Thinking) and block.part.origin == NAME and event.signature:
            return self._frame(event.choice, [{"text": "", "thoughtSignature": event.signature}])
        else:
            self._noted.add("thinking.redacted" if event.encrypted else "thinking.signature")
        return b""

    def _cited(self, event: Cited) -> None:
        source = write_citation(event.citation)
        if source is None:
            self._noted.add("answer.citations")
        else:
            self._choice(event.choice).sources.append(source)

    def _stop(self, index: int, number: int) -> bytes:
        choice = self._choice(number)
        block = choice.blocks.pop(index, None)
        if block is None or not isinstance(block.part, ToolCall):
            return b""
        whole = msgspec.structs.replace(block.part, arguments="".join(block.held), signature=block.signature)
        parts = [call_part(whole, self._noted)]
        if not choice.called:
            sign_first_call(parts, SHOWN_SIGNATURE)
        choice.called = True
        return self._frame(number, parts)

    def _finished(self, event: Finished) -> bytes:
        """Calls that nobody stopped; the reason itself waits for the end."""
        choice = self._choice(event.choice)
        choice.finish = event
        if event.stop_sequence is not None:
            self._noted.add("stop.which")
        return b"".join(self._stop(index, event.choice) for index in tuple(choice.blocks))

    def _end(self) -> bytes:
        """The last piece: every candidate's finishReason, and the usage."""
        due: list[bytes] = []
        candidates: list[Wire] = []
        for number, choice in self._choices.items():
            due += [self._stop(index, number) for index in tuple(choice.blocks)]
            reason = choice.finish.reason if choice.finish is not None else "stop"
            word = finish_reason(reason, choice.refused, self._noted)
            content = {"parts": [{"text": ""}], "role": "model"}
            candidate: Wire = {"content": content, "finishReason": word, "index": number}
            if choice.sources:
                candidate["citationMetadata"] = {"citationSources": choice.sources}
            candidates.append(candidate)
        self._over = True
        last: Wire = {"candidates": candidates}
        if self._usage is not None:
            last["usageMetadata"] = write_usage(self._usage, self._noted)
            if self._tier in TIERS:
                last["usageMetadata"]["serviceTier"] = self._tier
        due.append(frame(msgspec.json.encode({**last, **self._tail})))
        return b"".join(due)
