"""tierwise: a self-hosted LLM gateway with a laboratory and a ledger.

In Python: `await tierwise.evaluate(suite, tiers)` and `tierwise.benchmark(cases, models)`; see tierwise.lab.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "benchmark", "evaluate"]


def __getattr__(name: str) -> Any:
    # The laboratory is loaded when it is asked for: the command line and the gateway start without it.
    if name in ("benchmark", "evaluate"):
        from importlib import import_module

        return getattr(import_module("tierwise.lab"), name)
    raise AttributeError(f"module 'tierwise' has no attribute {name!r}")
