"""Writing: the answer on its way to the caller, and its CLOSE row before the bytes that complete it."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import cast

import msgspec

from tierwise.clock import new_id
from tierwise.dialects import losses
from tierwise.dialects.base import Dialect
from tierwise.errors import MethodNotAllowed, StoreError, TierwiseError, UpstreamBroke, UpstreamStatus
from tierwise.http1 import Block, Reply, header_block
from tierwise.money import PICO_PER_USD, pico_to_usd
from tierwise.nouns import Answer, Delta, DialectName, Ended, Event, Failed, Started, UsageSeen
from tierwise.upstream import Header

from .calling import Live, asks_usage, error_of
from .frames import is_whole
from .unasked import UnaskedUsage
from .walk import Walk

# Reply headers of the provider that a client of the same dialect understands.
_PASSED = (b"anthropic-", b"openai-", b"x-ratelimit-")
_LOSSES = b"x-tierwise-losses"
_PASSED_NAMES = frozenset((b"request-id", b"x-request-id", _LOSSES))
JSON = (b"content-type", b"application/json")
PLAIN = b"content-type: application/json\r\n"
STREAM = (
    b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
)
"""How the head of an answer begins. nginx holds back what it is not asked to pass on."""
# How long the connection to a provider may linger after its terminator before it is given up.
_LINGER_S = 1.0
# Longer names are not worth remembering the headers for.
_NAME_LENGTH = 256


async def write(walk: Walk, live: Live, reply: Reply) -> None:
    """Writes the answer of `live`. After the first byte an error becomes the dialect's error event, never a
    retry."""
    try:
        if not walk.outline.stream:
            if live.answer is not None:
                await _plain_crossed(walk, live, reply, live.answer)
                return
            body = live.body
            try:
                await live.entry.close("ok", model=live.entry.deployment.dialect.served_model(body))
            except StoreError as error:
                unless_unattended(walk, error)
            reply.send(200, head(walk, live, PLAIN, passed(live)), body)
        elif live.reader is not None:
            await _stream_crossed(walk, live, reply)
        else:
            await _stream(walk, live, reply)
    except BaseException as error:
        live.observe()
        live.entry.abandon(error)
        raise
    finally:
        live.response.close()


def unless_unattended(walk: Walk, error: StoreError) -> None:
    """Raises `error`, by which a CLOSE row is not durable yet, unless the answer is a batch's: asked again it
    would be paid twice, and its own row waits as long as the ledger's."""
    if walk.request.attended:
        raise error


async def _plain_crossed(walk: Walk, live: Live, reply: Reply, answer: Answer) -> None:
    live.entry.usage = answer.usage or live.entry.usage
    written = walk.surface.write_answer(answer, walk.ask())
    walk.losses += written.losses
    try:
        await live.entry.close("ok", model=answer.model)
    except StoreError as error:
        unless_unattended(walk, error)
    note(walk, written.body)
    more = [*written.headers, request_id(walk), *lost_there(live)]
    reply.send(200, head(walk, live, PLAIN, more), written.body)


async def _stream(walk: Walk, live: Live, reply: Reply) -> None:
    tap, response = live.tap, live.response
    assert tap is not None
    reply = begun(walk, live, reply)
    data = live.head
    # Gemini has no terminator: frames may follow the one that says why it finished, to the last byte.
    open_ended = walk.surface.name == "gemini"
    try:
        while True:
            failed = tap.error is not None
            if data:
                await reply.write(masked(walk, data) if failed else data)
            live.unbroken()
            # The frame that ends a stream is known by its beginning: the rest of it may still be on its way.
            if failed or (tap.ended and not open_ended and is_whole(live.held)):
                break
            data = await response.chunk()
            if not data:
                await reply.write(live.last())
                break
            data = live.pass_on(data)
    except TierwiseError as error:
        await broke(walk, live, reply, error)
        return
    live.observe()
    if tap.error is not None:
        # The provider's own error event has passed through; its terminator must not follow.
        await live.entry.close("truncated", tap.error.status, tap.error, tap.model)
        reply.end()
    elif not tap.ended:
        await broke(walk, live, reply, UpstreamBroke("The provider's stream broke off before its end."))
    else:
        await live.entry.close("ok", model=tap.model)
        reply.end(live.held)
        await linger(live)


