"""This dialect's own name, and the names of tools that stand in a namespace."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from ...nouns import Ask, Tool

NAME = "openai_responses"
Wire = dict[str, Any]

_LONGEST = 64  # what every vendor takes as a name, and OpenAI as a call's id
_ODD = re.compile(r"[^A-Za-z0-9_\-]")


def joined(namespace: str, name: str) -> str:
    """One name for a tool in a namespace: `NAMESPACE__NAME`, fitted."""
    return fitted(_ODD.sub("_", f"{namespace}__{name}")) if namespace else name


def fitted(whole: str) -> str:
    """`whole`, cut and ended by a digest when over 64 characters."""
    if len(whole) <= _LONGEST:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:8]
    return f"{whole[: _LONGEST - 9]}_{digest}"


def space_of(tool: Tool) -> Wire | None:
    """The namespace (without its tools) that a caller of this dialect put `tool` in, None when in none."""
    space = tool.raw.get("namespace") if tool.dialect == NAME and tool.raw else None
    return space if isinstance(space, dict) else None


def places(ask: Ask) -> dict[str, tuple[str, str]]:
    """Tools in namespaces: joined name → namespace and name as the caller wrote them."""
    found = {}
    for tool in ask.tools:
        space = space_of(tool)
        if space is not None and tool.raw is not None:
            found[tool.name] = (str(space.get("name")), str(tool.raw["tool"].get("name")))
    return found
