"""Rows of a batch: how a file is read, and which failures are waited out."""

from __future__ import annotations

import json

import pytest

from tierwise.batches import Row
from tierwise.errors import BudgetRefused
from tierwise.gateway.batch.asking import again
from tierwise.gateway.batch.lines import read_lines

CHAT = "/v1/chat/completions"
LINE = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "auto"}}


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\r\n", b"\xef\xbb\xbf\n"])
def test_a_file_may_begin_with_a_byte_order_mark_or_blank_lines(start: bytes) -> None:
    rows, errors = read_lines("batch", CHAT, start + json.dumps(LINE).encode() + b"\r\n", 10)
    assert (len(rows), errors) == (1, [])


@pytest.mark.parametrize(
    ("reserved_pico", "alone", "waits"), [(0, False, False), (5, False, True), (5, True, False)]
)
def test_a_budget_that_is_used_up_is_waited_for_only_while_some_of_it_is_reserved(
    reserved_pico: int, alone: bool, waits: bool
) -> None:
    error = BudgetRefused("The budget is used up.")
    error.reserved_pico = reserved_pico
    assert (again(error, Row("batch", 1, '"a"', b"{}"), alone) is not None) == waits
