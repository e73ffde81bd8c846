"""Log probabilities as OpenAI chat writes them, whatever a server made of them."""

from __future__ import annotations

from typing import Any


def tokens_of(told: Any) -> list[dict[str, Any]]:
    """The entries of `told` that are any, and of their `top_logprobs`."""
    tokens = [token for token in told if isinstance(token, dict)] if isinstance(told, list) else []
    return [
        {**token, "top_logprobs": tokens_of(token["top_logprobs"])} if "top_logprobs" in token else token
        for token in tokens
    ]


def read_logprobs(told: Any) -> dict[str, Any] | None:
    """A choice's `logprobs`, with only entries in its lists; None when it is no object or an empty one."""
    if not isinstance(told, dict) or not told:
        return None
    lists = {name: tokens_of(told[name]) for name in ("content", "refusal") if told.get(name) is not None}
    return {**told, **lists}
