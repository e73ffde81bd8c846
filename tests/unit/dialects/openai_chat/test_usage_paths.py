"""The short way through an ordinary usage object says what the long way says."""

import itertools
import json

import msgspec

from tierwise.dialects.openai_chat import DIALECT
from tierwise.dialects.openai_chat.usage import Wire, _ordinary, _untangled

COUNTS = (None, 0, 5, 180, -1, 3.5)


def wires():
    for prompt, output, total in itertools.product(
        (None, 0, 180, -3, 2.0), (0, 100, -1), (None, 0, 280, 300)
    ):
        for cached, reasoning in itertools.product(COUNTS, COUNTS):
            yield {
                "prompt_tokens": prompt,
                "completion_tokens": output,
                "total_tokens": total,
                "prompt_tokens_details": {"cached_tokens": cached},
                "completion_tokens_details": {"reasoning_tokens": reasoning},
            }
    for name in ("prompt_cache_hit_tokens", "cached_tokens", "cache_creation_input_tokens", "service_tier"):
        yield {"prompt_tokens": 9, "completion_tokens": 2, name: "flex" if name == "service_tier" else 4}
    yield {"prompt_tokens": 9, "completion_tokens": 2, "server_tool_use": {"web_search_requests": 1}}
    yield {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"audio_tokens": 3}}


def test_both_ways_agree():
    taken = 0
    for fields in wires():
        wire = msgspec.convert(fields, Wire)
        short = _ordinary(wire, None)
        if short is not None:
            taken += 1
            assert short == _untangled(wire, None), fields
        assert _ordinary(wire, "flex") is None
    assert taken > 20


def test_an_empty_list_in_an_objects_place_hides_no_usage():
    """Servers written in PHP say so."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11, "prompt_tokens_details": []}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    body = json.dumps({"model": "m", "usage": usage, "choices": [choice]}).encode()
    frame = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    tap = DIALECT.tap()
    tap.feed(frame)
    for found in (DIALECT.usage(body), DIALECT.read_answer(body).usage, tap.usage):
        assert found is not None
        assert (found.input, found.output, found.source) == (9, 2, "reported")
