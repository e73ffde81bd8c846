"""The waterfall of an exchange: what is drawn of each attempt, and where."""

from __future__ import annotations

from tierwise.web.charts import waterfall
from tierwise.web.views.exchanges import Attempt, Exchange, Line


def attempt(opened_us: int, closed_us: int | None, ttft_us: int | None, before_us: int | None) -> Attempt:
    line = Line(
        "ex_1", "ex_1-1", opened_us, "k", "", "qa", "haiku", "a/h", "ok", 200, 1, 0, 1, 1, "$0", ttft_us, 0,
        "call", "",
    )  # fmt: skip
    return Attempt(
        line, "a", "openai_chat", "openai_chat", False, "task/qa", "", 0, [], "", "reported", None, False, [],
        opened_us, closed_us, before_us, None, None, None,
    )  # fmt: skip


def drawn(*attempts: Attempt) -> list[list[tuple[str, float, float, int]]]:
    ended = attempts[-1].closed_us
    rows = waterfall(Exchange("ex_1", 1000, ended, "", "", [], list(attempts), 1))
    return [[(each.kind, each.x, each.width, each.us) for each in row.segments] for row in rows]


def test_one_attempt_is_drawn_room_by_room() -> None:
    [row] = drawn(attempt(1100, 2000, 500, 100))
    assert row == [("gate", 0, 10, 100), ("wait", 10, 50, 500), ("write", 60, 40, 400)]


def test_a_retry_shows_what_was_waited_for_and_no_content_that_never_came() -> None:
    first, second = drawn(attempt(1100, 1200, None, 100), attempt(1700, 2000, 200, 700))
    assert [kind for kind, *_ in first] == ["gate", "wait"]
    assert second == [("pause", 20, 50, 500), ("wait", 70, 20, 200), ("write", 90, 10, 100)]


def test_an_attempt_that_runs_has_only_its_beginning() -> None:
    [row] = drawn(attempt(1100, None, None, 100))
    assert [kind for kind, *_ in row] == ["gate"]
