"""What a row becomes on its way to Postgres; no server is asked."""

from __future__ import annotations

import importlib.util
from zlib import crc32

import msgspec
import pytest

from tierwise.errors import BudgetRefused, ConfigError, StoreError
from tierwise.ledger import announcement, open_ledger, read_ledger
from tierwise.ledger.rows import close_values, open_values
from unit.ledger.made import NOON, closed, opened

pytest.importorskip("psycopg", reason="psycopg is not installed")

from tierwise.ledger.postgres.charges import Charges
from tierwise.ledger.postgres.journal import Draft, Live, sealed
from tierwise.ledger.postgres.link import place_of, terms_of
from tierwise.ledger.postgres.migrations import CLOSE_COLUMNS, OPEN_COLUMNS
from tierwise.ledger.postgres.text import restored_event, stored


def test_columns_are_those_of_the_rows() -> None:
    assert len(open_values(1, opened("a"), "{}")) + 1 == len(OPEN_COLUMNS)
    assert len(close_values(1, 2, closed("a"))) + 1 == len(CLOSE_COLUMNS)


def test_a_stand_in_that_was_there_before_is_written_as_an_escape() -> None:
    assert stored("a\ufdd0b\x00") == "a\\ufdd0b\ufdd0"


def test_an_event_is_restored_in_its_lists_and_names_too() -> None:
    event = {"task": "a\ufdd0", "tags": ["\ufdd0"], "usage_extra": {"x\ufdd0": 1}, "n": 1, "none": None}
    assert restored_event(event) == {
        "task": "a\x00", "tags": ["\x00"], "usage_extra": {"x\x00": 1}, "n": 1, "none": None,
    }  # fmt: skip


def test_the_seal_is_the_crc_of_the_values_as_json() -> None:
    *values, crc = msgspec.json.decode(sealed((1, "é", None)))
    assert crc == crc32(msgspec.json.encode(values))


def test_a_batch_says_once_per_window_what_changes() -> None:
    draft = Draft()
    for name in "ab":
        draft.open(opened(name, 5), [], [(3, "100"), (4, "10")])
        draft.close(closed(name * 2, 60), Live(opened(name * 2, 100), 1, 2, (4, 7)))
    changes, opens, charges, closes, corrections = map(msgspec.json.decode, draft.parameters())
    assert changes == [[3, "0", "0"], [4, "200", "120"], [7, "200", "120"]]
    assert charges == [[1, 5, [[3, "100"], [4, "10"]]], [2, 5, [[3, "100"], [4, "10"]]]]
    assert [row[15] for row in opens] == ["{3,4}", "{3,4}"]
    assert (len(closes), corrections) == (2, [])


def test_a_call_is_charged_once_on_each_budget_of_its_scopes_in_the_window_of_its_instant() -> None:
    charges = Charges()
    charges.learn([("7", "key:k", 10**30, "total", "UTC", None), ("7", "task:t", 5, "day", "UTC", 3)])
    spots = charges.spots(opened("a", 1, "task:t", "key:k", "nothing", "task:t"))
    assert [spot[0] for spot in spots] == ["task:t", "key:k"]
    assert spots[0][3] <= NOON < spots[0][4]
    assert (charges.version, charges.cap(spots[1])) == ("7", str(10**30))
    late = charges.spots(opened("b", 1, "task:t", at_us=spots[0][4]))
    assert late[0][3] == spots[0][4]
    refusal = charges.refused(opened("a", 4), spots[0], 2, 0)
    assert isinstance(refusal, BudgetRefused)
    assert "task:t" in refusal.message


def test_the_words_for_a_place_hold_no_secret_and_the_urls_options_are_kept() -> None:
    terms = terms_of("postgres://me:s3cret@db.example:5433/money?options=-c%20synchronous_commit%3Doff")
    assert place_of(terms) == "money at db.example"
    assert terms["options"].endswith("synchronous_commit=off")
    assert "search_path=tierwise" in terms["options"]
    with pytest.raises(StoreError) as refused:
        terms_of("postgres://me:s3cret@host/db?no such=1")
    assert "s3cret" not in refused.value.sentence()


def test_no_process_owns_a_shared_ledger() -> None:
    assert announcement("postgresql://host/db") is None


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for use in (open_ledger, read_ledger):
        with pytest.raises(ConfigError) as refused:
            use("postgres://host/db")
        assert "tierwise[postgres]" in refused.value.hint
