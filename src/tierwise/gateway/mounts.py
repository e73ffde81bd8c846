"""What clients write before a path."""

from __future__ import annotations

# It changes nothing, except that it says whose client this is.
MOUNTS = ("/anthropic/v1", "/anthropic", "/openai/v1", "/openai", "/v1")


def bare(path: str) -> str:
    """`path` without what vendors' SDKs and habits put before it."""
    for mount in MOUNTS:
        if path.startswith(mount + "/"):
            return path[len(mount) :]
    return path
