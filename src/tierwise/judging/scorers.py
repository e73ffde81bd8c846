"""The scorers by name. A scorer is a function (Case, answer text) → Score; unscored is never zero."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import SuiteError
from . import scorers_json, scorers_text
from .scorers_text import Scorer

SCORERS: Mapping[str, Callable[..., Scorer]] = {
    "exact": scorers_text.exact,
    "normalised": scorers_text.normalised,
    "contains": scorers_text.contains,
    "one_of": scorers_text.one_of,
    "regex": scorers_text.regex,
    "numeric": scorers_text.numeric,
    "token_f1": scorers_text.token_f1,
    "rouge_l": scorers_text.rouge_l,
    "json_schema": scorers_json.json_schema,
    "json_fields": scorers_json.json_fields,
    "tool_call": scorers_json.tool_call,
    "agreement": scorers_json.agreement,
}


def scorer(name: str, options: Mapping[str, Any] | None = None) -> Scorer:
    """The named scorer with its options set. Raises SuiteError on an unknown name or option, naming the
    nearest, and on options that do not make sense. `-` may be written for `_`.
    """
    make = SCORERS.get(name.replace("-", "_"))
    if make is None:
        raise SuiteError(f"There is no scorer {name!r}.", _nearest(name, list(SCORERS)))
    options = dict(options or {})
    known = inspect.signature(make).parameters
    for option in options:
        if option not in known:
            raise SuiteError(f"The scorer {name} has no option {option!r}.", _nearest(option, list(known)))
    for option, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and option not in options:
            raise SuiteError(f"The scorer {name} needs the option {option!r}.", "Give it in the suite.")
    try:
        return make(**options)
    except (TypeError, AttributeError) as error:
        raise SuiteError(
            f"The options of the scorer {name} do not fit: {error}.", "Check their types."
        ) from None


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word.replace("-", "_"), known, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known: {', '.join(known)}." if known else "It takes none."
