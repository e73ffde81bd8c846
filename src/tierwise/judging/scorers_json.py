"""Scorers of JSON answers: schema validity, field-wise F1, tool calls. Invalid JSON is a wrong answer, not an
unscored one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import SuiteError
from ..nouns import Case, Score
from .json_schema import Unsupported, equal, faults
from .scorers_text import RIGHT, WRONG, Scorer, normal_text, text_of

_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
MOST_CHARACTERS = 200_000
_MOST_PAIRS = 40_000


def json_schema(schema: Mapping[str, Any] | None = None, strict: bool = False) -> Scorer:
    """1 when the answer is JSON valid under the schema (or the Case's `metadata["schema"]`); `strict`:
    nothing around it.

    A schema with a keyword this validator does not know leaves the answer unscored.
    """

    def score(case: Case, answer: str) -> Score:
        rule = case.metadata.get("schema") if schema is None else schema
        if rule is None:
            return Score(None, "no schema was given")
        try:
            faults({}, rule)  # A schema that cannot be checked makes no answer wrong, JSON or not.
            found = faults(read_json(answer, strict), rule)
        except (Unsupported, SuiteError) as error:
            return Score(None, f"the schema cannot be checked: {error}")
        except ValueError as error:
            return Score(0.0, str(error))
        return Score(0.0, found[0]) if found else RIGHT

    return score


def json_fields(fields: Sequence[str] = (), strict: bool = False) -> Scorer:
    """F1 over the leaf fields of answer and target: 2·right/(answer's + target's). Lists match in any order,
    each item with the one it shares most with.

    Text is compared normalised, numbers by value. `fields` limits both sides to those top-level names. For
    the target `{"name": "Ann", "age": 5}` the answer `{"name": "ann", "age": 6}` → 0.5.
    """
    if isinstance(fields, str):
        raise SuiteError(f"fields cannot be the text {fields!r}.", f'Give a list: fields = ["{fields}"].')
    wanted = frozenset(fields)

    def score(case: Case, answer: str) -> Score:
        target = _target_json(case)
        if not isinstance(target, dict | list):
            return Score(None, f"the target {case.target!r} is no JSON object or list")
        try:
            value = read_json(answer, strict)
        except ValueError as error:
            return Score(0.0, str(error))
        if wanted and isinstance(target, dict) and not wanted & target.keys():
            return Score(None, "the target has none of the fields to compare")
        right, given = _limited(target, wanted), _limited(value, wanted)
        return Score(2 * _shared(right, given) / (_leaves(right) + _leaves(given)))

    return score


def tool_call(ordered: bool = False, arguments: bool = True) -> Scorer:
    """1 when the answer's tool calls are the target's: same names and equal arguments, in any order unless
    `ordered`.

    A call is `{"name": …, "arguments": {…} or its JSON text}`, alone, in a list, or under `function` as
    OpenAI writes it. `arguments` false compares names only. The target `[]` means that no tool may be called.
    """

    def score(case: Case, answer: str) -> Score:
        try:
            target = _calls(_target_json(case))
        except ValueError:
            return Score(None, f"the target {case.target!r} is no tool call")
        try:
            given = _calls(read_json(answer)) if answer.strip() else []
        except ValueError as error:
            return Score(1.0 if not target else 0.0, "" if not target else str(error))
        if len(given) != len(target):
            return WRONG
        return RIGHT if _same_calls(given, target, ordered, arguments) else WRONG

    return score


def agreement() -> Scorer:
    """1 when the answer is the same text as the target but for case, marks and spacing, the same JSON object
    or list, or the same tool calls.
    """
    calls = tool_call()

    def score(case: Case, answer: str) -> Score:
        if case.target in (None, ""):
            return Score(None, "there is nothing to agree with")
        target = text_of(case.target)
        if normal_text(target) == normal_text(answer):
            return RIGHT
        try:
            wanted = read_json(target, strict=True)
            given = read_json(answer)
        except ValueError:
            return WRONG
        if not isinstance(wanted, dict | list):
            return WRONG
        if wanted and isinstance(wanted, list) and all(map(_is_call, wanted)):
            return calls(case, answer)
        return RIGHT if equal(wanted, given) else WRONG

    return score


def _is_call(found: Any) -> bool:
    return isinstance(found, dict) and found.keys() == {"name", "arguments"}


def read_json(text: str, strict: bool = False) -> Any:
    """The JSON of an answer: the whole text, else its one fenced block, else the first object or list in it.

    Raises ValueError with the reason. NaN, Infinity and repeated keys are no JSON here.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"an answer of {len(text)} characters is too long")
    decoder = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)
    try:
        return decoder.decode(text.strip())
    except (ValueError, RecursionError) as error:
        if strict:
            raise ValueError(f"not JSON: {error}") from None
    fenced = _FENCE.findall(text)
    for piece in fenced if len(fenced) == 1 else (text,):
        # Few starts are tried: a text of brackets alone must not take quadratic time.
        for match in list(re.finditer(r"[{\[]", piece))[:50]:
            try:
                return decoder.raw_decode(piece, match.start())[0]
            except (ValueError, RecursionError):
                continue
    raise ValueError("the answer holds no JSON")


