"""What holds for every test, wherever and however the tests are started."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from owned import (  # noqa: F401  what they start is ended with fixtures and tests
    pytest_fixture_post_finalizer,
    pytest_fixture_setup,
    pytest_runtest_call,
)

UNIT = Path(__file__).parent / "unit"

# The tests start hundreds of processes. Without bytecode each compiles all sources anew: four times the work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell may hold what tierwise or an SDK takes for its own; every test says what it wants.
for name in [*os.environ]:
    if name.upper().endswith(("_PROXY", "_API_KEY", "_BASE_URL")) or name == "TIERWISE_CONFIG":
        del os.environ[name]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """The same examples on every run, and no limits of time: a busy machine finds no faults of its own.
    `--hypothesis-profile=default` looks for new ones. Unit tests draw nothing, and start sooner without.
    """
    if module_path.is_relative_to(UNIT) or parent.config.getoption("--hypothesis-profile", None):
        return
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "same", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("same")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives to the end: the garbage collector does not look at it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
