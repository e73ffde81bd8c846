"""promptfoo configurations as Cases: prompts × tests × the values of their vars, each with its assertions.

OpenAI Evals rows need no importer: `input` as messages and `ideal` are read like any JSON Lines suite.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import SuiteError
from ...nouns import Case
from ..grading.checks import checks_of
from .rows import read_document, read_sheet, read_text
from .template import fill, last_text, messages_of, read_template, text_id

_PROGRAM = re.compile(r"\{%|\{\{[^{}]*\|[^{}]*\}\}")


def is_promptfoo(found: Any) -> bool:
    """Whether a document is a promptfoo configuration."""
    return isinstance(found, dict) and "prompts" in found and "tests" in found


def promptfoo_cases(found: Mapping[str, Any], path: Path) -> tuple[list[tuple[str, Case]], str]:
    """(place, Case) for every prompt, test and combination of listed vars; and the prompts' text. With more
    than one prompt, what shares a test is one cluster. Raises SuiteError.
    """
    prompts = list(_prompts(found["prompts"], path))
    common = found.get("defaultTest") or {}
    if not isinstance(common, dict):
        raise SuiteError(f"{path.name}: defaultTest is no object.", "Write vars and assert under it.")
    cases = []
    for number, (place, test) in enumerate(_tests(found["tests"], path), 1):
        for part, where in ((common, f"{path.name}: defaultTest"), (test, place)):
            _check_settings(part, where)
        merged = {**(common.get("vars") or {}), **(test.get("vars") or {})}
        asserts = [*(common.get("assert") or []), *(test.get("assert") or [])]
        combinations = list(_combinations({name: _value(each, path) for name, each in merged.items()}))
        several = len(prompts) * len(combinations) > 1
        for prompt, values in itertools.product(prompts, combinations):
            messages = messages_of(fill(prompt, values, place), place)
            checks = checks_of({"assert": fill(asserts, values, place)}, place)
            if not checks:
                raise SuiteError(f"{place} has no assertion.", "Write assert: [{type: equals, value: x}].")
            cases.append((place, Case(
                id=text_id(messages, checks),
                input=last_text(messages),
                cluster=f"test {number}" if len(prompts) > 1 or several else None,
                metadata={"assert": checks, **(test.get("metadata") or {})},
                messages=messages,
            )))  # fmt: skip
    if any(case.cluster for _, case in cases):
        cases = [(place, _clustered(case, place)) for place, case in cases]
    return cases, "\n---\n".join(p if isinstance(p, str) else json.dumps(p) for p in prompts)


def _check_settings(test: Mapping[str, Any], place: str) -> None:
    """Raises SuiteError for what would change prompts, answers or scores and is not read here."""
    options = test.get("options") or {}
    changing = [name for name in ("transform", "transformVars", "prefix", "suffix") if options.get(name)]
    changing += [name for name in ("threshold", "assertScoringFunction") if test.get(name) is not None]
    if changing:
        raise SuiteError(f"{place}: {changing[0]} is not read here.", "Use --scorer module:function.")


def _value(value: Any, path: Path) -> Any:
    """A var, from its file where it names one."""
    if isinstance(value, list):
        return [_value(each, path) for each in value]
    if not isinstance(value, str) or not value.startswith("file://"):
        return value
    if not value.endswith((".txt", ".md")):
        raise SuiteError(f"{path.name}: the var {value} is no text file.", "Write it out, or as .txt.")
    return read_text(path.parent / value.removeprefix("file://")).strip()


def _clustered(case: Case, place: str) -> Case:
    """Every Case in some cluster: one that stands alone in its test is a cluster of its own."""
    from msgspec import structs

    return case if case.cluster else structs.replace(case, cluster=place)


def _prompts(found: Any, path: Path) -> Iterator[Any]:
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, dict):
            each = each.get("raw") or each.get("id") or ""
        if not isinstance(each, str) or not each.strip():
            raise SuiteError(f"{path.name}: a prompt is no text.", "Write it, or file://PATH.")
        if each.startswith("file://") or (each.endswith((".txt", ".json", ".md")) and "\n" not in each):
            each = read_text(path.parent / each.removeprefix("file://"))
        if _PROGRAM.search(each):
            raise SuiteError(
                f"{path.name}: a prompt has tags or filters of Nunjucks.",
                "Only {{name}} is filled in here: write one prompt for each form.",
            )
        yield read_template(each)


def _tests(found: Any, path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, test) of a list, or of a file that is named."""
    if isinstance(found, str):
        other = path.parent / found.removeprefix("file://")
        if ".csv" in other.suffixes or ".jsonl" in other.suffixes:
            for row in read_sheet(other).rows:
                if "vars" in row.fields:
                    yield row.place, row.fields
                else:
                    checks = checks_of(row.fields, row.place)
                    given = {k: v for k, v in row.fields.items() if not k.startswith("__")}
                    yield row.place, {"vars": given, "assert": [_as_object(check) for check in checks]}
            return
        found, path = read_document(other), other
    if not isinstance(found, list):
        raise SuiteError(f"{path.name}: tests is no list.", "Write a list of {vars, assert}.")
    for number, test in enumerate(found, 1):
        place = f"{path.name}: test {number}"
        if isinstance(test, str):
            yield from _tests(test, path)
        elif isinstance(test, dict):
            yield place, test
        else:
            raise SuiteError(f"{place} is no object.", "Write {vars, assert}.")


def _as_object(check: Mapping[str, Any]) -> dict[str, Any]:
    """A check as promptfoo would write it."""
    kind = ("not-" if check.get("not") else "") + check["type"]
    return {"type": kind, **{k: v for k, v in check.items() if k in ("value", "threshold")}}


def _combinations(values: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of the vars that are lists."""
    names = list(values)
    choices = [value if isinstance(value, list) else [value] for value in values.values()]
    for chosen in itertools.product(*choices):
        yield dict(zip(names, chosen, strict=True))
