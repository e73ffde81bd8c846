"""What clients write before a path."""

from __future__ import annotations

# It changes nothing, except that it says whose client this is.
PREFIXES = ("/anthropic/v1", "/anthropic", "/openai/v1", "/openai", "/v1")


def bare(path: str) -> str:
    """`path` without the prefixes that vendors' SDKs and habits put before it."""
    for prefix in PREFIXES:
        if path.startswith(prefix + "/"):
            return path[len(prefix) :]
    return path
