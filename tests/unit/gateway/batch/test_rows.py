"""Rows of a batch: how a file is read, and which failures are waited out."""

from __future__ import annotations

import json

import pytest

from tierwise.batches import Row
from tierwise.errors import BudgetRefused
from tierwise.gateway.batch.asking import again
from tierwise.gateway.batch.lines import Lines

CHAT = "/v1/chat/completions"
LINE = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "auto"}}


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\r\n", b"\xef\xbb\xbf\n"])
def test_a_file_may_begin_with_a_byte_order_mark_or_blank_lines(start: bytes) -> None:
    reading = Lines("batch", CHAT, 10)
    rows = reading.rows((start + json.dumps(LINE).encode()).splitlines())
    reading.end()
    assert (len(rows), reading.errors) == (1, [])


def test_a_file_in_pieces_is_read_as_one() -> None:
    """Names are not told twice, lines are counted on, and nothing is asked where anything is wrong."""
    lines = [json.dumps({**LINE, "custom_id": name}).encode() for name in "abcda"]
    reading = Lines("batch", CHAT, 10)
    assert [row.n for row in reading.rows(lines[:2])] == [1, 2]
    assert [row.n for row in reading.rows([b"", lines[2]])] == [4]
    assert [row.n for row in reading.rows([lines[3], lines[4]])] == [5]
    assert reading.rows([json.dumps({**LINE, "custom_id": "e"}).encode()]) == []
    assert not reading.over
    reading.end()
    assert [(error["code"], error["line"]) for error in reading.errors] == [("duplicate_custom_id", 6)]


@pytest.mark.parametrize(("count", "codes"), [(0, ["empty_file"]), (3, []), (4, ["too_many_tasks"])])
def test_how_many_rows_a_file_may_have(count: int, codes: list[str]) -> None:
    reading = Lines("batch", CHAT, 3)
    for number in range(count):
        reading.rows([json.dumps({**LINE, "custom_id": f"c{number}"}).encode()])
    reading.end()
    assert [error["code"] for error in reading.errors] == codes


def test_a_file_with_many_errors_is_not_read_to_its_end() -> None:
    reading = Lines("batch", CHAT, 10)
    reading.rows([b"{"] * 60)
    assert not reading.over
    reading.rows([b"{"] * 60)
    assert reading.over
    assert len(reading.errors) == 100


@pytest.mark.parametrize(
    ("reserved_pico", "alone", "waits"), [(0, False, False), (5, False, True), (5, True, False)]
)
def test_a_budget_that_is_used_up_is_waited_for_only_while_some_of_it_is_reserved(
    reserved_pico: int, alone: bool, waits: bool
) -> None:
    error = BudgetRefused("The budget is used up.")
    error.reserved_pico = reserved_pico
    assert (again(error, Row("batch", 1, '"a"', b"{}"), alone) is not None) == waits
