"""The matrix is the specification: every cell is executed, and none is empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from conformance import matrix_answers
from conformance.matrix import DIRECTIONS, Cell, Row, difference, dropped, request, written
from conformance.matrix_beside import BESIDE
from conformance.matrix_media import MEDIA
from conformance.matrix_replies import mistold, reply, told, told_at_once, told_in_pieces, told_late, usage_of
from conformance.matrix_settings import SETTINGS
from conformance.matrix_talk import TALK
from conformance.matrix_unknown import UNKNOWN
from tierwise.dialects.losses import FAMILIES, meaning

Way = Callable[[Row, str], tuple[dict[str, Any], set[str]]]
ANSWERS = [*matrix_answers.ANSWERS, *BESIDE]
REQUESTS = [*TALK, *MEDIA, *SETTINGS, *UNKNOWN]


def cases(rows: list[Row]) -> list[Any]:
    found = []
    for row in rows:
        for direction in DIRECTIONS:
            if direction[0] not in row.said:
                continue
            found.append(pytest.param(row, direction, id=f"{row.feature}-{direction}"))
    return found


@pytest.mark.parametrize(("row", "direction"), cases(REQUESTS))
def test_request(row: Row, direction: str) -> None:
    body, names = written(row, direction)
    assert difference(row, direction, body, names) == []


@pytest.mark.parametrize(("row", "direction"), cases(REQUESTS))
def test_nothing_is_dropped_unnamed(row: Row, direction: str) -> None:
    """Every value of the request is in the target's, or a Loss tells, or the row says what became of it."""
    cell = row.cell(direction)
    assert cell is not None
    body, names = written(row, direction)
    assert not dropped(request(row, direction[0]), body) or names or cell.kind == "changed"


@pytest.mark.parametrize(("row", "direction"), cases(ANSWERS))
def test_answer(row: Row, direction: str) -> None:
    body, names = told(row, direction)
    assert mistold(row, direction, body, names) == []


@pytest.mark.parametrize(("row", "direction"), cases(ANSWERS))
def test_streamed_answer(row: Row, direction: str) -> None:
    body, names = told_in_pieces(row, direction)
    assert mistold(row, direction, body, names) == []


@pytest.mark.parametrize(("row", "direction"), cases(ANSWERS))
@pytest.mark.parametrize("way", [told_late, told_at_once])
def test_answer_from_one_form_to_the_other(row: Row, direction: str, way: Way) -> None:
    """An answer of a cache may be asked for in another form than it came in."""
    body, names = way(row, direction)
    assert mistold(row, direction, body, names) == []


@pytest.mark.parametrize(("row", "direction"), cases(ANSWERS))
def test_usage_does_not_depend_on_the_dialect(row: Row, direction: str) -> None:
    """Every dialect's words for the same bill are the same buckets."""
    provider, caller = direction.split(">")
    cell = row.cell(direction)
    if cell is not None and cell.kind == "carried":
        first, second = usage_of(row, provider), usage_of(row, caller)
        assert first is not None
        assert second is not None
        same = (
            "input",
            "cache_read",
            "cache_write_5m",
            "cache_write_1h",
            "output",
            "reasoning",
            "service_tier",
        )
        assert [getattr(first, name) for name in same] == [getattr(second, name) for name in same]


@pytest.mark.parametrize("row", [*REQUESTS, *ANSWERS], ids=lambda row: row.feature)
def test_no_cell_is_empty(row: Row) -> None:
    assert row.said
    for direction in DIRECTIONS:
        source, target = direction.split(">")
        if source in row.said:
            cell = row.cell(direction)
            assert isinstance(cell, Cell)
            assert cell.kind != "carried" or target in row.said, f"{direction}: carried as what?"
            assert cell.kind == "carried" or cell.losses or cell.how
            assert all(meaning(name) or name.partition(".")[0] in FAMILIES for name in cell.losses)


def test_features_are_named_once() -> None:
    for rows in (REQUESTS, ANSWERS):
        assert len({row.feature for row in rows}) == len(rows)
    assert all(reply(row, code) for row in ANSWERS for code in row.said)
