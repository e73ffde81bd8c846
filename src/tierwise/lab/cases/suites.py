"""Suites: a file of examples → Cases with content-hash ids, checked before a cent is spent."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, structs

from ...errors import SuiteError
from ...nouns import Case, Suite
from ..grading.checks import checks_of
from ..grading.scoring import parse_spec
from .importers import is_promptfoo, promptfoo_cases
from .rows import Row, Sheet, read_document, read_sheet
from .template import Messages, fill, last_text, messages_of, read_template

# Our word → columns that may hold it, in order.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "input": ("input", "question", "prompt", "text", "query"),
    "target": ("target", "expected", "ideal", "answer", "label", "category"),
    "cluster": ("cluster", "group"),
    "messages": ("messages",),
}
_SETTINGS = ("name", "task", "prompt", "system", "scorer", "scorer_options", "labels", "columns")
_SHOWN = 5


class Shape(Struct, frozen=True):
    """How rows become Cases; what is empty is taken from the file, else from the usual names.

    `columns`: our word (id, input, target, cluster, messages) → the file's column. `prompt`: text with
    {{column}} slots or a JSON list of messages; `system`: a system text before the input. `scorer`: a name,
    or `name:{"option": value}`. `labels` `reference`: the reference tier wrote the targets.
    """

    name: str = ""
    task: str = ""
    prompt: str = ""
    system: str = ""
    scorer: str = ""
    labels: Literal["", "human", "reference"] = ""
    columns: dict[str, str] = {}


def read_suite(path: Path | str, shape: Shape | None = None) -> Suite:
    """The Suite in a CSV, JSON Lines, JSON, YAML or Parquet file, a promptfoo configuration, or OpenAI
    Evals rows.

    Raises SuiteError with the line at fault: wrong columns (with the nearest), empty targets, duplicate ids.
    """
    path = Path(path)
    shape = shape or Shape()
    if path.suffix in (".yaml", ".yml", ".json"):
        found = read_document(path)
        if is_promptfoo(found):
            cases, prompt = promptfoo_cases(found, path)
            return make_suite(path.stem, cases, structs.replace(shape, scorer="assert", prompt=prompt))
    sheet = read_sheet(path)
    shape = _completed(shape, sheet, path)
    cases = cases_of(sheet.rows, shape)
    return make_suite(path.name.partition(".")[0], cases, shape)


def cases_of(rows: Iterable[Row], shape: Shape) -> list[tuple[str, Case]]:
    """(place, Case) of every row. Raises SuiteError."""
    rows = list(rows)
    if not rows:
        raise SuiteError("The suite holds no examples.", "Write a header line and at least one row.")
    columns = _columns(rows, shape)
    template = read_template(shape.prompt) if shape.prompt else None
    if template is not None and shape.system and not isinstance(template, str):
        raise SuiteError("The prompt is a list of messages already.", "Put the system text among them.")
    needs_target = parse_spec(shape.scorer).needs_target
    found = [(row.place, _case(row, columns, template, shape)) for row in rows]
    empty = [place for place, case in found if _empty(case) and needs_target]
    if empty:
        raise SuiteError(
            f"{len(empty)} of {len(found)} Cases have an empty target: {_some(empty)}.",
            "Write the right answer, or leave these rows out.",
        )
    return found


def make_suite(name: str, placed: Iterable[tuple[str, Case]], shape: Shape) -> Suite:
    """A Suite of (place, Case), with its hash. Raises SuiteError on duplicate ids, naming both places, and
    when only some Cases name a cluster.
    """
    cases: dict[str, Case] = {}
    places: dict[str, str] = {}
    for place, case in placed:
        if case.id in cases:
            same = structs.asdict(cases[case.id]) == structs.asdict(case)
            what = "hold the same example" if same else f"have the same id {case.id!r}"
            raise SuiteError(
                f"{places[case.id]} and {place} {what}.",
                "A repeated Case counts twice: remove it, or give each row an id of its own.",
            )
        cases[case.id], places[case.id] = case, place
    if not cases:
        raise SuiteError("The suite holds no examples.", "Write at least one.")
    unnamed = [places[id_] for id_, case in cases.items() if case.cluster is None]
    if 0 < len(unnamed) < len(cases):
        raise SuiteError(
            f"{len(unnamed)} of {len(cases)} Cases name no cluster: {_some(unnamed)}.",
            "Give every Case a cluster, or none.",
        )
    scorer = shape.scorer or (
        "assert" if any("assert" in case.metadata for case in cases.values()) else "exact"
    )
    labels: Literal["human", "reference"] = "reference" if shape.labels == "reference" else "human"
    prompt = "\n".join(part for part in (shape.system, shape.prompt) if part)
    return Suite(
        shape.name or name,
        shape.task,
        tuple(cases.values()),
        suite_hash(cases.values()),
        scorer,
        prompt,
        labels,
    )


def suite_hash(cases: Iterable[Case]) -> str:
    """SHA-256 over the Cases, whatever their order: 16 hex digits."""
    digest = hashlib.sha256()
    for each in sorted(_digest(structs.asdict(case)) for case in cases):
        digest.update(each)
    return digest.hexdigest()[:16]


def by_content(cases: Iterable[Case]) -> tuple[Case, ...]:
    """The Cases in an order that hangs on nothing but themselves: suites of one hash are asked alike."""
    return tuple(sorted(cases, key=lambda case: _digest(structs.asdict(case))))


def text_hash(text: str) -> str:
    """SHA-256 of a text, 16 hex digits; "" of nothing."""
    return hashlib.sha256(text.encode()).hexdigest()[:16] if text else ""


def _completed(shape: Shape, sheet: Sheet, path: Path) -> Shape:
    """`shape` with what the file says of itself where the caller said nothing."""
    said = dict(sheet.settings)
    for key in said:
        if key not in _SETTINGS:
            raise SuiteError(f"{path.name} has no setting {key!r}.", _nearest(key, _SETTINGS))
    options = said.pop("scorer_options", None)
    if options and said.get("scorer"):
        said["scorer"] = f"{said['scorer']}:{json.dumps(options, sort_keys=True)}"
    if isinstance(said.get("prompt"), list):
        said["prompt"] = json.dumps(said["prompt"], ensure_ascii=False)
    try:
        own = msgspec.convert(said, Shape)
    except msgspec.ValidationError as error:
        raise SuiteError(f"{path.name}: {error}.", "Correct that setting.") from None
    given = {field: value for field in Shape.__struct_fields__ if (value := getattr(shape, field))}
    return structs.replace(own, **given)


def _columns(rows: list[Row], shape: Shape) -> dict[str, str]:
    """Our word → the column that holds it."""
    names = list(dict.fromkeys(name for row in rows[:50] for name in row.fields))
    for word, column in shape.columns.items():
        if word not in COLUMNS:
            raise SuiteError(f"A Case has no {word!r}.", _nearest(word, COLUMNS))
        if column not in names:
            raise SuiteError(f"There is no column {column!r}.", _nearest(column, names))
    found = {}
    for word, usual in COLUMNS.items():
        known = shape.columns.get(word) or next((name for name in usual if name in names), None)
        if known:
            found[word] = known
    if "input" not in found and "messages" not in found and not shape.prompt:
        raise SuiteError(
            f"No column holds the input; there are {', '.join(names)}.",
            _column_hint("input", names),
        )
    asserts = any(name.startswith("__expected") or name == "assert" for name in names)
    if "target" not in found and not asserts and parse_spec(shape.scorer).needs_target:
        raise SuiteError(
            f"No column holds the target; there are {', '.join(names)}.", _column_hint("target", names)
        )
    return found


def _column_hint(word: str, names: list[str]) -> str:
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        return "A .csv file has commas between its fields, a .tsv file tabs: save it so."
    near = [name for usual in COLUMNS[word] for name in difflib.get_close_matches(usual, names, 1, 0.7)]
    if near:
        return f"Is {near[0]!r} a slip of the pen for {word!r}? Rename it, or say --column {word}={near[0]}."
    return f"Call one {word!r}, or say --column {word}=NAME."


def _case(row: Row, columns: Mapping[str, str], template: Any, shape: Shape) -> Case:
    fields, place = row.fields, row.place
    said = fields.get(columns.get("input", ""))
    messages = _messages(row, columns, template, shape)
    target = fields.get(columns.get("target", ""))
    checks = checks_of(fields, place)
    metadata = _metadata(fields, columns, place)
    if checks:
        metadata["assert"] = checks
    cluster = fields.get(columns.get("cluster", ""))
    text = said if isinstance(said, str) else last_text(messages)
    case = Case(
        id=_said(fields.get(columns.get("id", ""))),
        input=text,
        target=target,
        cluster=_said(cluster) or None,
        metadata=metadata,
        messages=messages,
    )
    if not messages_text(messages).strip():
        raise SuiteError(f"{place} has an empty input.", "Write what is asked, or leave the row out.")
    return case if case.id else structs.replace(case, id="c_" + _digest(structs.asdict(case)).hex()[:16])


def messages_text(messages: Messages) -> str:
    """All that the messages say, as JSON where it is not text: for estimates of size."""
    parts = []
    for message in messages:
        content = message.get("content", "")
        parts.append(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))
    return "\n".join(parts)


def _messages(row: Row, columns: Mapping[str, str], template: Any, shape: Shape) -> Messages:
    fields, place = row.fields, row.place
    if template is not None:
        messages = messages_of(fill(template, fields, place), place)
    elif "messages" in columns:
        given = fields.get(columns["messages"])
        messages = messages_of(read_template(given) if isinstance(given, str) else given, place)
    else:
        said = fields.get(columns["input"])
        if said is None or said == "":
            raise SuiteError(f"{place} has an empty input.", "Write what is asked, or leave the row out.")
        messages = messages_of(said if isinstance(said, str | list) else json.dumps(said), place)
    if shape.system:
        messages = ({"role": "system", "content": fill(shape.system, fields, place)}, *messages)
    return messages


def _metadata(fields: Mapping[str, Any], columns: Mapping[str, str], place: str) -> dict[str, Any]:
    """Every other column, `metadata` and `metadata.NAME` laid out flat; JSON in `metadata` is read."""
    taken = {*columns.values(), "metadata", "assert"}
    found = {
        key.removeprefix("metadata."): value
        for key, value in fields.items()
        if key not in taken and not key.startswith("__") and value not in (None, "")
    }
    own = fields.get("metadata")
    if isinstance(own, str) and own.strip():
        try:
            own = json.loads(own)
        except ValueError:
            raise SuiteError(f"{place}: metadata is no JSON object.", 'Write {"name": "value"}.') from None
    if own not in (None, "") and not isinstance(own, dict):
        raise SuiteError(f"{place}: metadata is no object.", 'Write {"name": "value"}.')
    return {**found, **(own or {})}


def _said(value: Any) -> str:
    """A name as text, the number 0 too; "" for none."""
    return "" if value is None else str(value)


def _empty(case: Case) -> bool:
    if "assert" in case.metadata:
        return False
    return case.target is None or (isinstance(case.target, str) and not case.target.strip())


def _digest(fields: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).digest()


def _some(places: list[str]) -> str:
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return ", ".join(places[:_SHOWN]) + more


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name, names, 1, 0.5)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(names)}."
