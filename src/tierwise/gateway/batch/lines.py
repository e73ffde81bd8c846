"""An OpenAI batch's input file: JSON lines to rows, or what is wrong with them in OpenAI's words."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from tierwise.batches import Row

from .paths import endpoint_of

_MOST_ERRORS = 100
_LONGEST_ID = 512
_BOM = b"\xef\xbb\xbf"


class _Line(Struct):
    custom_id: str | UnsetType = UNSET
    method: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    body: Raw | UnsetType = UNSET


def fault(code: str, message: str, line: int | None = None, param: str | None = None) -> dict[str, Any]:
    """One of a batch's errors, as OpenAI writes it."""
    return {"code": code, "message": message, "param": param, "line": line}


def read_lines(
    batch: str, endpoint: str, content: bytes, most_rows: int
) -> tuple[list[Row], list[dict[str, Any]]]:
    """The rows of a file and what is wrong with it; where anything is, no row is to be sent."""
    rows: list[Row] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    decoder = msgspec.json.Decoder(_Line)
    for number, line in enumerate(content.removeprefix(_BOM).splitlines(), 1):
        if not line.strip():
            continue
        found = _row(batch, endpoint, line, number, decoder)
        if isinstance(found, dict):
            errors.append(found)
        elif found.custom_id in seen:
            errors.append(
                fault(
                    "duplicate_custom_id",
                    f"The custom_id {found.custom_id} for this request is a duplicate of another request. "
                    "The custom_id parameter must be unique for each request in a batch.",
                    number,
                    "custom_id",
                )
            )
        else:
            seen.add(found.custom_id)
            rows.append(found)
        if len(errors) >= _MOST_ERRORS:
            break
        if len(rows) > most_rows:
            errors.append(
                fault("too_many_tasks", f"The batch has more than {most_rows} requests, the most it may.")
            )
            break
    if not rows and not errors:
        errors.append(fault("empty_file", "The batch input file is empty. It must hold one request a line."))
    return rows, errors


def _row(
    batch: str, endpoint: str, line: bytes, number: int, decoder: msgspec.json.Decoder[_Line]
) -> Row | dict[str, Any]:
    try:
        said = decoder.decode(line)
    except msgspec.ValidationError as error:
        return fault("invalid_request", f"This line is not a request: {error}.", number)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return fault("invalid_json_line", "This line is not parseable as valid JSON.", number)
    for name in ("custom_id", "method", "url", "body"):
        if getattr(said, name) is UNSET:
            return fault("missing_required_parameter", f"Missing required parameter: '{name}'.", number, name)
    if not 0 < len(str(said.custom_id)) <= _LONGEST_ID:
        return fault(
            "invalid_custom_id",
            f"The custom_id must have 1 to {_LONGEST_ID} characters.",
            number,
            "custom_id",
        )
    if said.method != "POST":
        return fault("invalid_method", "The method of every request must be POST.", number, "method")
    if endpoint_of(str(said.url)) != endpoint:
        return fault(
            "url_mismatch",
            "The URL provided for this request does not match the batch endpoint.",
            number,
            "url",
        )
    body = bytes(said.body) if isinstance(said.body, Raw) else b""
    if not body.startswith(b"{"):
        return fault("invalid_request", "The body of a request must be a JSON object.", number, "body")
    return Row(batch, number, msgspec.json.encode(said.custom_id).decode(), body)
