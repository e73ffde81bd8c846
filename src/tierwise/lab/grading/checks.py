"""promptfoo's assertions: the `__expected` mini-language of CSV files and `assert` lists, read and scored.

A Case keeps its checks as plain objects in `metadata["assert"]`: `{"type", "value", "threshold", "not"}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ...errors import SuiteError
from ...judging.patterns import Pattern
from ...judging.scorers import scorer
from ...judging.scorers_json import read_json
from ...nouns import Case, Score

_WORD = re.compile(r"^(not-)?([a-z][a-z-]*?)(?:\(([\d.]+)\))?:(?!\w*//)\s*(.*)$", re.DOTALL)
_BARE = ("is-json", "contains-json")
KINDS = (
    "equals", "contains", "icontains", "contains-all", "contains-any", "icontains-all", "icontains-any",
    "starts-with", "regex", "is-json", "contains-json", "levenshtein", "rouge-n",
)  # fmt: skip
_ELSEWHERE = {
    "javascript": "Write it as a Python function and use --scorer module:function.",
    "python": "Use --scorer module:function.",
    "llm-rubric": "Use --scorer judge --judge TIER --rubric FILE; --calibrate takes human labels.",
    "similar": "Use --scorer similarity --embedder MODEL.",
}
# Kinds of promptfoo's that nobody here can check; read as words to be equalled they would fail every answer.
_FOREIGN = (
    "is-sql", "contains-sql", "is-xml", "contains-xml", "is-html", "contains-html", "is-refusal",
    "is-valid-function-call", "is-valid-openai-function-call", "is-valid-openai-tools-call", "bleu", "gleu",
    "meteor", "rouge-l", "rouge-s", "word-count", "finish-reason", "tool-call-f1", "classifier", "ruby",
    "guardrails", "pi", "search-rubric", "select-best", "max-score", "answer-relevance", "context-recall",
    "context-relevance", "context-faithfulness", "conversation-relevance", "model-graded-factuality",
)  # fmt: skip
# Columns and keys that change what is asked or how it is scored.
_CHANGING = ("__prefix", "__suffix", "__threshold")
_LIMIT = 2000


def checks_of(fields: Mapping[str, Any], place: str) -> list[dict[str, Any]]:
    """The checks of a row: `__expected`, `__expected1` …, or an `assert` list. Raises SuiteError."""
    found = []
    for name, value in fields.items():
        if value not in (None, "") and (name in _CHANGING or name.startswith("__config")):
            raise SuiteError(
                f"{place}: the column {name!r} is not read here.", "Write it out, or leave it out."
            )
    for name in sorted(key for key in fields if re.fullmatch(r"__expected\d*", key)):
        text = fields[name]
        if text not in (None, ""):
            found.append(parse(str(text), place))
    listed = fields.get("assert") or []
    if not isinstance(listed, list):
        raise SuiteError(f"{place}: assert is no list.", "Write a list of {type, value}.")
    return [*found, *(from_object(each, place) for each in listed)]


def parse(text: str, place: str) -> dict[str, Any]:
    """One `__expected` cell: `contains: x`, `not-regex: ^a`, `levenshtein(3): x`, `is-json`; anything else
    must be equalled.
    """
    stripped = text.strip()
    negated = stripped.startswith("not-")
    if stripped.removeprefix("not-") in (*_BARE, *_FOREIGN):
        return _check(stripped.removeprefix("not-"), None, None, negated, place)
    match = _WORD.match(stripped)
    if match is None or (match.group(2) not in KINDS and match.group(2) not in _unsupported()):
        return {"type": "equals", "value": text}
    negation, kind, threshold, value = match.groups()
    listed: Any = value
    if kind.endswith(("-all", "-any")):
        listed = [piece.strip() for piece in value.split(",") if piece.strip()]
    return _check(kind, listed, float(threshold) if threshold else None, bool(negation), place)


def from_object(found: Any, place: str) -> dict[str, Any]:
    """One entry of an `assert` list. Raises SuiteError for kinds that cannot be checked here."""
    if isinstance(found, str):
        return parse(found, place)
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise SuiteError(f"{place}: an assertion has no type.", "Write {type: contains, value: x}.")
    kind = found["type"]
    if found.get("transform") or found.get("weight") == 0:
        raise SuiteError(
            f"{place}: an assertion with a transform or a weight of 0 cannot be checked here.",
            "Use --scorer module:function, or leave it out.",
        )
    return _check(
        kind.removeprefix("not-"), found.get("value"), found.get("threshold"), kind.startswith("not-"), place
    )


def score_checks(case: Case, answer: str) -> Score:
    """1 when every check of the Case holds, else 0 with the first that does not."""
    checks = case.metadata.get("assert")
    if not checks:
        return Score(None, "the Case has no assertion")
    for check in checks:
        try:
            holds = _holds(check, case, answer)
        except SuiteError as error:
            return Score(None, error.message)
        if holds == bool(check.get("not")):
            shown = "not-" * bool(check.get("not")) + check["type"]
            return Score(0.0, f"{shown}: {str(check.get('value'))[:80]}")
    return Score(1.0)


def _check(kind: str, value: Any, threshold: Any, negated: bool, place: str) -> dict[str, Any]:
    if kind not in KINDS:
        hint = _unsupported().get(kind, f"Known: {', '.join(KINDS)}.")
        raise SuiteError(f"{place}: the assertion {kind!r} cannot be checked here.", hint)
    if kind == "regex":
        Pattern(str(value))
    if kind.endswith(("-all", "-any")) and isinstance(value, str):
        value = [piece.strip() for piece in value.split(",")]
    found: dict[str, Any] = {"type": kind}
    if value is not None:
        found["value"] = value
    if threshold is not None:
        found["threshold"] = float(threshold)
    if negated:
        found["not"] = True
    return found


def _unsupported() -> dict[str, str]:
    by_name = dict.fromkeys(_FOREIGN, f"Known: {', '.join(KINDS)}; or use --scorer module:function.")
    by_name |= dict.fromkeys(("fn", "eval"), _ELSEWHERE["javascript"])
    by_name |= dict.fromkeys(
        ("grade", "factuality", "model-graded-closedqa", "g-eval"), _ELSEWHERE["llm-rubric"]
    )
    by_name |= dict.fromkeys(
        ("cost", "latency", "perplexity", "webhook", "moderation"),
        "Cost and latency are measured for every tier; leave it out.",
    )
    return {**_ELSEWHERE, **by_name}


def _holds(check: Mapping[str, Any], case: Case, answer: str) -> bool:
    kind, value = check["type"], check.get("value")
    if kind == "equals":
        return _equals(value, answer)
    if kind == "regex":
        if len(answer) > 10 * _LIMIT:
            raise SuiteError(f"an answer of {len(answer)} characters is too long for a pattern")
        return bool(Pattern(str(value)).search(answer))
    if kind == "starts-with":
        return answer.startswith(str(value))
    if kind in ("is-json", "contains-json"):
        return _is_json(answer, value, strict=kind == "is-json")
    if kind == "levenshtein":
        return bool(levenshtein(answer[:_LIMIT], str(value)[:_LIMIT]) <= check.get("threshold", 5))
    if kind == "rouge-n":
        found = scorer("token_f1")(Case(case.id, "", target=str(value)), answer).value
        return found is not None and bool(found >= check.get("threshold", 0.75))
    wanted = value if isinstance(value, list) else [value]
    fold = kind.startswith("i")
    text = answer.casefold() if fold else answer
    hits: list[bool] = [(str(each).casefold() if fold else str(each)) in text for each in wanted]
    return any(hits) if kind.endswith("-any") else all(hits)


def _equals(value: Any, answer: str) -> bool:
    if isinstance(value, dict | list):
        try:
            return bool(read_json(answer) == value)
        except ValueError:
            return False
    return answer.strip() == str(value).strip()


def _is_json(answer: str, schema: Any, strict: bool) -> bool:
    if isinstance(schema, str) and schema.strip():
        schema = json.loads(schema)
    if isinstance(schema, dict):
        found = scorer("json_schema", {"schema": schema, "strict": strict})(Case("", ""), answer)
        if found.value is None:
            raise SuiteError(found.why)
        return found.value == 1
    try:
        read_json(answer, strict)
    except ValueError:
        return False
    return True


def levenshtein(first: str, second: str) -> int:
    """Edits (insert, delete, replace) from one text to the other."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
