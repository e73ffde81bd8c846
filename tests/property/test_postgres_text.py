"""Text on its way to Postgres: nothing that it cannot hold, and all of it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tierwise.ledger.postgres.text import restored, storable_close, storable_open, stored
from tierwise.nouns import Usage
from unit.ledger.made import closed, opened

texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts.filter(lambda text: "\ufdd0" not in text))
def test_text_comes_back_as_it_was(text: str) -> None:
    assert "\x00" not in stored(text)
    assert restored((stored(text),)) == (text,)


@given(texts)
def test_no_word_of_a_row_holds_a_nul(text: str) -> None:
    row = storable_open(opened("a", 1, text, task=text, tags=(text,)))
    assert not any("\x00" in word for word in (row.task, *row.scopes, *row.tags))
    last = storable_close(closed("a", losses=(text,), error=text, usage=Usage(extra={text: 1})))
    assert not any("\x00" in word for word in (last.error, *last.losses, *last.usage.extra))
