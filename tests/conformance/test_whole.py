"""Answer ⇄ Events: a whole reply told as a stream says what it said, and a stream put together as well."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance.matrix import CODES, Row
from conformance.matrix_answers import ANSWERS
from conformance.matrix_replies import caller_of, mistold, reply
from conformance.matrix_streams import assembled, streamed
from tierwise.dialects import registry
from tierwise.dialects.whole import answer_of, events_of, with_usage
from tierwise.nouns import BlockStart, Delta, Finished, Usage, UsageSeen


def said() -> list[Any]:
    return [
        pytest.param(row, code, id=f"{row.feature}-{code}")
        for row in ANSWERS
        for code in CODES
        if code in row.said
    ]


@pytest.mark.parametrize(("row", "code"), said())
def test_a_whole_reply_as_a_stream(row: Row, code: str) -> None:
    dialect = registry.get(CODES[code])
    answer = dialect.read_answer(json.dumps(reply(row, code)).encode())
    writer = dialect.writer(caller_of(code))
    raw = b"".join(writer.write(event) for event in events_of(answer))
    assert mistold(row, f"{code}>{code}", assembled(code, raw), {lost.name for lost in writer.losses}) == []


@pytest.mark.parametrize(("row", "code"), said())
def test_a_stream_as_a_whole_reply(row: Row, code: str) -> None:
    dialect = registry.get(CODES[code])
    reader = dialect.reader()
    events = [each for frame in streamed(code, reply(row, code)) for each in reader.feed(frame)]
    answer = answer_of([*events, *reader.finish()])
    assert answer is not None
    written = dialect.write_answer(answer, caller_of(code))
    names = {lost.name for lost in written.losses}
    assert mistold(row, f"{code}>{code}", json.loads(written.body), names) == []
    assert answer_of(events_of(answer)) == answer


@pytest.mark.parametrize("code", CODES)
def test_half_a_surrogate_pair_voids_no_answer(code: str) -> None:
    row = next(row for row in ANSWERS if row.feature == "ended: at the output limit")
    raw = json.dumps(reply(row, code)).replace('"hi"', r'"half \ud83d"')
    answer = registry.get(CODES[code]).read_answer(raw.encode())
    assert "half \ufffd" in str(answer)


def test_a_stream_without_its_end_is_no_answer() -> None:
    assert answer_of([BlockStart(0, "text"), Delta(0, "half"), Finished("stop")]) is None


def test_usage_is_told_once_in_place_of_what_was_told() -> None:
    counted = Usage(input=7, output=3)
    dialect = registry.get("openai_chat")
    events = list(events_of(dialect.read_answer(json.dumps(reply(ANSWERS[0], "C")).encode())))
    told = [each for each in with_usage(events, counted) if isinstance(each, UsageSeen)]
    assert told == [UsageSeen(counted)]
    answer = answer_of(with_usage(events, counted))
    assert answer is not None
    assert answer.usage == counted
