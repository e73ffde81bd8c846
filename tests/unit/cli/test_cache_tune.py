"""`tierwise cache tune` with a function of the user's that makes the vectors."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from tierwise.cli.cache_tune import read_pairs, similarities
from tierwise.config import load
from tierwise.errors import ConfigError, SuiteError

FUNCTIONS = """
def right(text):
    return [len(text), 1.0]
def wrong(text):
    return "a text"
def broken(text):
    raise ValueError("no model")
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the working directory."""
    (tmp_path / "vectors_of_a_test.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.usefixtures("beside")
def test_a_function_in_the_working_directory_is_found() -> None:
    assert similarities(load(None, {}), "vectors_of_a_test:right", [("a", "b", True)]) == [pytest.approx(1)]


@pytest.mark.usefixtures("beside")
@pytest.mark.parametrize(("name", "said"), [("wrong", "TypeError"), ("broken", "ValueError: no model")])
def test_a_function_that_fails_is_told_with_its_text(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        similarities(load(None, {}), f"vectors_of_a_test:{name}", [("a", "b", True)])
    assert "'a'" in caught.value.message


@pytest.mark.parametrize(
    "content",
    [b"first,second,same\n\xe9,b,yes\n", b"first,second,same\n" + b"a" * 200_000 + b",b,yes\n"],
    ids=["not UTF-8", "a field too long"],
)
def test_pairs_that_cannot_be_read_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pairs.csv").write_bytes(content)
    limit = csv.field_size_limit(131_072)  # a setting of the process, which readers of suites raise
    try:
        with pytest.raises(SuiteError, match=r"pairs\.csv cannot be read"):
            read_pairs(tmp_path / "pairs.csv")
    finally:
        csv.field_size_limit(limit)
