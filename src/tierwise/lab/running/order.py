"""The order in which Cases are asked: drawn by seed before the first, whole clusters together."""

from __future__ import annotations

import random
from collections.abc import Sequence

from ...errors import SuiteError
from ...nouns import Case


def ordered(cases: Sequence[Case], seed: int, n: int | None = None) -> list[Case]:
    """`cases` shuffled by `seed`, cut to the first `n`. A larger `n` of the same seed begins with the same
    Cases. With clusters, whole ones are taken until there are `n` Cases or more.
    """
    if n is not None and n < 1:
        raise SuiteError(f"{n} Cases cannot be run.", "Give -n 1 or more.")
    draw = random.Random(seed)
    if not any(case.cluster for case in cases):
        found = list(cases)
        draw.shuffle(found)
        return found if n is None else found[:n]
    groups: dict[str | None, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.cluster, []).append(case)
    keys = list(groups)
    draw.shuffle(keys)
    found = []
    for key in keys:
        if n is not None and len(found) >= n:
            break
        found += groups[key]
    return found
