"""What a request asks for: queries, JSON bodies and forms, decoded into the Structs of the route table."""

from __future__ import annotations

from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request

from tierwise.errors import BadRequest, TooLarge, Unprocessable

S = TypeVar("S", bound=Struct)

BODY = 1 << 20
TOKEN_FIELD = "token"  # noqa: S105  a form field's name


def query_of(request: Request, kind: type[S]) -> S:
    """The query and the path's words as `kind`; words it does not know are not read. Raises BadRequest."""
    given = {name: value for name, value in request.query_params.items() if value != ""}
    return _read({**given, **request.path_params}, kind, strict=False)


async def json_of(request: Request, kind: type[S], most: int = BODY) -> S:
    """The JSON body as `kind`. Raises BadRequest, TooLarge."""
    raw = await body_of(request, most)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadRequest("The body is not said to be JSON.", "Send `Content-Type: application/json`.")
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is not JSON: {error}.", "Send one JSON object.") from None
    return _read(found, kind, strict=True)


async def form_of(request: Request, kind: type[S], most: int = BODY) -> tuple[S | None, dict[str, str], str]:
    """A form as `kind` (None: it is wrong), its fields as typed, and what is wrong with it."""
    fields = await fields_of(request, most)
    given = {name: value for name, value in fields.items() if value != "" and name != TOKEN_FIELD}
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, field in known.items():
        # An empty text field is an empty text, not an absent one.
        if name in fields and field.required:
            given.setdefault(name, fields[name])
    try:
        return _read({k: v for k, v in given.items() if k in known}, kind, strict=False), fields, ""
    except BadRequest as error:
        return None, fields, error.sentence()


async def fields_of(request: Request, most: int = BODY) -> dict[str, str]:
    """A form's fields by name, the last of each. Raises BadRequest, TooLarge."""
    raw = await body_of(request, most)
    try:
        pairs = parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=100, errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise BadRequest("The form cannot be read.", "Load the page again.") from None
    return dict(pairs)


async def body_of(request: Request, most: int = BODY) -> bytes:
    """The body, up to `most` bytes. Raises TooLarge, Unprocessable when it was cut off."""
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > most:
                raise TooLarge(f"The body is larger than {most:,} bytes.", "Send less.")
            pieces.append(piece)
    except ClientDisconnect:
        raise Unprocessable("The body was cut off.", "Send it again.") from None
    return b"".join(pieces)


def _read(given: Any, kind: type[S], strict: bool) -> S:
    try:
        return msgspec.convert(given, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise BadRequest(
            f"The request is not understood: {error}.", "Look at the names and types of its fields."
        ) from None
