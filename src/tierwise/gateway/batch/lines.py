"""An OpenAI batch's input file: JSON lines to rows, or what is wrong with them in OpenAI's words."""

from __future__ import annotations

from collections.abc import Iterable
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


class Lines:
    """Reads the input file of a batch; see tierwise.batches.inputs.Reading."""

    def __init__(self, batch: str, endpoint: str, most_rows: int) -> None:
        self._batch = batch
        self._endpoint = endpoint
        self._most_rows = most_rows
        self._decoder = msgspec.json.Decoder(_Line)
        self._seen: set[str] = set()
        self._number = 0
        self.errors: list[dict[str, Any]] = []

    @property
    def over(self) -> bool:
        """See Reading."""
        return len(self.errors) >= _MOST_ERRORS or len(self._seen) > self._most_rows

    def rows(self, lines: Iterable[bytes]) -> list[Row]:
        """See Reading."""
        read = []
        for line in lines:
            if self.over:
                break
            self._number += 1
            row = self._row(line.removeprefix(_BOM) if self._number == 1 else line)
            if row is not None and not self.errors:
                read.append(row)
        return read

    def end(self) -> None:
        """See Reading."""
        if not self._seen and not self.errors:
            said = "The batch input file is empty. It must hold one request a line."
            self.errors.append(fault("empty_file", said))

    def _row(self, line: bytes) -> Row | None:
        if not line.strip():
            return None
        found = _row(self._batch, self._endpoint, line, self._number, self._decoder)
        if isinstance(found, dict):
            self.errors.append(found)
            return None
        if found.custom_id in self._seen:
            self.errors.append(_duplicate(found.custom_id, self._number))
            return None
        self._seen.add(found.custom_id)
        if len(self._seen) > self._most_rows:
            said = f"The batch has more than {self._most_rows} requests, the most it may."
            self.errors.append(fault("too_many_tasks", said))
        return found


def _duplicate(custom_id: str, number: int) -> dict[str, Any]:
    said = (
        f"The custom_id {custom_id} for this request is a duplicate of another request. "
        "The custom_id parameter must be unique for each request in a batch."
    )
    return fault("duplicate_custom_id", said, number, "custom_id")


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
