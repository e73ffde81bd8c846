"""Gemini's `logprobsResult` ⇄ log probabilities as OpenAI's chat writes them, which is how the nouns hold
them.
"""

from __future__ import annotations

from typing import Any

from .fields import Wire


def read_logprobs(value: Any) -> Wire | None:
    """None when `value` holds no chosen tokens."""
    if not isinstance(value, dict):
        return None
    chosen = value.get("chosenCandidates")
    if not isinstance(chosen, list) or not chosen:
        return None
    steps = value.get("topCandidates")
    steps = steps if isinstance(steps, list) else []
    content = []
    for i, token in enumerate(chosen):
        step = steps[i] if i < len(steps) else None
        listed = step.get("candidates") if isinstance(step, dict) else None
        tops = [_read(each) for each in listed] if isinstance(listed, list) else []
        content.append({**_read(token), "top_logprobs": tops})
    return {"content": content, "refusal": None}


def _read(token: Any) -> Wire:
    token = token if isinstance(token, dict) else {}
    text = token.get("token")
    text = text if isinstance(text, str) else ""
    value = token.get("logProbability")
    return {
        "token": text,
        "logprob": value if isinstance(value, int | float) else -9999.0,  # OpenAI's word for "very unlikely"
        "bytes": list(text.encode(errors="replace")),
    }


def write_logprobs(value: Any) -> Wire | None:
    """The `logprobsResult`, None when `value` holds no tokens."""
    content = value.get("content") if isinstance(value, dict) else None
    if not isinstance(content, list) or not content:
        return None
    return {
        "chosenCandidates": [_write(token) for token in content],
        "topCandidates": [
            {"candidates": [_write(each) for each in token.get("top_logprobs") or ()]} for token in content
        ],
    }


def _write(token: Wire) -> Wire:
    return {"token": token.get("token", ""), "logProbability": token.get("logprob", 0)}
