"""Requests of more than 64 levels are refused, whatever stands in their strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierwise.dialects.depth import MOST_LEVELS, refuse_deeper
from tierwise.errors import BadRequest

TEXTS = st.text(st.sampled_from('{}[]"\\n é,:'), max_size=12)


def nested(levels: int, inside: Any = 1) -> Any:
    for level in range(levels):
        inside = [inside, 0] if level % 2 else {'a "[{\\': inside}
    return inside


@given(st.integers(0, 2 * MOST_LEVELS), st.lists(TEXTS, max_size=8), st.booleans())
def test_levels_are_counted_outside_of_strings(levels: int, texts: list[str], ascii_only: bool) -> None:
    many = [{text: [text, {}] for text in texts}] * 40  # brackets enough to be looked at
    body = json.dumps([nested(levels), many], ensure_ascii=ascii_only).encode()
    if levels + 1 > MOST_LEVELS:
        with pytest.raises(BadRequest, match="64 levels"):
            refuse_deeper(body)
    else:
        refuse_deeper(body)
