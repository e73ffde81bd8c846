"""Whatever bytes come, from a caller or a provider, the readers raise errors of our own and no others."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.matrix import CODES, Row, model, request
from conformance.matrix_answers import ANSWERS
from conformance.matrix_beside import BESIDE
from conformance.matrix_media import MEDIA
from conformance.matrix_replies import caller_of, reply
from conformance.matrix_settings import SETTINGS
from conformance.matrix_streams import data, streamed
from conformance.matrix_talk import TALK
from conformance.matrix_unknown import UNKNOWN
from tierwise.dialects import registry
from tierwise.dialects.base import Dialect
from tierwise.errors import TierwiseError

REQUESTS: list[Row] = [*TALK, *MEDIA, *SETTINGS, *UNKNOWN]
REPLIES: list[Row] = [*ANSWERS, *BESIDE]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
dialects = pytest.mark.parametrize("code", CODES)


def survives(call: Callable[..., Any], *arguments: Any) -> Any:
    """What `call` gives back, None where it raised an error of ours."""
    try:
        return call(*arguments)
    except TierwiseError:
        return None


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path into `value` but its root."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inner for found in [(*path, key), *places(item, (*path, key))]]


def damaged(draw: st.DrawFn, value: Any) -> Any:
    """`value` with something else in one or two of its places."""
    made = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 2))):
        where = places(made)
        if not where:
            break
        *path, last = draw(st.sampled_from(where))
        holder = made
        for key in path:
            holder = holder[key]
        holder[last] = draw(JSON)
    return made


def said(rows: list[Row], code: str) -> list[Row]:
    return [row for row in rows if code in row.said]


def everything_reads(dialect: Dialect, body: bytes) -> None:
    """Every reader of bytes from outside, and what its result is used for."""
    survives(dialect.outline, body)
    ask = survives(dialect.read_request, body, {})
    answer = survives(dialect.read_answer, body)
    survives(dialect.usage, body)
    survives(dialect.served_model, body)
    survives(dialect.replace_model, body, "m")
    dialect.read_error(400, {}, body)
    for code in CODES:
        other = registry.get(CODES[code])
        if ask is not None:
            survives(other.write_request, ask, MODELS[code])
        if answer is not None:
            survives(other.write_answer, answer, CALLERS[code])


def stream_reads(dialect: Dialect, pieces: list[bytes]) -> None:
    """A stream through the tap, and through the reader to a writer of every dialect."""
    reader, tap = dialect.reader(), dialect.tap()
    writers = [registry.get(CODES[code]).writer(CALLERS[code]) for code in CODES]
    for piece in [*pieces, None]:
        if piece is not None:
            assert 0 <= tap.feed(piece) <= len(piece)
        events = survives(reader.finish) if piece is None else survives(reader.feed, piece)
        if events is None:
            break
        for writer in writers:
            for event in events:
                writer.write(event)


MODELS = {code: model(code) for code in CODES}
CALLERS = {code: caller_of(code) for code in CODES}


@dialects
@given(body=st.binary(max_size=300))
def test_any_bytes(code: str, body: bytes) -> None:
    dialect = registry.get(CODES[code])
    everything_reads(dialect, body)
    stream_reads(dialect, [body])
    stream_reads(dialect, [b"data: " + body + b"\n\n"])


@dialects
@given(value=JSON)
def test_any_json(code: str, value: Any) -> None:
    dialect = registry.get(CODES[code])
    everything_reads(dialect, json.dumps(value).encode())
    stream_reads(dialect, [data(value)])


@dialects
@given(st.data())
@settings(max_examples=150)
def test_damaged_requests(code: str, draw: st.DataObject) -> None:
    row = draw.draw(st.sampled_from(said(REQUESTS, code)))
    body = damaged(draw.draw, request(row, code))
    everything_reads(registry.get(CODES[code]), json.dumps(body).encode())


@dialects
@given(st.data())
@settings(max_examples=150)
def test_damaged_replies(code: str, draw: st.DataObject) -> None:
    row = draw.draw(st.sampled_from(said(REPLIES, code)))
    body = damaged(draw.draw, reply(row, code))
    everything_reads(registry.get(CODES[code]), json.dumps(body).encode())


@dialects
@given(st.data())
@settings(max_examples=150)
def test_damaged_streams(code: str, draw: st.DataObject) -> None:
    row = draw.draw(st.sampled_from(said(REPLIES, code)))
    pieces = streamed(code, reply(row, code))
    number = draw.draw(st.integers(0, len(pieces) - 1))
    head, found, text = pieces[number].partition(b"data: ")
    if text.startswith(b"{"):
        body = damaged(draw.draw, json.loads(text))
        pieces[number] = head + found + json.dumps(body).encode() + b"\n\n"
    stream_reads(registry.get(CODES[code]), pieces)
