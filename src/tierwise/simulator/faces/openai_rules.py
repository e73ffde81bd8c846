"""What OpenAI's models since gpt-5 answer 400 to, by OpenAI's guides and its errors of 2026.

Only of OpenAI's own ids: an aggregator, which writes `openai/` before them, has rules of its own.
"""

from __future__ import annotations

import re
from typing import Any

from ..prompt import Rejected

_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?!.*-chat)")
_ALWAYS_REASONS = re.compile(r"gpt-6(?:\.[12])?-astra|gpt-6\.1-sol|gpt-6\.2")
_COUNTED_APART = re.compile(r"gpt-[5-9]|o[1-9](?:-|$)")


def check_chat(body: dict[str, Any], model: str) -> None:
    """Refuses what chat completions refuse: functions while the model reasons, and `check_sampling`'s."""
    if body.get("max_tokens") is not None and _COUNTED_APART.match(model):
        raise _unsupported("max_tokens", "Use 'max_completion_tokens' instead.")
    effort, version = body.get("reasoning_effort"), _version(model)
    _check_effort(model, effort, "reasoning_effort")
    functions = any(
        isinstance(tool, dict) and tool.get("type") == "function" for tool in body.get("tools") or ()
    )
    if (functions or body.get("functions")) and version >= (5, 4) and _reasons(version, effort):
        raise Rejected(
            400,
            f"Function tools with reasoning_effort are not supported for {model} in /v1/chat/completions. "
            "To use function tools, use /v1/responses or set reasoning_effort to 'none'.",
            "reasoning_effort",
        )
    check_sampling(body, model, effort)


def check_responses(body: dict[str, Any], model: str) -> None:
    """Refuses what responses refuse while the model reasons."""
    reasoning = body.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    _check_effort(model, effort, "reasoning.effort")
    check_sampling(body, model, effort)


def check_sampling(body: dict[str, Any], model: str, effort: Any) -> None:
    """Refuses sampling settings and log probabilities while gpt-5.1 and later reason."""
    version = _version(model)
    if version < (5, 1) or not _reasons(version, effort):
        return
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise _unsupported(name)
    for name in ("logprobs", "top_logprobs"):
        if body.get(name):
            raise _unsupported(name)


def _reasons(version: tuple[int, int], effort: Any) -> bool:
    """From gpt-5.5 on they do so unasked."""
    return effort != "none" and (effort is not None or version >= (5, 5))


def _check_effort(model: str, effort: Any, where: str) -> None:
    if effort == "none" and _ALWAYS_REASONS.match(model):
        raise Rejected(
            400,
            f"Unsupported value: '{where}' does not support 'none' with this model. "
            "Supported values are: 'low', 'medium', 'high', and 'xhigh'.",
            where,
            "unsupported_value",
        )


def _unsupported(name: str, more: str = "") -> Rejected:
    said = f"Unsupported parameter: '{name}' is not supported with this model. {more}".rstrip()
    return Rejected(400, said, name, "unsupported_parameter")


def _version(model: str) -> tuple[int, int]:
    match = _VERSION.match(model)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)