def begun(walk: Walk, live: Live, reply: Reply) -> Reply:
    """Sends the head of a stream; gives the Reply that its bytes go to."""
    if live.crossed:
        reply.start(200, head(walk, live, STREAM, [request_id(walk), *lost_there(live)]))
        return reply
    reply.start(200, head(walk, live, STREAM, passed(live)))
    return cast(Reply, UnaskedUsage(reply)) if asks_usage(walk, live.entry.deployment) else reply


async def _stream_crossed(walk: Walk, live: Live, reply: Reply) -> None:
    assert live.reader is not None
    writer = walk.surface.writer(walk.ask())
    begun(walk, live, reply)
    events, last, model = live.events, False, None
    try:
        while True:
            pieces: list[bytes] = []
            for event in events:
                if isinstance(event, Failed):
                    if pieces:  # what was said before it
                        await reply.write(b"".join(pieces))
                    raise error_of(event)
                model = _observe(live, event) or model
                if isinstance(event, Ended):
                    if pieces:
                        await reply.write(b"".join(pieces))
                    terminal = writer.write(event)
                    walk.losses += writer.losses
                    await live.entry.close("ok", model=model)
                    note(walk, terminal)
                    reply.end(terminal)
                    await linger(live)
                    return
                pieces.append(writer.write(event))
            written = b"".join(pieces)
            pieces.clear()
            events.clear()  # a slow reader keeps what is written only
            if written:
                await reply.write(written)
            if last:
                raise UpstreamBroke("The provider's stream broke off before its end.")
            data = await live.response.chunk()
            events = live.reader.feed(data) if data else live.reader.finish()
            last, data = not data, b""
    except TierwiseError as error:
        walk.losses += writer.losses
        await broke(walk, live, reply, error, writer.error(error))


def _observe(live: Live, event: Event) -> str | None:
    """Notes usage and size of an Event; gives the model it names, if any."""
    if isinstance(event, Delta):
        live.entry.saw_content()
        live.entry.text_bytes += len(event.text.encode())
    elif isinstance(event, UsageSeen):
        live.entry.usage = event.usage
    elif isinstance(event, Started):
        if event.usage is not None:
            live.entry.usage = event.usage
        return event.model
    return None


def note(walk: Walk, said: bytes, again: bool = False) -> None:
    """Keeps a translated answer, whole or the end of its stream, where its caller takes it for stored."""
    if walk.kind.recalls and walk.ask().store is not False:
        # As it came: what it names of before is kept already.
        walk.recall.keep(walk.caller.key.id, walk.request.whole() or walk.body, said, again)


async def broke(
    walk: Walk, live: Live, reply: Reply, error: TierwiseError, frame: bytes | None = None
) -> None:
    """Ends a stream that failed: the row first, then the dialect's error event, and no terminator."""
    live.observe()
    await live.entry.close("truncated", error.status, error)
    reply.end(masked(walk, walk.surface.write_stream_error(error) if frame is None else frame))


def masked(walk: Walk, said: bytes) -> bytes:
    """`said` of a failure, without our credential: providers echo what they were sent."""
    return walk.snapshot.settings.secrets.masked(said)


async def linger(live: Live) -> None:
    """Reads a finished stream to its end, so that the connection can be used again."""
    try:
        async with asyncio.timeout(_LINGER_S):
            while await live.response.chunk():
                pass
    except (TimeoutError, TierwiseError):
        return


def head(walk: Walk, live: Live, begin: bytes, more: list[Header] | tuple[Header, ...] = ()) -> Block:
    """The head of an answer that an Attempt gave: `begin`, ours with the cost of the Exchange, and `more`."""
    entry = live.entry
    # Until its row is closed, what an Attempt costs is not known.
    cost_pico = walk.spent_pico if entry.outcome is not None else None
    return told(walk, begin, (entry.candidate.tier, entry.deployment.name), cost_pico, more)


