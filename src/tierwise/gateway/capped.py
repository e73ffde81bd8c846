"""A caller's own cap on one request, `x-tierwise-max-cost-usd`.

A request that cannot fit is refused before anything is sent. A stream is also stopped where it reaches its
cap: the caller gets its dialect's ordinary end of an answer that was too long, and the provider is left.

What a stream costs so far is exact where the provider tells usage on the way. Where it does not, the answer
is reckoned at two bytes a token, which is more tokens than any prose or code has, so that the figure is an
upper one. Thinking that a provider bills and does not show can only be bounded by asking for fewer output
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from msgspec import structs

from tierwise.dialects.base import StreamReader, StreamWriter
from tierwise.errors import BudgetRefused, CapReached, TierwiseError, UpstreamBroke
from tierwise.http1 import Reply
from tierwise.nouns import (
    BlockStart,
    BlockStop,
    Delta,
    Ended,
    Event,
    Failed,
    Finished,
    Started,
    Usage,
    UsageSeen,
)

from . import reply as writing
from .calling import Live, error_of
from .frames import Frames
from .walk import Walk

_BYTES_PER_TOKEN = 2
_NUMBER = re.compile(rb'"sequence_number":\s*(\d+)')


def admit(walk: Walk, most_pico: int) -> None:
    """Leaves the Route only candidates that fit under `most_pico`. Raises BudgetRefused when the first does
    not: it has no price, or may cost more. A stream whose answer is not bounded needs room for its prompt."""
    route = walk.route
    assert route is not None
    if walk.outline.stream:
        walk.ask()  # what completes a stream that is stopped is written from the whole request
    kept = []
    for number, candidate in enumerate(route.candidates):
        may_cost = walk.least(candidate)
        unpriced = walk.unpriced(candidate)
        if not unpriced and may_cost <= most_pico:
            kept.append(candidate)
        elif number == 0:
            raise _refusal(candidate.model, unpriced, may_cost, most_pico)
    if len(kept) < len(route.candidates):
        walk.route = structs.replace(route, candidates=tuple(kept))


def _refusal(model: str, unpriced: str, may_cost: int, most_pico: int) -> BudgetRefused:
    if unpriced:
        return BudgetRefused(
            f"A cap cannot be kept at {model}: {unpriced}.",
            "Leave x-tierwise-max-cost-usd out, name another model, or give its [[price]].",
        )
    return BudgetRefused(
        f"This request may cost ${writing.usd(may_cost)}, over its cap of ${writing.usd(most_pico)}.",
        "Raise x-tierwise-max-cost-usd, ask for fewer output tokens, or name a cheaper tier.",
    )


async def write(walk: Walk, live: Live, reply: Reply) -> None:
    """Writes the stream of `live` as `reply.write` does, up to the cap of `walk`."""
    try:
        await _Capped(walk, live, writing.begun(walk, live, reply)).run()
    except BaseException as error:
        live.entry.abandon(error)
        raise
    finally:
        live.response.close()


class Meter:
    """What a stream has cost so far. `usage` is the provider's last word, None before its first."""

    def __init__(self, walk: Walk, live: Live) -> None:
        self._billed_as = walk.billed_as(live.entry.candidate)
        self._prompt_tokens = walk.prompt_tokens
        self._entry = live.entry
        self.usage: Usage | None = None
        self._bytes = 0
        self._told_output = 0
        self._told_at = 0  # bytes of answer at which the provider last counted its output

    def note(self, events: list[Event]) -> bool:
        """Takes in events; whether there was answer text among them."""
        before, told = self._bytes, self.usage
        for event in events:
            if isinstance(event, Delta):
                self._bytes += len(event.text.encode())
            elif isinstance(event, UsageSeen | Started) and event.usage is not None:
                told = event.usage
            if isinstance(event, Started):
                self._entry.served = event.model
        # Usage told beside a piece of text counts that piece too, whichever came first.
        if told is not None and told is not self.usage:
            self.usage = told
            if told.output > self._told_output:
                self._told_output, self._told_at = told.output, self._bytes
        return self._bytes > before

    @property
    def text_bytes(self) -> int:
        """Bytes of answer so far."""
        return self._bytes

    def so_far(self) -> Usage:
        """Usage if the stream stopped now: as told, and what came since at two bytes a token."""
        since = -(-(self._bytes - self._told_at) // _BYTES_PER_TOKEN)
        output = self._told_output + since
        if self.usage is not None:
            return structs.replace(self.usage, output=output, source="partial")
        return Usage(self._prompt_tokens, output=output, source="partial", service_tier=self._billed_as)

    def over(self, most_pico: int) -> bool:
        """Whether that costs more than `most_pico`."""
        pico = self._entry.would_cost(self.so_far())
        return pico is not None and pico > most_pico


class _Capped:
    """One capped stream on its way. In the same dialect frames pass as they are, and the events read from
    them keep a writer ready that can complete the answer; else what the writer writes is sent."""

    def __init__(self, walk: Walk, live: Live, reply: Reply) -> None:
        assert walk.max_cost_pico is not None
        self.walk, self.live, self.reply = walk, live, reply
        self.most_pico = walk.max_cost_pico - (walk.spent_pico or 0)  # what has no price is not called
        self.same = live.reader is None
        self.reader: StreamReader = live.reader or live.entry.deployment.dialect.reader()
        self.writer: StreamWriter = walk.surface.writer(walk.ask())
        self.meter = Meter(walk, live)
        self.model: str | None = None
        self.choices: dict[int, bool] = {}  # choice → whether it has finished
        self.blocks: list[int] = []  # of the first choice, open
        self.number = -1  # the last sequence_number that passed
        self.held = b""
        # Gemini has no terminator: what says why it finished waits for the row.
        gemini = self.same and walk.surface.name == "gemini"
        self.ends = walk.surface.tap() if gemini else None
        live.tap = None  # this reads for itself

    async def run(self) -> None:
        """Writes until the stream ends, breaks or reaches the cap."""
        try:
            # What was read while waiting for the first content may hold many pieces.
            for group in () if self.same else _pieces(self.live.events):
                if await self._take(b"", group):
                    return
            waiting = self.live.head + self.live.rest + self.live.held
            while True:
                for frame in (pieces := Frames(waiting)):
                    if await self._take(frame, self.reader.feed(frame)):
                        return
                data = await self.live.response.chunk()
                if not data:
                    break
                waiting = pieces.rest + data
            events = self.reader.feed(pieces.rest) + self.reader.finish()
            if not await self._take(pieces.rest, events):
                raise UpstreamBroke("The provider's stream broke off before its end.")
        except TierwiseError as error:
            self._account()
            told = None if self.same else self.writer.error(error)
            await writing.broke(self.walk, self.live, self.reply, error, told)

    async def _take(self, frame: bytes, events: list[Event]) -> bool:
        """Sends a frame, or what its events come to. Gives whether that was the last."""
        over = self.meter.note(events) and self.meter.over(self.most_pico) and not self._finish(events)
        self.live.entry.usage = self.meter.usage
        written: list[bytes] = []
        for event in events:
            if over and isinstance(event, Delta):
                await self._stop(b"".join(written))
                return True
            self._follow(event)
            if isinstance(event, Failed):
                if written and not self.same:  # what was said before it
                    await self.reply.write(b"".join(written))
                return await self._failed(frame, event)
            if isinstance(event, Ended):
                await self._end(frame, b"".join(written), self.writer.write(event))
                return True
            written.append(self.writer.write(event))
        if not self.same:
            frame = b"".join(written)
        elif self.ends is not None:
            self.ends.feed(frame)
            if self.ends.ended:
                self.held += frame
                return False
        else:
            for number in _NUMBER.finditer(frame):
                self.number = int(number[1])
        if frame:
            await self.reply.write(frame)
        return False

    def _finish(self, events: list[Event]) -> bool:
        """Whether the answer is finished when `events` were taken in."""
        finished = {event.choice for event in events if isinstance(event, Finished)}
        return all(over or choice in finished for choice, over in self.choices.items()) and bool(finished)

    def _follow(self, event: Event) -> None:
        if isinstance(event, Started):
            self.model = event.model
        elif isinstance(event, BlockStart):
            self.choices.setdefault(event.choice, False)
            if not event.choice:
                self.blocks.append(event.index)
        elif isinstance(event, BlockStop) and not event.choice and event.index in self.blocks:
            self.blocks.remove(event.index)
        elif isinstance(event, Finished):
            self.choices[event.choice] = True
        elif isinstance(event, Delta):
            self.live.entry.saw_content()

    def _account(self, stopped: bool = False) -> None:
        entry = self.live.entry
        if stopped:  # all bytes of the answer are in it
            entry.usage, entry.text_bytes = self.meter.so_far(), 0
        else:
            entry.usage, entry.text_bytes = self.meter.usage, self.meter.text_bytes

    async def _end(self, frame: bytes, before: bytes, last: bytes) -> None:
        self._account()
        self.walk.losses += self.writer.losses if not self.same else []
        if before and not self.same:
            await self.reply.write(before)
        await self.live.entry.close("ok", model=self.model)
        if not self.same:
            writing.note(self.walk, last)
        self.reply.end(self.held + frame if self.same else last)
        await writing.linger(self.live)

    async def _failed(self, frame: bytes, event: Failed) -> bool:
        error = error_of(event)
        if not self.same:
            raise error
        # The provider's own words pass; its terminator must not follow.
        self._account()
        await self.live.entry.close("truncated", error.status, error, self.model)
        self.reply.end(writing.masked(self.walk, frame))
        return True

    async def _stop(self, before: bytes) -> None:
        """Completes the answer as one that was too long. The piece that went over the cap is not sent;
        `before` is what was written of its frame until there."""
        self._account(stopped=True)
        if before and not self.same:
            await self.reply.write(before)
        usage = self.live.entry.usage
        assert usage is not None
        error = CapReached(
            f"The stream was stopped at its cap of ${writing.usd(self.walk.max_cost_pico or 0)}."
        )
        unfinished = [choice for choice, over in self.choices.items() if not over] or [0]
        tail = [self.writer.write(UsageSeen(usage))]
        tail += [self.writer.write(Finished("length", choice=choice)) for choice in unfinished]
        tail.append(self.writer.write(Ended()))
        if not self.same:
            self.walk.losses += self.writer.losses
        # The provider is left first: it goes on writing, and billing, until it notices.
        self.live.response.close()
        await self.live.entry.close("truncated", 200, error, self.model)
        self.reply.end(self._told(b"".join(tail)))

    def _told(self, tail: bytes) -> bytes:
        """`tail` as it follows the frames that passed, with the reason where the dialect has room for it."""
        reason = f"stopped at x-tierwise-max-cost-usd {writing.usd(self.walk.max_cost_pico or 0)}"
        dialect = self.walk.surface.name
        if dialect == "gemini":
            return _with_message(tail, reason)
        if self.same and dialect == "anthropic_messages":
            # By the provider's own numbers, should it have opened blocks in which it said nothing.
            stops = b"".join(
                b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index
                for index in self.blocks
            )
            tail = stops + tail[tail.index(b"event: message_delta") :]
        elif self.same and dialect == "openai_responses":
            numbers = iter(range(self.number + 1, self.number + 1 + tail.count(b"\n\n")))
            tail = _NUMBER.sub(lambda _: b'"sequence_number":%d' % next(numbers), tail)
        return b": " + reason.encode() + b"\n\n" + tail


def _pieces(events: list[Event]) -> Iterator[list[Event]]:
    """`events` in groups that begin with a Delta each, but for the first."""
    group: list[Event] = []
    for event in events:
        if isinstance(event, Delta) and group:
            yield group
            group = []
        group.append(event)
    yield group


def _with_message(tail: bytes, reason: str) -> bytes:
    """Gemini's last frame with `finishMessage` in each candidate: its clients take no comments."""
    *before, last, _ = tail.split(b"\n\n")
    told = msgspec.json.decode(last.removeprefix(b"data: "))
    for candidate in told["candidates"]:
        candidate["finishMessage"] = reason
    return b"".join(frame + b"\n\n" for frame in (*before, b"data: " + msgspec.json.encode(told)))
