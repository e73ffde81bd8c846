"""The metrics page and the gateway agree on the histograms' buckets."""

from __future__ import annotations

from tierwise.gateway.metrics import BUCKETS_S
from tierwise.web.exposition import BOUNDS_S


def test_bounds_are_the_gateways() -> None:
    assert BOUNDS_S == BUCKETS_S