def told(
    walk: Walk,
    begin: bytes,
    served: tuple[str, str],
    cost_pico: int | None = None,
    more: list[Header] | tuple[Header, ...] = (),
) -> Block:
    """The head of a reply: the lines it begins with, exchange, cost, task, tier, model, reason, losses and
    cache state (empty ones are left out), and `more`. `served` are tier and model."""
    route = walk.route
    reason, task = (route.reason, route.task) if route is not None else ("", "")
    # A pinned model's name may be of any length, and the others are short.
    alike = _alike if len(served[1]) <= _NAME_LENGTH else _alike.__wrapped__
    lines = alike(begin, walk.cache, (reason, task), served) + walk.id.encode() + b"\r\n"
    if cost_pico is not None:
        lines += b"x-tierwise-cost-usd: %b\r\n" % usd(cost_pico).encode()
    if walk.losses:
        more = [(_LOSSES, losses.header(walk.losses)), *more]
    if walk.breakpoints:
        more = [(b"x-tierwise-breakpoints", walk.breakpoints.encode()), *more]
    return Block.written(lines + header_block(more) if more else lines)


@lru_cache(maxsize=1024)
def _alike(begin: bytes, cache: bytes, decided: tuple[str, str], served: tuple[str, str]) -> bytes:
    """What is the same in every head decided alike, which is most of them, up to the exchange's id."""
    names = (b"x-tierwise-route", b"x-tierwise-task", b"x-tierwise-tier", b"x-tierwise-model")
    named = zip(names, (*decided, *served), strict=True)
    headers = [(b"x-tierwise-cache", cache), *((name, safe(text)) for name, text in named if text)]
    return begin + header_block(headers) + b"x-tierwise-exchange: "


def request_id(walk: Walk) -> Header:
    """What the caller's SDK shows as the request's id, where the provider's own is not passed on."""
    name = b"request-id" if walk.surface.name == "anthropic_messages" else b"x-request-id"
    return name, walk.id.encode()


def passed(live: Live) -> list[Header]:
    """The provider's reply headers that a client of its dialect understands."""
    return [pair for pair in live.response.headers if pair[0] in _PASSED_NAMES or pair[0].startswith(_PASSED)]


def lost_there(live: Live) -> list[Header]:
    """What the provider, where it is such a gateway itself, names as lost."""
    return [pair for pair in live.response.headers if pair[0] == _LOSSES]


def refuse(walk: Walk, reply: Reply, written: tuple[int, list[Header], bytes]) -> None:
    """Sends an error that the caller's dialect wrote, with what is known of the Exchange."""
    status, headers, body = written
    reply.send(status, told(walk, PLAIN, ("", ""), None, headers), body)


def nameless(error: TierwiseError, surface: Dialect) -> tuple[int, list[Header], bytes]:
    """Status, headers and body of an error before there was a Walk. It gets an id all the same, for the
    caller to quote.
    """
    made = new_id("ex")
    status, headers, body = surface.write_error(error, made)
    allow = [(b"allow", error.allow.encode())] if isinstance(error, MethodNotAllowed) else []
    return status, [JSON, *headers, *allow, (b"x-tierwise-exchange", made.encode())], body


def own_words(error: TierwiseError, dialect: DialectName) -> bytes | None:
    """The provider's own error body, where it is one of `dialect`; None: the gateway must find the words."""
    if not isinstance(error, UpstreamStatus) or not error.body:
        return None
    try:
        fields = msgspec.json.decode(error.body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if "error" not in fields or (dialect == "anthropic_messages" and fields.get("type") != b'"error"'):
        return None
    return error.body


def presentable(error: TierwiseError) -> TierwiseError:
    """`error` as a caller may see it: a provider that refuses *our* credential is not to be quoted, and
    where the ledger lies is for the log.
    """
    if isinstance(error, UpstreamStatus) and error.status in (401, 403):
        return UpstreamStatus(502, "The provider refused this gateway's credential.", "provider_credential")
    if isinstance(error, StoreError):
        return StoreError(
            "The gateway cannot write its ledger now, and makes no call without a row in it.",
            "Try again in a moment; its log says what is wrong.",
        )
    return error


def plain(reply: Reply, status: int, body: bytes, kind: bytes = b"text/plain; charset=utf-8") -> None:
    """Sends a whole body that is no Exchange's answer."""
    reply.send(status, [(b"content-type", kind)], body)


def usd(pico: int) -> str:
    """Exact dollars, no exponent, always with 12 decimals."""
    if pico < 0:
        return format(pico_to_usd(pico), "f")
    dollars, rest = divmod(pico, PICO_PER_USD)
    return f"{dollars}.{rest:012d}"


def safe(text: str) -> bytes:
    """Printable ASCII for a header value; anything else becomes `?`."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(c if " " <= c <= "~" else "?" for c in text).encode("ascii")
