"""Patterns that users write, in the words of Python's `re`, searched for with an end."""

from __future__ import annotations

import re
from typing import Any

from ..errors import SuiteError

LONGEST = 500
PATIENCE_S = 0.5
"""Processor time one search may take: a thousand times what a sound pattern needs."""

# To `regex` a brace that begins no count means a fuzzy match; to `re` it is a brace.
_BRACE = re.compile(r"(\\.|\[\^?\]?(?:\\.|[^\]\\])*\])|\{(?!\d+\}|\d*,\d*\})", re.DOTALL)


class Pattern:
    """A pattern, compiled. Raises SuiteError when it is longer than 500 characters or malformed."""

    def __init__(self, pattern: str, ignore_case: bool = False) -> None:
        import regex  # takes 30 ms to load, and few suites have patterns

        if len(pattern) > LONGEST:
            raise SuiteError(
                f"A pattern of {len(pattern)} characters is too long.", f"Use at most {LONGEST}."
            )
        self._pattern = pattern
        try:
            # What only `regex` knows is refused by `re`.
            self.groups = re.compile(pattern, re.IGNORECASE if ignore_case else 0).groups
            same = _BRACE.sub(lambda found: found[1] or r"\{", pattern)
            self._compiled = regex.compile(same, regex.IGNORECASE if ignore_case else 0)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise SuiteError(f"The pattern {pattern!r} is malformed: {error}.", "Correct it.") from None

    def search(self, text: str) -> Any:
        """The first match, as `re` gives it; None: there is none. Raises SuiteError when that cannot be told
        in time."""
        try:
            return self._compiled.search(text, timeout=PATIENCE_S)
        except (TimeoutError, MemoryError):
            raise SuiteError(
                f"The pattern {self._pattern!r} takes too long on an answer of {len(text)} characters.",
                "Write it so that a text can match it in one way only: no (a|a)*, no .* after .*.",
            ) from None
