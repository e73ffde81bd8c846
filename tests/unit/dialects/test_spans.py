"""Byte-span edits: the value changes, every other byte stays."""

from __future__ import annotations

import json

import pytest

from tierwise.dialects import spans
from tierwise.errors import BadRequest


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"model":"a","x":1}', b'{"model":"NEW","x":1}'),
        (b' { "x" : 1 , "model" : "a" } \n', b' { "x" : 1 , "model" : "NEW" } \n'),
        (b'{"x":{"model":"no"},"model":"a"}', b'{"x":{"model":"no"},"model":"NEW"}'),
        (b'{"model":"a","x":{"model":"no"}}', b'{"model":"NEW","x":{"model":"no"}}'),
        (b'{"x":"\\"model\\":\\"no\\"","model":"a"}', b'{"x":"\\"model\\":\\"no\\"","model":"NEW"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"NEW","model":"NEW"}'),
        (b'{"model":"a","mod\\u0065l":"b"}', b'{"model":"NEW","mod\\u0065l":"NEW"}'),
        (b'{"a":[{"b":"]}"}],"model":"x","a":-1.5e3}', b'{"a":[{"b":"]}"}],"model":"NEW","a":-1.5e3}'),
        (b'{"model":"q\\"uote"}', b'{"model":"NEW"}'),
        (b'{"x":1}', b'{"x":1}'),
    ],
)  # fmt: skip
def test_only_the_top_level_model_changes(body: bytes, wanted: bytes) -> None:
    assert spans.replace_text(body, "model", "NEW") == wanted


def test_a_new_name_is_escaped() -> None:
    assert json.loads(spans.replace_text(b'{"model":"a"}', "model", 'a"b\\é')) == {"model": 'a"b\\é'}


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"a":1} x', b"", b'"x"', b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        spans.members(body)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"provider":{"a":[1]},"x": 1}', b'{"x": 1}'),
        (b'{"x": 1, "provider":{"a":"}"} }', b'{"x": 1 }'),
        (b'{"x":1,"provider":2,"y":3}', b'{"x":1,"y":3}'),
        (b'{"provider":1}', b"{}"),
        (b'{"provider":1,"provider":2,"x":3}', b'{"x":3}'),
        (b'{"x":3,"provider":1,"provider":2}', b'{"x":3}'),
        (b'{"x":{"provider":1}}', b'{"x":{"provider":1}}'),
    ],
)
def test_members_are_stripped_with_one_comma(body: bytes, wanted: bytes) -> None:
    assert spans.strip(body, ("provider",)) == wanted


def test_fields_are_laid_over() -> None:
    assert spans.lay_over(b'{"a":1, "b":{"a":2}}', {"a": 9, "c": [1]}) == b'{"a":9, "b":{"a":2},"c":[1]}'
    assert spans.lay_over(b"{ }", {"a": None}) == b'{"a":null }'
