"""What OpenAI's models refuse while they reason, by their ids: functions over chat, and sampling settings.

By OpenAI's guides to gpt-5.4, 5.6 and 6, and its own errors.
"""

from __future__ import annotations

import re
from typing import Any

from ...nouns import Model
from ..losses import Losses

# OpenAI's own ids: an aggregator, which writes `openai/` before them, may ask in another way.
_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?!.*-chat)")
_UNSET = ("temperature", "top_p")
"""1 is what they do unasked."""
_OLDER = re.compile(r"(?:openai/)?(?:gpt-(?:[5-9]|\d\d)|o[1-9](?:-|$))")


def refuses_max_tokens(model_id: str) -> bool:
    """Whether the model takes its limit as `max_completion_tokens` only."""
    return _OLDER.match(model_id) is not None


def quiet_beside_functions(body: dict[str, Any], model: Model, losses: Losses) -> bool:
    """Over chat completions gpt-5.4 and later call functions only where they do not reason, and from gpt-5.5
    on only where they are told not to. Whether `body` had to be told so without a word of the caller's.

    Those that always reason (gpt-6-astra) take no functions there at all, and say so themselves.
    """
    functions = any(tool.get("type") == "function" for tool in body.get("tools", ())) or "functions" in body
    effort, version, known = body.get("reasoning_effort"), _version(model.id), model.abilities.efforts
    if not functions or effort == "none" or version < (5, 4) or "none" not in (known or ("none",)):
        return False
    if effort is not None:
        losses.add("thinking.effort", f"{effort} as none: beside functions it is taken over responses only")
    elif version < (5, 5):
        return False  # unasked, these do not reason
    body["reasoning_effort"] = "none"
    return effort is None


def unsampled(body: dict[str, Any], effort: str | None, model_id: str, losses: Losses) -> bool:
    """Takes out of `body` what gpt-5.1 and later refuse while they reason, as they do from gpt-5.5 on
    unasked. Whether the model does.
    """
    version = _version(model_id)
    if version < (5, 1) or effort == "none" or (effort is None and version < (5, 5)):
        return False
    for name in ("temperature", "top_p", "logprobs", "top_logprobs"):
        value = body.get(name)
        if value is None or value is False or (value == 1 and name in _UNSET):
            continue
        losses.add(f"sampling.{name}", "the model reasons")
        del body[name]
    return True


def _version(model_id: str) -> tuple[int, int]:
    match = _VERSION.match(model_id)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)
