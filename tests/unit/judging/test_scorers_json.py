from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from tierwise.judging.json_schema import Unsupported, equal, faults
from tierwise.judging.scorers import scorer
from tierwise.judging.scorers_json import read_json
from tierwise.nouns import Case

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "uniqueItems": True, "maxItems": 3},
        "kind": {"enum": ["a", 1, None, [1, 2]]},
        "pay": {"anyOf": [{"type": "null"}, {"type": "number", "multipleOf": 0.1}]},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"tag": {"type": "string"}},
}


def value(name: str, target: object, answer: str, **options: object) -> float | None:
    return scorer(name, options)(Case("1", "?", target=target), answer).value


@pytest.mark.parametrize(
    "instance",
    [
        {"name": "Ann"},
        {"name": "ann"},
        {"name": ""},
        {},
        [],
        {"name": "Ann", "extra": 1},
        {"name": "Ann", "age": 5.0},
        {"name": "Ann", "age": 5.5},
        {"name": "Ann", "age": True},
        {"name": "Ann", "age": 150},
        {"name": "Ann", "age": -1},
        {"name": "Ann", "tags": ["x", "y"]},
        {"name": "Ann", "tags": ["x", "x"]},
        {"name": "Ann", "tags": [1]},
        {"name": "Ann", "tags": ["1", "2", "3", "4"]},
        {"name": "Ann", "kind": 1.0},
        {"name": "Ann", "kind": True},
        {"name": "Ann", "kind": [1, 2.0]},
        {"name": "Ann", "kind": "b"},
        {"name": "Ann", "pay": 0.5},
        {"name": "Ann", "pay": 0.55},
        {"name": "Ann", "pay": None},
        {"name": "Ann", "pay": "x"},
    ],
)
def test_the_validator_agrees_with_jsonschema(instance):
    assert (not faults(instance, SCHEMA)) == Draft202012Validator(SCHEMA).is_valid(instance)


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"const": {"a": 1}}, {"a": 1.0}, {"a": True}),
        ({"oneOf": [{"minimum": 2}, {"maximum": 5}]}, 1, 3),
        ({"allOf": [{"minimum": 2}, {"maximum": 5}]}, 3, 6),
        ({"not": {"type": "string"}}, 1, "1"),
        ({"prefixItems": [{"type": "string"}], "items": False}, ["a"], ["a", 1]),
        ({"minProperties": 1, "maxProperties": 2}, {"a": 1}, {}),
        ({"additionalProperties": {"type": "integer"}}, {"x": 1}, {"x": "1"}),
        ({"minItems": 1}, [0], []),
        ({"exclusiveMinimum": 3}, 3.1, 3),
        ({"exclusiveMaximum": 3}, 2.9, 3),
        ({"minLength": 2}, "ab", "a"),
        ({"maxLength": 2}, "ab", "abc"),
        ({"type": ["string", "null"], "format": "email"}, "not an address", 5),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"minimum": 3}}}, 3, 2),
        (
            {"properties": {"next": {"$ref": "#"}}, "required": ["v"]},
            {"v": 1, "next": {"v": 2}},
            {"v": 1, "next": {}},
        ),
        (True, 1, None),
    ],
)
def test_each_keyword(schema, good, bad):
    assert not faults(good, schema)
    if schema is not True:
        assert faults(bad, schema)
        assert not Draft202012Validator(schema).is_valid(bad)
    assert Draft202012Validator(schema).is_valid(good)


@pytest.mark.parametrize(
    "schema",
    [
        {"patternProperties": {}},
        {"properties": {"a": {"dependentRequired": {}}}},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/none"},
        {"type": "text"},
        {"items": [{"type": "string"}]},
        {"required": 5},
        {"$ref": "#"},
        5,
    ],
)
def test_what_the_validator_does_not_know_is_unscored(schema):
    with pytest.raises(Unsupported):
        faults({"a": 1}, schema)
    found = scorer("json_schema", {"schema": schema})(Case("1", "?"), '{"a": 1}')
    assert found.value is None
    assert found.why
    assert scorer("json_schema", {"schema": schema})(Case("1", "?"), "no JSON").value is None


def test_json_schema_scorer():
    assert value("json_schema", None, '{"name": "Ann"}', schema=SCHEMA) == 1
    assert value("json_schema", None, 'Sure:\n```json\n{"name": "Ann"}\n```', schema=SCHEMA) == 1
    assert value("json_schema", None, 'Sure: {"name": "Ann"}', schema=SCHEMA, strict=True) == 0
    assert value("json_schema", None, '{"name": "Ann"', schema=SCHEMA) == 0
    assert value("json_schema", None, "{}") is None
    case = Case("1", "?", metadata={"schema": {"type": "object"}})
    assert scorer("json_schema")(case, "[]").value == 0


def test_a_fault_is_named():
    found = scorer("json_schema", {"schema": SCHEMA})(Case("1", "?"), '{"name": "Ann", "age": -1}')
    assert "$.age" in found.why