def objects_in(text: str) -> list[dict[str, Any]]:
    """Every JSON object of a text that is not within another, in order; fifty starts are tried."""
    decoder, found, at = json.JSONDecoder(object_pairs_hook=_unique), [], 0
    for _ in range(50):
        at = text.find("{", at)
        if at < 0:
            break
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at += 1
            continue
        found.append(value)
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is repeated")
    return found


def _target_json(case: Case) -> Any:
    if isinstance(case.target, str):
        try:
            return read_json(case.target, strict=True)
        except ValueError:
            return case.target
    return case.target


def _limited(value: Any, wanted: frozenset[str]) -> Any:
    if not wanted or not isinstance(value, dict):
        return value
    return {key: part for key, part in value.items() if key in wanted}


def _deep(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _leaves(value: Any) -> int:
    """How many leaves; an empty list or object is one."""
    if not _deep(value):
        return 1
    return sum(map(_leaves, value.values() if isinstance(value, dict) else value))


def _shared(target: Any, given: Any) -> int:
    """How many leaves are the same in the same place, where places in a list do not count."""
    if not _deep(target) or not _deep(given):
        return int(not _deep(target) and not _deep(given) and _leaf(target) == _leaf(given))
    if isinstance(target, dict) and isinstance(given, dict):
        return sum(_shared(part, given[key]) for key, part in target.items() if key in given)
    if isinstance(target, list) and isinstance(given, list):
        plain, other = (Counter(_leaf(item) for item in side if not _deep(item)) for side in (target, given))
        return (plain & other).total() + _paired(*(list(filter(_deep, side)) for side in (target, given)))
    return 0


def _paired(target: list[Any], given: list[Any]) -> int:
    """Leaves shared by the items of two lists, each paired once: those first that share most. Of long lists
    the items are paired as they sort.
    """
    if len(target) * len(given) > _MOST_PAIRS:
        sides = (sorted(side, key=lambda item: json.dumps(item, sort_keys=True)) for side in (target, given))
        return sum(map(_shared, *sides))
    pairs = [(_shared(a, b), -i, -j) for i, a in enumerate(target) for j, b in enumerate(given)]
    ours, theirs, total = set(range(len(target))), set(range(len(given))), 0
    for shared, i, j in sorted(pairs, reverse=True):
        if -i in ours and -j in theirs:
            ours.remove(-i)
            theirs.remove(-j)
            total += shared
    return total


def _leaf(value: Any) -> str:
    """A leaf in a comparable form."""
    if isinstance(value, str):
        return "text " + normal_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"number {float(value)!r}" if abs(value) < 2**53 else f"number {value!r}"
    return json.dumps(value)


def _calls(value: Any) -> list[tuple[str, Any]]:
    """(name, arguments) of each call. Raises ValueError where the shape is none of the known ones."""
    if isinstance(value, dict) and "tool_calls" in value:
        value = value["tool_calls"]
    found = []
    for call in value if isinstance(value, list) else [value]:
        call = call.get("function", call) if isinstance(call, dict) else call
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            raise ValueError("the answer is no tool call")
        arguments = call.get("arguments", call.get("input", {}))
        if isinstance(arguments, str):
            arguments = read_json(arguments, strict=True) if arguments.strip() else {}
        found.append((call["name"], arguments))
    return found


def _same_calls(
    given: list[tuple[str, Any]], target: list[tuple[str, Any]], ordered: bool, arguments: bool
) -> bool:
    def same(a: tuple[str, Any], b: tuple[str, Any]) -> bool:
        return a[0] == b[0] and (not arguments or equal(a[1], b[1]))

    if ordered:
        return all(same(a, b) for a, b in zip(given, target, strict=True))
    left = list(target)
    for call in given:
        twin = next((i for i, other in enumerate(left) if same(call, other)), None)
        if twin is None:
            return False
        del left[twin]
    return True
