"""Prompt templates: `{{column}}` is replaced by a row's value; text, or a list of chat messages."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ...errors import SuiteError

_SLOT = re.compile(r"\{\{\s*([\w.\- ]+?)\s*\}\}")
_ROLES = ("system", "developer", "user", "assistant", "tool")

Messages = tuple[dict[str, Any], ...]


def fill(template: Any, values: Mapping[str, Any], place: str) -> Any:
    """`template` with every slot filled, in texts at any depth. Raises SuiteError, with the nearest column,
    for a slot no column fills.
    """
    if isinstance(template, str):
        return _SLOT.sub(lambda slot: _value(slot.group(1), values, place), template)
    if isinstance(template, dict):
        return {key: fill(each, values, place) for key, each in template.items()}
    if isinstance(template, list | tuple):
        return [fill(each, values, place) for each in template]
    return template


def read_template(text: str) -> Any:
    """A template as written: a JSON list of messages, else text."""
    if text.lstrip().startswith("["):
        try:
            found = json.loads(text)
        except ValueError:
            return text
        if isinstance(found, list) and found and all(isinstance(each, dict) for each in found):
            return found
    return text


def messages_of(filled: Any, place: str) -> Messages:
    """Chat messages of a filled template: text becomes one user turn. Raises SuiteError on other shapes."""
    if isinstance(filled, str):
        return ({"role": "user", "content": filled},)
    if not isinstance(filled, list | tuple) or not filled:
        raise SuiteError(f"{place}: the messages are no list.", 'Write [{"role": "user", "content": "…"}].')
    for message in filled:
        if not isinstance(message, dict) or message.get("role") not in _ROLES:
            raise SuiteError(
                f"{place}: {str(message)[:80]!r} is no chat message.",
                f"Its role is one of {', '.join(_ROLES)}.",
            )
    return tuple(filled)


def last_text(messages: Messages) -> str:
    """What the last user turn says, as text."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return "\n".join(
                    str(part["text"]) for part in content if isinstance(part, dict) and "text" in part
                )
    return ""


def text_id(*parts: Any) -> str:
    """A content hash as an id: `c_` and 16 hex digits."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True)
    return "c_" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _value(name: str, values: Mapping[str, Any], place: str) -> str:
    if name not in values:
        near = difflib.get_close_matches(name, list(values), 1, 0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"Columns: {', '.join(values)}."
        raise SuiteError(f"{place}: the prompt asks for {{{{{name}}}}}, and no column is called so.", hint)
    value = values[name]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
