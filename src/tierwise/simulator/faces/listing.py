"""Lists of models in the three shapes that clients ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def model(name: str, shape: str) -> dict[str, Any]:
    """One model as OpenAI, Anthropic or Gemini lists it."""
    if shape == "anthropic":
        return {
            "type": "model",
            "id": name,
            "display_name": f"{name} (simulated)",
            "created_at": "2026-01-01T00:00:00Z",
            "lifecycle": "active",
        }
    if shape == "gemini":
        return {
            "name": f"models/{name}",
            "version": "simulated",
            "displayName": f"{name} (simulated)",
            "inputTokenLimit": 200_000,
            "outputTokenLimit": 64_000,
            "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
        }
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": "simulated"}


def models(names: Sequence[str], shape: str) -> dict[str, Any]:
    """The whole list."""
    rows = [model(name, shape) for name in names]
    if shape == "gemini":
        return {"models": rows}
    if shape == "anthropic":
        first, last = (names[0], names[-1]) if names else (None, None)
        return {"data": rows, "has_more": False, "first_id": first, "last_id": last}
    return {"object": "list", "data": rows}