@pytest.mark.parametrize(
    ("a", "b", "same"), [(1, 1.0, True), (1, True, False), (0, False, False), ([1], [1.0], True)]
)
def test_json_equality(a, b, same):
    assert equal(a, b) is same


TARGET = {"name": "Ann Lee", "age": 5, "tags": ["x", "y"]}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (TARGET, 1),
        ({"tags": ["y", "x"], "age": 5.0, "name": "ann  lee"}, 1),
        ({"name": "Ann Lee", "age": 6, "tags": ["x", "y"]}, 0.75),
        ({"name": "Ann Lee"}, 2 / 5),
        ({**TARGET, "more": 1}, 8 / 9),
        ({"name": "Ann Lee", "age": "5", "tags": ["x", "y"]}, 0.75),
        ({}, 0),
    ],
)
def test_json_fields(answer, expected):
    assert value("json_fields", TARGET, json.dumps(answer)) == pytest.approx(expected)


def test_fields_of_different_list_items_do_not_make_one_right():
    items = [{"item": "pen", "price": 1}, {"item": "car", "price": 9000}]
    swapped = [{"item": "pen", "price": 9000}, {"item": "car", "price": 1}]
    assert value("json_fields", items, json.dumps(items[::-1])) == 1
    assert value("json_fields", items, json.dumps(swapped)) == 0.5
    assert value("json_fields", {"a.b": 1}, '{"a": {"b": 1}}') == 0
    many = [{"n": i, "twice": 2 * i} for i in range(300)]
    assert value("json_fields", many, json.dumps(many[::-1])) == 1


def test_a_target_that_is_an_object_is_compared_as_json():
    target = {"k": [1, None], "t": True}
    for name in ("agreement", "exact", "contains"):
        assert value(name, target, '{"k": [1, null], "t": true}') == 1
    assert value("agreement", target, '```json\n{"t":true,"k":[1,null]}\n```') == 1
    assert value("agreement", target, '{"k": [1], "t": true}') == 0


def test_json_fields_corners():
    assert value("json_fields", TARGET, "no json") == 0
    for target, answer in (
        ({"a": True}, '{"a": 1}'),
        ({"a": 1}, '{"a": true}'),
        ({"a": {"b": 1}}, '{"a": [1]}'),
    ):
        assert value("json_fields", target, answer) == 0
    big = 2**53  # above which two whole numbers may be one as a float
    assert value("json_fields", {"a": big}, f'{{"a": {big + 1}}}') == 0
    assert value("json_fields", [{"a": 1}, {"a": 1}], '[{"a": 1}]') == pytest.approx(2 / 3)
    assert value("json_fields", [1, 2], "[1, 2]", fields=["a"]) == 1  # a list has no names to choose from
    assert value("json_fields", {"a": 1}, "[1]", fields=["a"]) == 0
    assert value("json_fields", json.dumps(TARGET), json.dumps(TARGET)) == 1
    assert value("json_fields", "words", "{}") is None
    assert value("json_fields", TARGET, '{"age": 5}', fields=["age"]) == 1
    assert value("json_fields", TARGET, "{}", fields=["none"]) is None


CALL = {"name": "search", "arguments": {"q": "cats", "n": 3}}
OTHER = {"name": "open", "arguments": {}}


@pytest.mark.parametrize(
    ("target", "answer", "options", "expected"),
    [
        (CALL, CALL, {}, 1),
        (CALL, [CALL], {}, 1),
        (CALL, {"name": "search", "arguments": '{"n": 3.0, "q": "cats"}'}, {}, 1),
        (CALL, {"tool_calls": [{"id": "1", "function": CALL}]}, {}, 1),
        (CALL, {"name": "search", "arguments": {"q": "dogs", "n": 3}}, {}, 0),
        (CALL, {"name": "search", "arguments": {"q": "dogs"}}, {"arguments": False}, 1),
        ([CALL, OTHER], [OTHER, CALL], {}, 1),
        ([CALL, OTHER], [OTHER, CALL], {"ordered": True}, 0),
        ([CALL, OTHER], [CALL, OTHER], {"ordered": True}, 1),
        ([CALL, OTHER], [CALL], {"ordered": True}, 0),
        ([CALL, CALL], [CALL], {}, 0),
        ([CALL, OTHER], [CALL, CALL], {}, 0),
        ([], [CALL], {}, 0),
        ([], [], {}, 1),
        ("words", CALL, {}, None),
    ],
)
def test_tool_call(target, answer, options, expected):
    assert value("tool_call", target, json.dumps(answer), **options) == expected


def test_tool_call_against_plain_text():
    assert value("tool_call", CALL, "I would search for cats.") == 0
    assert value("tool_call", CALL, "") == 0
    assert value("tool_call", [], "No tool is needed.") == 1
    assert value("tool_call", [], "") == 1


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, "plain", "", "x" * 200_001], ids=lambda t: t[:8]
)
def test_what_is_no_json(text):
    with pytest.raises(ValueError):
        read_json(text)


def test_json_within_words():
    assert read_json('Here [is] it: {"a": [1, 2]} and more') == {"a": [1, 2]}
    assert read_json("```\n[1]\n```") == [1]
