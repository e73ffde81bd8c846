"""Patterns mean what they mean to `re`, and a search comes to an end."""

from __future__ import annotations

import re

import pytest

from tierwise.errors import SuiteError
from tierwise.judging import patterns
from tierwise.judging.json_schema import faults
from tierwise.judging.patterns import Pattern

TEXTS = (
    "", "a", "sqrt{e}", "sqrte", "sqrtx", "{d}", "d", '{"a": 1}', "a{1,2}", "aa", "a{,2}", "x]{s}",
    "\\{i}", "{", "}{",
)  # fmt: skip


@pytest.mark.parametrize(
    "pattern",
    [
        "sqrt{e}", "^{d}$", r'{"a": \d}', "^a{1,2}$", "^a{,2}$", "^a{}$", "^a{,}$", "[]{s}]", "[^]{s}]",
        r"\{i}", r"\\{i}", "{", "}{", "(?:d){e<=1}", "(ab)+", r"^(\d+)\s*€$", "(?P<n>a)(?P=n)",
    ],
)  # fmt: skip
def test_a_brace_that_is_no_count_is_a_brace(pattern: str) -> None:
    for text in TEXTS:
        expected, found = re.search(pattern, text), Pattern(pattern).search(text)
        assert (found and found.span()) == (expected and expected.span()), text


@pytest.mark.parametrize("pattern", ["(", "a" * 501, "(?e)a", r"\K", "*a", r"(?P<n>a", r"\L<n>"])
def test_what_re_does_not_take_is_malformed(pattern: str) -> None:
    with pytest.raises(SuiteError):
        Pattern(pattern)


def test_a_search_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "PATIENCE_S", 0.01)
    endless, answer = "(a|aa)+$", "a" * 80 + "b"
    with pytest.raises(SuiteError, match="takes too long on an answer of 81 characters"):
        Pattern(endless).search(answer)
    with pytest.raises(SuiteError, match="takes too long"):
        faults(answer, {"pattern": endless})
