"""OpenAI responses: Events → a stream's bytes, and an Answer → a whole reply through the same assembly."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import (
    Answer,
    Ask,
    BlockStart,
    BlockStop,
    Choice,
    Cited,
    Delta,
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
    Loss,
    Opaque,
    Ping,
    Refusal,
    Started,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UsageSeen,
)
from ...nouns.answer import BlockKind
from ..base import Written
from ..losses import Losses
from ..sse import event_frame
from ..whole import odd_first
from .assembly import Assembly
from .errors import error_event, response_error
from .from_chat import note_finish, service_tier
from .names import NAME, Wire
from .response import echo, response_id, status_of
from .usage import to_wire

_encode = msgspec.json.Encoder().encode


class Writer:
    """The StreamWriter of this dialect, for one caller."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._noted = Losses()
        self._assembly = Assembly(ask, self._noted)
        self._head: Wire = {}
        self._late: Wire = {}
        self._number = 0
        self._finish: FinishReason | None = None
        self._usage: Usage | None = None
        self._over = False

    @property
    def losses(self) -> list[Loss]:
        """What could not be shown so far."""
        return list(self._noted.tuple())

    def write(self, event: Event) -> bytes:
        """The bytes `event` causes, b"" when nothing is due. After Ended or an error nothing is written."""
        if self._over:
            return b""
        if isinstance(event, Failed):
            return self.error(UpstreamStatus(event.status, event.message, event.code))
        if isinstance(event, Started):
            return self._frames(self._started(event))
        if isinstance(event, Ended):
            return self._frames([*self._begun(), *self._ended()])
        if isinstance(event, Ping):
            # As OpenAI keeps its own streams alive.
            return self._frames([{"type": "keepalive"}]) if self._head else b""
        if isinstance(event, UsageSeen | Extra):
            self._note(event)
            return b""
        first = self._begun()
        self._note(event)
        return self._frames([*first, *self._take()])

    def error(self, error: TierwiseError) -> bytes:
        """`error` and `response.failed`. Nothing may follow."""
        if self._over:
            return b""
        first = self._begun()
        self._over = True
        self._assembly.close("incomplete")
        failed = {**self._response("failed"), "error": response_error(error)}
        told = [*first, *self._take(), error_event(error, 0), {"type": "response.failed", "response": failed}]
        return self._frames(told)

    def answered(self, answer: Answer) -> Wire:
        """The whole response object for `answer`."""
        self._started(_start(answer))
        if answer.dialect == NAME:
            self._late = answer.extras
        for event in _events(answer):
            self._note(event)
            self._assembly.told.clear()
        return self._closed()

    def _frames(self, told: list[Wire]) -> bytes:
        frames = []
        for event in told:
            event["sequence_number"] = self._number
            self._number += 1
            frames.append(event_frame(event["type"], _encode(event)))
        return b"".join(frames)

    def _take(self) -> list[Wire]:
        told, self._assembly.told = self._assembly.told, []
        return told

    def _begun(self) -> list[Wire]:
        return [] if self._head else self._started(Started("", ""))

    def _started(self, event: Started) -> list[Wire]:
        if self._head:
            return []
        made = response_id(event.id, self._ask)
        self._head = {
            "id": made,
            "object": "response",
            "created_at": event.created,
            "status": "in_progress",
            "error": None,
            "incomplete_details": None,
            "model": event.model or self._ask.model,
            "output": [],
            **echo(self._ask),
            "service_tier": service_tier(event.service_tier) or "default",
            "usage": None,
        }
        self._assembly.begin(made)
        if event.usage is not None:
            self._usage = event.usage
        begun = dict(self._head)
        return [{"type": f"response.{word}", "response": begun} for word in ("created", "in_progress")]

    def _note(self, event: Event) -> None:
        if getattr(event, "choice", 0):
            self._noted.add("answer.choices")
        elif isinstance(event, UsageSeen):
            self._usage = event.usage
        elif isinstance(event, Extra):
            self._extra(event)
        elif isinstance(event, Finished):
            self._finish = event.reason
            # A failed answer is told by its status; only chat has no word for it.
            note_finish("stop" if event.reason == "error" else event.reason, event.stop_sequence, self._noted)
            self._assembly.close("completed" if status_of(event.reason)[0] == "completed" else "incomplete")
        else:
            self._assembly.take(event)

    def _extra(self, event: Extra) -> None:
        """This dialect's own goes into the whole response at the end."""
        if event.dialect == NAME:
            self._late[event.name] = event.value
        else:
            self._noted.beside(event)

    def _ended(self) -> list[Wire]:
        whole = self._closed()
        self._over = True
        return [*self._take(), {"type": f"response.{whole['status']}", "response": whole}]

    def _closed(self) -> Wire:
        status, reason = status_of(self._finish or "stop")
        self._assembly.close("completed" if status == "completed" else "incomplete")
        whole = self._response(status)
        if reason is not None:
            whole["incomplete_details"] = {"reason": reason}
        if status == "failed":
            whole["error"] = {
                "code": "server_error",
                "message": "The provider ended with an error of its own.",
            }
        return whole

    def _response(self, status: str) -> Wire:
        usage = None if self._usage is None else to_wire(self._usage, self._noted)
        return {**self._head, **self._late, "status": status, "output": self._assembly.output, "usage": usage}


def write_answer(answer: Answer, ask: Ask) -> Written:
    """The response object, with what it cannot hold named."""
    writer = Writer(ask)
    body = writer.answered(answer)
    losses = Losses()
    for loss in writer.losses:
        losses.add(loss.name, loss.detail)
    if len(answer.choices) > 1:
        losses.add("answer.choices", str(len(answer.choices)))
    if answer.dialect != NAME:
        losses.answer(answer)
    return Written(_encode(body), losses=losses.tuple())


def _start(answer: Answer) -> Started:
    return Started(answer.id, answer.model, answer.created, answer.usage, answer.service_tier)


def _events(answer: Answer) -> Iterator[Event]:
    """The events a stream of this answer's first choice would have."""
    choice = answer.choices[0] if answer.choices else Choice()
    logprobs = choice.logprobs
    for index, part in enumerate(odd_first(choice.parts)):
        kind: BlockKind = "opaque"
        match part:
            case Text():
                yield BlockStart(index, "text")
                yield Delta(index, part.text, logprobs=logprobs)
                logprobs = None
                for citation in part.citations:
                    yield Cited(index, citation)
            case Thinking():
                yield BlockStart(index, "thinking", part)
            case ToolCall():
                yield BlockStart(index, "tool_call", part)
            case Refusal():
                yield BlockStart(index, "refusal", part)
            case ToolResult():
                yield BlockStart(index, kind, Opaque("", "tool_result", {}))
            case _:
                yield BlockStart(index, kind, part)
        yield BlockStop(index)
    yield Finished(choice.finish, choice.stop_sequence)
