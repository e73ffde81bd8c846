"""Events → Gemini's stream of server-sent events (`ArrayForm` turns it into the array form).

Blocks go out in the order they started: the first open one as it comes, later ones when it has stopped. A
call is written whole when its block stops, since Gemini's calls are. The finishReasons and the usage wait for
Ended: the piece that carries them is how a client knows the stream's end.
"""

from __future__ import annotations

import msgspec

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import (
    Ask,
    BlockStart,
    BlockStop,
    Citation,
    Cited,
    Delta,
    Ended,
    Event,
    Extra,
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
from .parts import is_odd_field, lay_over
from .reply import TIERS, answer_part, call_parts, finish_reason, shows_thoughts
from .turns import sign_first_call
from .usage import write_usage


class _Block:
    """An open block. `due` are its frames not yet written, `cited` what its text cites."""

    def __init__(self, start: BlockStart) -> None:
        self.kind = start.kind
        self.part = start.part
        self.due: list[bytes] = []
        self.held: list[str] = []  # a call's arguments until it stops, or a text, whose bytes citations count
        self.cited: list[Citation] = []
        self.signature = ""
        self.stopped = False


class _Choice:
    def __init__(self) -> None:
        self.blocks: dict[int, _Block] = {}  # open or waiting, in the order of their start
        self.finish: Finished | None = None
        self.called = False
        self.refused = False
        self.malformed = False  # a call was left out
        self.sources: list[Wire] = []
        self.said = 0  # bytes of all texts that stopped
        self.odd: list[Opaque] = []  # members of the next part
        self.late: Wire = {}  # members of the candidate


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
            case Extra():
                self._extra(event)
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
        choice = self._choices[number]
        while choice.odd:
            lay_over(choice.odd.pop(0), parts[0])
        content = {"parts": parts, "role": "model"}
        candidate: Wire = {"content": content, "index": number, **(more or {})}
        return frame(msgspec.json.encode({"candidates": [candidate], **self._tail}))

    def _open(self, event: BlockStart) -> bytes:
        choice, part = self._choice(event.choice), event.part
        if part is not None and is_odd_field(part):
            choice.odd.append(part)
            return b""
        block = choice.blocks[event.index] = _Block(event)
        if isinstance(part, ToolCall):
            block.signature = part.signature
            if part.arguments:
                block.held.append(part.arguments)
            return b""
        if isinstance(part, Opaque | Media):
            parts = answer_part(part, self._ask, self._noted)
            return self._due(event.choice, block, parts) if parts else b""
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

    def _due(self, number: int, block: _Block, parts: list[Wire], more: Wire | None = None) -> bytes:
        """A frame of `block`: at once when no block stands before it, else when those have stopped."""
        written = self._frame(number, parts, more)
        if next(iter(self._choices[number].blocks.values())) is block:
            return written
        block.due.append(written)
        return b""

    def _delta(self, event: Delta) -> bytes:
        block = self._choice(event.choice).blocks.get(event.index)
        if block is None or block.stopped:  # of a block nobody opened
            return b""
        if block.kind == "tool_call":
            block.held.append(event.text)
            return b""
        told = write_logprobs(event.logprobs) if event.logprobs else None
        if not event.text and told is None:
            return b""
        more = None if told is None else {"logprobsResult": told}
        if block.kind != "thinking":
            block.held.append(event.text)
            return self._due(event.choice, block, [{"text": event.text}], more)
        if not self._shows:
            return b""
        return self._due(event.choice, block, [{"text": event.text, "thought": True}])

    def _signed(self, event: Signed) -> bytes:
        block = self._choice(event.choice).blocks.get(event.index)
        if block is None:
            return b""
        if block.kind == "tool_call":
            block.signature = event.signature or block.signature
        elif isinstance(block.part, Thinking) and block.part.origin == NAME and event.signature:
            return self._due(event.choice, block, [{"text": "", "thoughtSignature": event.signature}])
        else:
            self._noted.add("thinking.redacted" if event.encrypted else "thinking.signature")
        return b""

    def _cited(self, event: Cited) -> None:
        choice = self._choice(event.choice)
        block = choice.blocks.get(event.index)
        if block is None:
            self._noted.add("answer.citations")
        else:
            block.cited.append(event.citation)

    def _extra(self, event: Extra) -> None:
        """This dialect's own goes with the last piece."""
        if event.dialect != NAME:
            self._noted.beside(event)
        elif event.choice is None:
            self._tail[event.name] = event.value
        else:
            self._choice(event.choice).late[event.name] = event.value

    def _stop(self, index: int, number: int) -> bytes:
        """What may be written now that this block has stopped: the order is that of the blocks' starts."""
        blocks = self._choice(number).blocks
        if index in blocks:
            blocks[index].stopped = True
        out: list[bytes] = []
        while blocks:
            first, block = next(iter(blocks.items()))
            out += block.due
            block.due.clear()
            if not block.stopped:
                break
            if isinstance(block.part, ToolCall):
                out.append(self._call(number, block, block.part))
            else:
                self._said(self._choices[number], block)
            del blocks[first]
        return b"".join(out)

    def _said(self, choice: _Choice, block: _Block) -> None:
        """A block of text is whole: what it cites goes with the last piece."""
        text = "".join(block.held)
        for citation in block.cited:
            source = write_citation(citation, choice.said, text, self._noted)
            if source is not None:
                choice.sources.append(source)
        choice.said += len(text.encode())

    def _call(self, number: int, block: _Block, part: ToolCall) -> bytes:
        choice = self._choices[number]
        whole = msgspec.structs.replace(part, arguments="".join(block.held), signature=block.signature)
        parts = call_parts(whole, self._ask, self._noted)
        if not parts:
            choice.malformed = True
            return b""
        if not choice.called:
            sign_first_call(parts, SHOWN_SIGNATURE)
        choice.called = True
        return self._frame(number, parts)

    def _rest(self, number: int) -> bytes:
        """All that nobody stopped."""
        return b"".join([self._stop(index, number) for index in tuple(self._choices[number].blocks)])

    def _finished(self, event: Finished) -> bytes:
        """Calls that nobody stopped; the reason itself waits for the end."""
        choice = self._choice(event.choice)
        choice.finish = event
        if event.stop_sequence is not None:
            self._noted.add("stop.which")
        return self._rest(event.choice)

    def _end(self) -> bytes:
        """The last piece: every candidate's finishReason, and the usage."""
        due: list[bytes] = []
        candidates: list[Wire] = []
        for number, choice in self._choices.items():
            due.append(self._rest(number))
            reason = choice.finish.reason if choice.finish is not None else "stop"
            word = finish_reason(reason, choice.refused, choice.malformed, self._noted)
            content = {"parts": [{"text": ""}], "role": "model"}
            candidate: Wire = {"content": content, "finishReason": word, "index": number}
            if choice.sources:
                candidate["citationMetadata"] = {"citationSources": choice.sources}
            candidates.append(candidate | choice.late)
        self._over = True
        last: Wire = {"candidates": candidates}
        if self._usage is not None:
            last["usageMetadata"] = write_usage(self._usage, self._noted)
            if self._tier in TIERS:
                last["usageMetadata"]["serviceTier"] = self._tier
        due.append(frame(msgspec.json.encode({**last, **self._tail})))
        return b"".join(due)
