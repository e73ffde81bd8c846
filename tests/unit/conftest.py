"""Where unit tests run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder without a tierwise.toml, which would be taken, and for a ledger that is not named."""
    with contextlib.chdir(tmp_path_factory.mktemp("elsewhere")):
        yield
