"""Lines of a text in pieces are those of the text, wherever it was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tierwise.batches.contents import Cut

pieces = st.lists(st.text("a\r\n\x0b\u2028", min_size=1, max_size=5).map(str.encode), max_size=8)


@given(pieces)
def test_lines_are_those_of_the_whole(pieces: list[bytes]) -> None:
    cut = Cut()
    lines = [line for piece in pieces for line in cut.feed(piece)]
    assert lines + cut.rest() == b"".join(pieces).splitlines()
