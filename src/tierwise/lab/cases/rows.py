"""Files of examples as rows: CSV, JSON Lines, JSON, YAML and Parquet, each with the place it stands at."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ...errors import SuiteError

_LONGEST_FIELD = 16 << 20
_BATCH = 1000
_PLAIN = (
    ("null", r"(?:~|null|Null|NULL|)\Z", ("~", "n", "N", "")),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)\Z", "-+0123456789"),
    ("float", r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\Z", "-+.0123456789"),
    ("merge", r"<<\Z", "<"),
)


class Row(Struct, frozen=True):
    """One example as written, and where: `tickets.csv:17`."""

    place: str
    fields: dict[str, Any]


class Sheet(Struct, frozen=True):
    """A file's rows, and what the file says of itself (`task`, `prompt` …) where its format has room."""

    rows: list[Row]
    settings: dict[str, Any] = {}


def read_sheet(path: Path) -> Sheet:
    """The rows of a .csv, .tsv, .jsonl, .json or .yaml file, .gz too, or of a .parquet file. Raises
    SuiteError with the line at fault.
    """
    name = path.name.removesuffix(".gz")
    kind = Path(name).suffix.lower()
    if kind == ".parquet":
        return Sheet(list(_parquet_rows(path)))
    text = read_text(path)
    if kind in (".csv", ".tsv"):
        return Sheet(list(_csv_rows(text, path.name, "\t" if kind == ".tsv" else ",")))
    if kind in (".jsonl", ".ndjson"):
        return Sheet(list(_json_rows(text, path.name)))
    if kind in (".json", ".yaml", ".yml"):
        return _document(read_document(path), path)
    raise SuiteError(
        f"{path.name} is of no known kind of suite.",
        "Use a .csv, .tsv, .jsonl, .json, .yaml or .parquet file.",
    )


def read_text(path: Path) -> str:
    """The file's text, unpacked when its name ends in .gz. Raises SuiteError when it cannot be read."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except FileNotFoundError:
        raise _no_file(path) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SuiteError(
            f"{path} cannot be read: {error}.", "It must be a UTF-8 file you may read."
        ) from None


def read_document(path: Path) -> Any:
    """A whole JSON or YAML file. Raises SuiteError; YAML needs the extra `yaml`."""
    text = read_text(path)
    if ".json" in path.suffixes:
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise SuiteError(f"{path.name} is not JSON: {error}.", "Correct it.") from None
    try:
        import yaml
    except ImportError:
        raise SuiteError(
            f"{path.name} is YAML, and PyYAML is not installed.",
            "pip install 'tierwise[yaml]', or write the suite as JSON Lines.",
        ) from None
    try:
        return yaml.load(text, Loader=_plain_loader(yaml))  # noqa: S506
    except (yaml.YAMLError, ValueError) as error:
        raise SuiteError(f"{path.name} is not YAML: {error}.", "Correct it.") from None


def _plain_loader(yaml: Any) -> Any:
    """PyYAML's safe loader, where only YAML 1.2's words and numbers are more than text: `yes`, 12:30, 007 and
    dates stay as written.
    """
    loader: Any = type("_Plain", (yaml.SafeLoader,), {"yaml_implicit_resolvers": {}})
    for kind, pattern, first in _PLAIN:
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(pattern), list(first))
    return loader


def _csv_rows(text: str, name: str, separator: str) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    try:
        columns = reader.fieldnames or []
        if text and not any(column.strip() for column in columns):
            raise SuiteError(f"{name}:1 is blank.", "Begin with the header line, which names the columns.")
        doubled = {column for column in columns if columns.count(column) > 1}
        if doubled:
            raise SuiteError(f"{name}:1 names the column {min(doubled)!r} twice.", "Rename one of them.")
        for fields in reader:
            if None in fields or None in fields.values():
                raise SuiteError(
                    f"{name}:{reader.line_num} has not as many fields as the header.",
                    "Quote fields that hold commas or line breaks.",
                )
            yield Row(f"{name}:{reader.line_num}", {key.strip(): value for key, value in fields.items()})
    except csv.Error as error:
        raise SuiteError(
            f"{name}:{reader.reader.line_num} is not CSV: {error}.",
            "Write a header line, then one row per example.",
        ) from None


def _json_rows(text: str, name: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            fields = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise SuiteError(
                f"{name}:{number} is not JSON: {error}.", "Write one JSON object a line."
            ) from None
        yield Row(f"{name}:{number}", _object(fields, f"{name}:{number}"))


def _parquet_rows(path: Path) -> Iterator[Row]:
    """Row by row; needs the extra `parquet`. pandas' own index columns are left out."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise SuiteError(
            f"{path.name} is Parquet, and pyarrow is not installed.",
            "pip install 'tierwise[parquet]', or write it as JSON Lines.",
        ) from None
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                for fields in batch.to_pylist():
                    number += 1
                    named = {key: value for key, value in fields.items() if not key.startswith("__index_")}
                    yield Row(f"{path.name}: row {number}", named)
    except FileNotFoundError:
        raise _no_file(path) from None
    except (OSError, ArrowException) as error:
        raise SuiteError(f"{path} cannot be read as Parquet: {error}.", "Check the file.") from None


def _no_file(path: Path) -> SuiteError:
    return SuiteError(f"There is no file {path}.", "Give the path of a suite.")


def _document(found: Any, path: Path) -> Sheet:
    settings: dict[str, Any] = {}
    rows = found
    if isinstance(found, dict):
        settings = {key: value for key, value in found.items() if key != "cases"}
        rows = found.get("cases")
    if isinstance(rows, str):
        return Sheet(read_sheet(path.parent / rows).rows, settings)
    if not isinstance(rows, list):
        raise SuiteError(f"{path.name} has no list of cases.", "Write a list, or a list under `cases:`.")
    places = (f"{path.name}: case {number}" for number in range(1, len(rows) + 1))
    return Sheet([Row(place, _object(row, place)) for place, row in zip(places, rows, strict=True)], settings)


def _object(fields: Any, place: str) -> dict[str, Any]:
    if not isinstance(fields, dict):
        raise SuiteError(f"{place} is not an object.", "Write one object per example.")
    return {str(key): value for key, value in fields.items()}
