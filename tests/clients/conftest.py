"""One world per upstream dialect, shared by all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from clients.world import World
from owned import kept


@pytest.fixture(scope="session")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], World]]:
    """Gives the world whose provider speaks a dialect, started when it is first asked for."""
    made: dict[str, World] = {}

    def world(dialect: str) -> World:
        if dialect not in made:
            with kept():
                made[dialect] = World(tmp_path_factory.mktemp(dialect), dialect)
        return made[dialect]

    yield world
    for running in made.values():
        running.close()
