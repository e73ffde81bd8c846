"""What holds for every test, wherever and however the tests are started."""

from __future__ import annotations

import os
import sys

from hypothesis import HealthCheck, settings

# The tests start hundreds of processes. Without bytecode each compiles all sources anew: four times the work.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shell may hold what tierwise or an SDK takes for its own; every test says what it wants.
for name in [*os.environ]:
    if name.upper().endswith(("_PROXY", "_API_KEY", "_BASE_URL")) or name == "TIERWISE_CONFIG":
        del os.environ[name]

# The same examples on every run and no limits of time: a slow or busy machine finds no faults of its own.
# `--hypothesis-profile=default` looks for new ones.
settings.register_profile(
    "same", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
