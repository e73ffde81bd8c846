"""Scoring a Trial: the registry's scorers, assertions, code that must run, and any `module:function`.

A scorer that raises, or answers outside 0..1, leaves the Trial unscored with the reason; never a zero.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ...errors import SuiteError
from ...judging.scorers import SCORERS, scorer
from ...judging.scorers_text import texts_of
from ...nouns import Case, Score
from .checks import score_checks
from .sandbox import CodeScorer

Judge = Callable[[Case, str], Score | Awaitable[Score]]
_PLUGIN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_LAB = ("assert", "code", "judge", "pairwise", "similarity")
# How a call that gave no whole answer is scored: the tier's own fault is a wrong answer.
WRONG = ("refused", "truncated", "rejected")


class NoJudge(SuiteError):
    """Nobody can judge: the run has to end, no answer is marked."""


class Spec(Struct, frozen=True):
    """Which scorer, with which options."""

    name: str
    options: dict[str, Any] = {}

    def text(self) -> str:
        """As `parse_spec` reads it."""
        return f"{self.name}:{msgspec.json.encode(self.options).decode()}" if self.options else self.name

    @property
    def plugin(self) -> bool:
        """Whether it is a `module:function`."""
        return _PLUGIN.fullmatch(self.name) is not None

    @property
    def needs_target(self) -> bool:
        """Whether a Case without a target cannot be scored by it."""
        return not self.plugin and self.name not in ("assert", "code", "json_schema", "judge", "pairwise")


def parse_spec(text: str) -> Spec:
    """`numeric`, `numeric:{"tolerance": 0.01}` or `module:function`. Raises SuiteError on bad options."""
    name, brace, rest = text.partition(":{")
    if not brace:
        return Spec(text.strip() if _PLUGIN.fullmatch(text.strip()) else text.strip().replace("-", "_"))
    try:
        return Spec(name.strip().replace("-", "_"), msgspec.json.decode("{" + rest, type=dict[str, Any]))
    except msgspec.DecodeError as error:
        raise SuiteError(
            f"The scorer's options are no JSON object: {error}.", 'Write numeric:{"tolerance": 0.01}.'
        ) from None


def judge_of(spec: Spec, cases: Sequence[Case], allow_code: bool = False) -> Judge:
    """The scorer of a spec. `one_of` without labels takes the suite's targets. Raises SuiteError."""
    if spec.name == "assert":
        return score_checks
    if spec.name == "code":
        if not allow_code:
            raise SuiteError(
                "The scorer `code` runs what the models write on this machine.",
                "Say --allow-code if that is what you want; a container is the better place.",
            )
        return CodeScorer(**_code_options(spec.options))
    if spec.name in _LAB:
        raise SuiteError(
            f"The scorer {spec.name} needs a model to ask.", "Use `tierwise eval` or evaluate()."
        )
    if spec.plugin:
        return plugin(spec.name)
    options = dict(spec.options)
    if spec.name == "one_of" and "labels" not in options:
        options["labels"] = sorted({text for case in cases for text in texts_of(case.target)})
    if spec.name not in SCORERS:
        known = ", ".join([*SCORERS, *_LAB, "module:function"])
        try:
            scorer(spec.name, options)
        except SuiteError as error:
            near = "" if error.hint.startswith("Known") else f"{error.hint} "
            raise SuiteError(error.message, f"{near}Known: {known}.") from None
    return scorer(spec.name, options)


def plugin(name: str) -> Judge:
    """The function at `module:function`, also from the working directory. Raises SuiteError when there is
    none.
    """
    module, _, function = name.partition(":")
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise SuiteError(
            f"The scorer {name} cannot be loaded: {error}.", "Check its name and path."
        ) from None
    if not callable(found):
        raise SuiteError(f"{name} is no function.", "Name a function (case, answer) → score.")
    judge: Judge = found
    return judge


async def mark(judge: Judge, case: Case, answer: str, outcome: str) -> Score:
    """The Score of one answer by how its call ended. Infrastructure's failures are unscored."""
    if outcome in WRONG:
        return Score(0.0, outcome)
    if outcome != "ok":
        return Score(None, f"no answer: {outcome}")
    try:
        found = judge(case, answer)
        if inspect.isawaitable(found):
            found = await found
    except NoJudge:
        raise
    except Exception as error:  # noqa: BLE001  # recorded: as the reason of the unscored Trial
        return Score(None, f"the scorer failed: {type(error).__name__}: {str(error)[:200]}")
    return checked(found)


def checked(found: object) -> Score:
    """What a scorer gave back as a Score: a Score, a number in 0..1 or a truth value; anything else is
    unscored.
    """
    if isinstance(found, Mapping):
        found = Score(found.get("value", found.get("score")), str(found.get("why", "")))
    if isinstance(found, bool | int | float):
        found = Score(float(found))
    if not isinstance(found, Score):
        return Score(None, f"the scorer gave {type(found).__name__}, not a number")
    if found.value is None:
        return found if found.why else Score(None, "the scorer gave no score and no reason")
    if not isinstance(found.value, int | float) or not 0 <= found.value <= 1:
        return Score(None, f"the scorer gave {found.value!r}, which is outside 0..1")
    return found


def _code_options(options: Mapping[str, Any]) -> dict[str, Any]:
    known = ("seconds", "megabytes")
    for name in options:
        if name not in known:
            raise SuiteError(f"The scorer code has no option {name!r}.", f"Known: {', '.join(known)}.")
    return dict(options)
