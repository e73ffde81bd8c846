"""Requests of more than 64 levels are refused."""

from __future__ import annotations

import pytest

from tierwise.dialects.depth import MOST_LEVELS, refuse_deeper
from tierwise.errors import BadRequest


@pytest.mark.parametrize(("levels", "refused"), [(MOST_LEVELS, False), (MOST_LEVELS + 1, True)])
def test_the_bound_itself(levels: int, refused: bool) -> None:
    body = b"[" * levels + b"]" * levels
    if refused:
        with pytest.raises(BadRequest):
            refuse_deeper(body)
    else:
        refuse_deeper(body)
