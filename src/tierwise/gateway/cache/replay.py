"""Replay: a kept answer, told again: as bytes where it was told so before, else by the dialect's writers."""

from __future__ import annotations

from msgspec.structs import replace

from tierwise.dialects.whole import answer_of, events_of, with_usage
from tierwise.errors import UpstreamBroke
from tierwise.http1 import Reply
from tierwise.nouns import Loss
from tierwise.upstream import Header

from .. import reply as writing
from ..walk import Walk
from .kept import Form, Kept

_PIECE = 16384


def form_of(walk: Walk) -> Form:
    """The form this request is answered in."""
    outline = walk.outline
    if not outline.stream:
        return "plain"
    return "stream_usage" if outline.include_usage and walk.surface.name == "openai_chat" else "stream"


def written(walk: Walk, kept: Kept) -> bytes:
    """The body of the reply. Losses, those of the first telling and any of this one, are the walk's."""
    walk.losses = [Loss(name) for name in kept.losses]
    form = form_of(walk)
    if form == kept.form:
        return kept.body
    surface = walk.surface
    if kept.form == "plain":
        events = list(events_of(surface.read_answer(kept.body)))
    else:
        reader = surface.reader()
        events = [*reader.feed(kept.body), *reader.finish()]
    if form != "plain":
        writer = surface.writer(walk.ask())
        body = b"".join([writer.write(event) for event in with_usage(events, kept.usage)])
        walk.losses += writer.losses
        return body
    answer = answer_of(events)
    if answer is None:
        raise UpstreamBroke("The answer that was kept is not whole.")
    told = surface.write_answer(replace(answer, usage=kept.usage), walk.ask())
    walk.losses += told.losses
    return told.body


async def tell(walk: Walk, kept: Kept, body: bytes, age_us: int, reply: Reply) -> None:
    """Sends `body` as the answer to `walk`."""
    streamed = walk.outline.stream
    more: list[Header] = [(b"age", b"%d" % max(0, age_us // 1_000_000))]
    if kept.similarity is not None:
        more.append((b"x-tierwise-cache-similarity", b"%.4f" % kept.similarity))
    begin = writing.STREAM if streamed else writing.PLAIN
    head = writing.told(walk, begin, (kept.tier, kept.model), 0, more)
    if not streamed:
        reply.send(200, head, body)
        return
    reply.start(200, head)
    last = max(len(body) - 1, 0) // _PIECE * _PIECE
    for at in range(0, last, _PIECE):
        await reply.write(body[at : at + _PIECE])
    reply.end(body[last:])
