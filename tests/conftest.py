"""What holds for every test, wherever and however the tests are started."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

from owned import (  # noqa: F401  what they start is ended with fixtures and tests
    pytest_fixture_post_finalizer,
    pytest_fixture_setup,
    pytest_runtest_call,
)

# The tests start hundreds of processes. Without bytecode each compiles all sources anew: four times the work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

gc.disable()  # until everything is collected

# A shell may hold what tierwise or an SDK takes for its own; every test says what it wants.
for name in [*os.environ]:
    if name.upper().endswith(("_PROXY", "_API_KEY", "_BASE_URL")) or name == "TIERWISE_CONFIG":
        del os.environ[name]


def pytest_pycollect_makemodule(module_path: Path) -> None:
    """Drawn examples are the same on every run, and without limits of time: a slow or busy machine finds no
    faults of its own. `--hypothesis-profile=default` looks for new ones.
    """
    # Unit tests draw nothing, and start sooner without.
    if "unit" in module_path.parts or "hypothesis" in sys.modules:
        return
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "same", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("same")


def pytest_collection_finish() -> None:
    """What was collected lives to the end: the garbage collector does not look at it again and again."""
    gc.freeze()
    gc.enable()
