"""Dialects by name. A dialect's module is imported when it is first asked for, and must not import this
one.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from typing import cast

from ..errors import ConfigError
from .base import Dialect

NAMES: tuple[str, ...] = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")


@cache
def get(name: str) -> Dialect:
    """The Dialect called `name`: the module's `DIALECT`. ConfigError, naming the nearest, when there is
    none.
    """
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
        hint = f"Did you mean `{near[0]}`?" if near else f"Known: {', '.join(NAMES)}."
        raise ConfigError(f"There is no dialect `{name}`.", hint, "dialect")
    return cast(Dialect, import_module(f".{name}", __package__).DIALECT)
