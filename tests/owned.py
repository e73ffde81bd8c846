"""Whose a live process is: of the fixture that is being set up, or else of the test that runs.

What it leaves running is ended with it, however it ends: a fixture that fails half-way in its setup cannot
stop what it had started, and one whose check fails in the teardown never comes to it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest


class Ends(Protocol):
    """What is ended in the end."""

    def end(self) -> None:
        """Ends it at once; nothing happens where it has ended."""


_OWNERS: list[list[Ends]] = [[]]
_FIXTURES: dict[int, list[Ends]] = {}


def own(process: Ends) -> None:
    """Notes what was started, for whoever is at work."""
    _OWNERS[-1].append(process)


def _end(owned: list[Ends]) -> None:
    while owned:
        owned.pop().end()


@contextmanager
def _at_work() -> Iterator[list[Ends]]:
    owned: list[Ends] = []
    _OWNERS.append(owned)
    try:
        yield owned
    finally:
        _OWNERS.pop()


@contextmanager
def kept() -> Iterator[None]:
    """For what a fixture starts late, when a test or another fixture first asks for it. It is not theirs: the
    fixture ends it itself, unless it fails to start.
    """
    with _at_work() as owned:
        try:
            yield
        except BaseException:
            _end(owned)
            raise


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
    with _at_work() as owned:
        try:
            made = yield
        except BaseException:
            _end(owned)
            raise
    _FIXTURES.setdefault(id(fixturedef), []).extend(owned)
    return made


def pytest_fixture_post_finalizer(fixturedef: pytest.FixtureDef[Any]) -> None:
    _end(_FIXTURES.pop(id(fixturedef), []))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    with _at_work() as owned:
        try:
            return (yield)
        finally:
            _end(owned)
