"""promptfoo's assertion words, read and held against answers."""

from __future__ import annotations

import pytest

from tierwise.errors import SuiteError
from tierwise.lab.grading.checks import checks_of, levenshtein, parse, score_checks
from tierwise.nouns import Case


@pytest.mark.parametrize(
    ("expected", "right", "wrong"),
    [
        ("Paris", " Paris\n", "paris"),
        ("equals: Paris", "Paris", "It is Paris"),
        ("contains: Paris", "It is Paris.", "it is paris"),
        ("icontains: PARIS", "it is paris", "London"),
        ("contains-all: a, b", "b and a", "only a"),
        ("contains-any: x, y", "why", "no"),
        ("icontains-any: X, Y", "why", "no"),
        ("not-contains: sorry", "Sure", "I am sorry"),
        ("starts-with: Yes", "Yes, it is", "Oh yes"),
        ("regex: ^\\d{3}$", "123", "1234"),
        ("not-regex: \\d", "abc", "a1"),
        ("is-json", '{"a": 1}', "a: 1"),
        ('is-json: {"type": "object", "required": ["a"]}', '{"a": 1}', '{"b": 1}'),
        ("contains-json", 'here: {"a": 1}', "none"),
        ("not-is-json", "hello", "[1]"),
        ("levenshtein(2): kitten", "sitten", "sitting"),
        ("http://example.org: is an answer", "http://example.org: is an answer", "x"),
        ("Note: this is plain text", "Note: this is plain text", "Note"),
    ],
)  # fmt: skip
def test_each_word(expected: str, right: str, wrong: str) -> None:
    case = Case("1", "q", metadata={"assert": [parse(expected, "here")]})
    assert score_checks(case, right).value == 1
    found = score_checks(case, wrong)
    assert found.value == 0
    assert found.why


def test_every_check_must_hold_and_none_is_unscored() -> None:
    both = Case("1", "q", metadata={"assert": [parse("contains: a", ""), parse("contains: b", "")]})
    assert [score_checks(both, text).value for text in ("a b", "a", "b")] == [1, 0, 0]
    assert score_checks(Case("1", "q"), "a").value is None


@pytest.mark.parametrize(
    "text",
    ["llm-rubric: is polite", "python: True", "latency: 3", "is-sql", "not-is-refusal", "bleu(0.5): x"],
)
def test_what_cannot_be_checked_here_is_refused(text: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse(text, "tests.csv:3")
    assert "tests.csv:3" in caught.value.message
    assert caught.value.hint


def test_levenshtein() -> None:
    assert [levenshtein(a, b) for a, b in (("", ""), ("kitten", "sitting"), ("abc", ""))] == [0, 3, 3]


@pytest.mark.parametrize(
    "fields",
    [
        {"__expected": "x", "__prefix": "Say: "},
        {"__expected": "x", "__config:provider": "y"},
        {"assert": [{"type": "equals", "value": "x", "transform": "output.trim()"}]},
        {"assert": [{"type": "equals", "value": "x", "weight": 0}]},
        {"assert": [{"value": "x"}]},
        {"assert": "equals: x"},
    ],
)
def test_what_would_change_the_scoring_unseen_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(SuiteError, match=r"tests\.csv:3"):
        checks_of(fields, "tests.csv:3")


def test_columns_that_change_nothing_are_passed_over() -> None:
    assert checks_of({"__expected": "x", "__description": "d", "__metric": "m", "__prefix": ""}, "") == [
        {"type": "equals", "value": "x"}
    ]
