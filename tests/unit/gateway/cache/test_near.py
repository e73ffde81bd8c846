"""Near: which answered question is nearest, what of a request is its last turn, and bounds."""

from __future__ import annotations

import logging
import time
from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from tierwise.clock import now_us
from tierwise.errors import ConfigError
from tierwise.gateway.cache.canonical import canonical
from tierwise.gateway.cache.kept import Kept, Memory
from tierwise.gateway.cache.near import Near, Question, Vectors, function_of, last_turn, unit
from tierwise.nouns import Usage


def kept(body: bytes) -> Kept:
    return Kept(body, "plain", Usage(), "t", "a/m", "m", (), now_us(), now_us() + 10**12)


def test_the_nearest_that_is_near_enough_and_still_kept() -> None:
    memory = Memory(1 << 20)
    near = Near(memory)
    for key, vector in ((b"a", (1.0, 0.0)), (b"b", (0.8, 0.6)), (b"gone", (0.6, 0.8))):
        near.add(Question(b"group", vector), key)
        if key != b"gone":
            memory.put(key, kept(key))
    found = near.find(Question(b"group", (0.6, 0.8)), 0.9)
    assert found is not None
    assert (found.body, found.similarity) == (b"b", pytest.approx(0.96))
    assert near.find(Question(b"group", (0.6, 0.8)), 0.97) is None
    assert near.find(Question(b"other", (1.0, 0.0)), 0.5) is None
    assert near.find(Question(b"group", (1.0, 0.0, 0.0)), 0.5) is None


def test_it_is_bounded() -> None:
    memory = Memory(1 << 24)
    near = Near(memory)
    for n in range(65):
        memory.put(b"%d" % n, kept(b"%d" % n))
        near.add(Question(b"one", (1.0, 0.0) if n == 0 else (0.0, 1.0)), b"%d" % n)
    assert near.find(Question(b"one", (1.0, 0.0)), 0.9) is None, "the oldest of 65 is gone"
    for n in range(5000):
        near.add(Question(b"group %d" % n, (1.0, 0.0)), b"1")
    assert near.find(Question(b"one", (0.0, 1.0)), 0.9) is None, "the group used least recently is gone"
    assert near.find(Question(b"group 4999", (1.0, 0.0)), 0.9) is not None


def test_a_question_asked_anew_takes_no_second_place() -> None:
    memory = Memory(1 << 20)
    near = Near(memory)
    near.add(Question(b"one", (1.0, 0.0)), b"other")
    memory.put(b"other", kept(b"other"))
    for _ in range(64):
        near.add(Question(b"one", (0.0, 1.0)), b"forgotten now and then")
    assert near.find(Question(b"one", (1.0, 0.0)), 0.9) is not None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "w"}]}, "w"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "w"}]}]}, "w"),
        ({"input": "w"}, "w"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "w"}]}]}, "w"),
        ({"contents": [{"parts": [{"text": "w"}]}]}, "w"),
        ({"messages": [{"role": "user", "content": "w"}, {"role": "assistant", "content": "x"}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, None),
        ({"messages": [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]}, None),
        ({"messages": [{"role": "user", "content": [{"text": "a", "cache_control": {}}]}]}, None),
        ({"messages": []}, None),
    ],
)
def test_the_last_turn(body: dict[str, Any], words: str | None) -> None:
    form = canonical(msgspec.json.encode(body), echoes=False)
    assert form is not None
    found = last_turn(form)
    assert (found and found[1]) == words
    if found is not None:
        assert "w" not in str(found[0])


def test_functions() -> None:
    assert function_of("time:time") is time.time
    assert function_of("openai/text-embedding-3-small") is None
    assert function_of("local/nomic:latest") is None
    for name in ("time:nothing", "no_such_module:f"):
        with pytest.raises(ConfigError):
            function_of(name)
    assert list(unit([3, 4])) == [0.6, 0.8]
    for bad in ([0, 0], [float("inf"), 1]):
        with pytest.raises(ConfigError):
            unit(bad)


async def test_a_function_that_goes_on_failing_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    book = SimpleNamespace(metrics=SimpleNamespace(cache=Counter()))
    vectors = Vectors(cast("Any", None), cast("Any", book))
    with caplog.at_level(logging.INFO):
        for name in ("nowhere:f", "nowhere:f", "json:none", "nowhere:f"):
            assert await vectors.of(cast("Any", None), name, "a question") is None
    said = [record.getMessage() for record in caplog.records if "no vector" in record.getMessage()]
    assert len(said) == 3
    assert book.metrics.cache["no_vector"] == 4
