"""The response object: what a caller of this dialect is told of its own request, and how it ends."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...errors import BadRequest
from ...nouns import Ask, FinishReason
from .from_chat import decode_object
from .names import NAME, Wire

_ODD = re.compile(r"[^A-Za-z0-9_\-]")
# Members that a response repeats from its request, with what OpenAI says when they were not given. Nothing is
# stored when another dialect's provider answered, whatever was asked.
_ECHO: Mapping[str, Any] = MappingProxyType(
    {
        "background": False,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "safety_identifier": None,
        "temperature": 1.0,
        "tool_choice": "auto",
        "top_logprobs": 0,
        "top_p": 1.0,
        "truncation": "disabled",
        "user": None,
    }
)
_STATUS: Mapping[FinishReason, tuple[str, str | None]] = MappingProxyType(
    {
        "length": ("incomplete", "max_output_tokens"),
        "context": ("incomplete", "max_output_tokens"),
        "refusal": ("incomplete", "content_filter"),
        "error": ("failed", None),
    }
)


def echo(ask: Ask) -> Wire:
    """What every response object to `ask` repeats of it."""
    came: Wire = {}
    if ask.dialect == NAME and ask.raw:
        try:
            came = decode_object(ask.raw)
        except BadRequest:
            came = {}
    said = {name: default if came.get(name) is None else came[name] for name, default in _ECHO.items()}
    said["background"] = False
    said["previous_response_id"] = None
    reasoning, text = came.get("reasoning"), came.get("text")
    said["reasoning"] = {"effort": None, "summary": None, **(reasoning or {})}
    said["text"] = {"format": {"type": "text"}, **(text or {})}
    said["tools"] = [_tool(tool) for tool in came.get("tools") or () if isinstance(tool, dict)]
    said["store"] = False
    return said


def _tool(tool: Wire) -> Wire:
    return {"parameters": None, "strict": None, **tool} if tool.get("type") == "function" else tool


def status_of(finish: FinishReason) -> tuple[str, str | None]:
    """Status of the response, and why it is incomplete."""
    return _STATUS.get(finish, ("completed", None))


def response_id(asked: str, ask: Ask) -> str:
    """An id as OpenAI writes them; another vendor's is kept behind the prefix, a missing one made up."""
    if asked.startswith("resp_"):
        return asked
    return f"resp_{_ODD.sub('', asked) or hashlib.sha256(ask.raw or ask.model.encode()).hexdigest()[:32]}"
