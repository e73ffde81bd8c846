"""A request's canonical form: the same however it is spelt, another for any change that means something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.gateway.cache.canonical import canonical, temperature


def form(body: Any, echoes: bool = False, **spelling: Any) -> bytes | None:
    raw = body if isinstance(body, bytes) else json.dumps(body, **spelling).encode()
    found = canonical(raw, echoes)
    return found.text if found is not None else None


SHAPE = [("model", "m"), ("stream", True), ("stream_options", {"include_usage": True}), ("provider", {})]
ADDRESS = [("user", "u"), ("metadata", {"a": "b"}), ("safety_identifier", "s"), ("prompt_cache_key", "k")]


@pytest.mark.parametrize(("name", "value"), [*SHAPE, *ADDRESS])
def test_fields_that_do_not_change_the_answer(name: str, value: Any) -> None:
    assert form({"messages": [], name: value}) == form({"messages": []})


@pytest.mark.parametrize(("name", "value"), ADDRESS)
def test_a_dialect_that_repeats_them_keeps_them_apart(name: str, value: Any) -> None:
    assert form({"input": [], name: value}, echoes=True) != form({"input": []}, echoes=True)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b" : 2}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":1,"a":2,"s":"\\u003a"}',
        b'{"a":1,"a":2,"s":"\\u0022:"}',
        b"[1]",
    ],
)
def test_a_body_that_can_be_read_in_two_ways_has_none(body: bytes) -> None:
    assert form(body) is None


@pytest.mark.parametrize("text", ['"', '":', '\\":', ":", "\\", 'a":"b', '{"a":1,"a":2}'])
def test_text_is_not_taken_for_keys(text: str) -> None:
    assert form({"a": text, text: {"b": text}}) is not None


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (({},), None),
        (({"temperature": 0},), 0.0),
        (({"temperature": None}, {"temperature": 1}), 1.0),
        (({"temperature": 0.0}, {"temperature": 1}), 0.0),
        (({}, {"generationConfig": {"temperature": 0}}), 0.0),
        (({"generation_config": {"temperature": 0.2}},), 0.2),
        (({"temperature": False},), None),
        (({"temperature": "0"},), None),
    ],
)
def test_temperature(places: Any, expected: float | None) -> None:
    assert temperature(*places) == expected


@pytest.mark.parametrize("odd", [b'"bad \xff"', b"1e999", b'"half \\ud83d"', b"NaN", b""])
def test_what_cannot_be_read_has_no_form(odd: bytes) -> None:
    assert canonical(b'{"model":"m","x":%b}' % odd, echoes=False) is None
