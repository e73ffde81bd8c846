"""Every bucket of a bill survives being written in any dialect and read again, or a Loss says why not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.matrix import CODES
from conformance.matrix_replies import caller_of
from conformance.matrix_streams import assembled
from tierwise.dialects import registry
from tierwise.nouns import (
    Answer,
    BlockStart,
    BlockStop,
    Choice,
    Delta,
    Ended,
    Event,
    Finished,
    Started,
    Text,
    Usage,
    UsageSeen,
)

COUNT = st.integers(0, 10**6)
TOKENS = ("input_audio", "cache_audio_read", "output_audio", "output_image", "output_video")
UNITS = st.dictionaries(st.sampled_from(TOKENS), st.integers(1, 1000))
USAGES = st.builds(
    Usage,
    input=COUNT,
    cache_read=COUNT,
    cache_write_5m=COUNT,
    cache_write_1h=COUNT,
    output=st.integers(1, 10**6),
    extra=UNITS,
).filter(lambda usage: usage.prompt > 0)


def prompt(usage: Usage) -> int:
    """All tokens of the prompt, whatever they are priced at."""
    heard = sum(usage.extra.get(unit, 0) for unit in ("input_audio", "cache_audio_read"))
    return usage.prompt + heard


def output(usage: Usage) -> int:
    """All tokens of the answer."""
    return usage.output + sum(usage.extra.get(unit, 0) for unit in TOKENS if unit.startswith("output"))


def same(before: Usage, after: Usage | None, lost: set[str]) -> None:
    assert after is not None
    assert prompt(after) == prompt(before)
    assert output(after) == output(before)
    assert after.reasoning == before.reasoning
    if "answer.usage" in lost:
        return
    assert (after.input, after.cache_read, after.extra) == (before.input, before.cache_read, before.extra)
    # OpenAI's formats count what was written as one number.
    assert after.cache_write_5m + after.cache_write_1h == before.cache_write_5m + before.cache_write_1h


@pytest.mark.parametrize("code", CODES)
@given(usage=USAGES, thought=st.integers(0, 10**6))
def test_whole(code: str, usage: Usage, thought: int) -> None:
    usage = Usage(
        usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h, usage.output,
        min(thought, usage.output), usage.extra,
    )  # fmt: skip
    dialect = registry.get(CODES[code])
    written = dialect.write_answer(Answer("1", "m", (Choice((Text("hi"),)),), usage), caller_of(code))
    same(usage, dialect.usage(written.body), {loss.name for loss in written.losses})


@pytest.mark.parametrize("code", CODES)
@given(usage=USAGES)
def test_streamed(code: str, usage: Usage) -> None:
    dialect = registry.get(CODES[code])
    writer, tap = dialect.writer(caller_of(code)), dialect.tap()
    events: list[Event] = [
        Started("1", "m"), BlockStart(0, "text"), Delta(0, "hi"), BlockStop(0), Finished("stop"),
        UsageSeen(usage), Ended(),
    ]  # fmt: skip
    raw = b"".join(map(writer.write, events))
    assert assembled(code, raw)
    tap.feed(raw)
    same(usage, tap.usage, {loss.name for loss in writer.losses})
