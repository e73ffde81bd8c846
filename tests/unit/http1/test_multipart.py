"""Forms: what a client's library sends is read byte for byte; anything bent is refused."""

from __future__ import annotations

import pytest

from tierwise.errors import BadRequest
from tierwise.http1 import form

TYPE = b"multipart/form-data; boundary=xyz"


def field(name: str, body: bytes, extra: str = "") -> bytes:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + body + b"\r\n"


def test_fields_and_files() -> None:
    body = field("purpose", b"batch") + field("file", b"a\r\nb", '; filename="i n.jsonl"') + b"--xyz--\r\n"
    parts = form(TYPE, body)
    assert parts["purpose"].body == b"batch"
    assert parts["purpose"].filename is None
    assert (parts["file"].filename, parts["file"].body) == ("i n.jsonl", b"a\r\nb")


def test_preamble_quoted_boundary_and_escapes() -> None:
    body = b"words\r\n" + field("a", b"", r'; filename="say \"hi\""') + b"--xyz--"
    parts = form(b'Multipart/Form-Data; charset=utf-8; boundary="xyz"', body)
    assert (parts["a"].filename, parts["a"].body) == ('say "hi"', b"")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--xyz--",
        field("a", b"x"),
        field("a", b"x") + b"--xyz",
        field("a", b"x") + b"--xyzzy\r\n\r\n--xyz--",
        field("a", b"x") + field("a", b"y") + b"--xyz--",
        b"--xyz\r\n\r\nx\r\n--xyz--",
        b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xyz--",
        b"--xyz\nContent-Disposition: form-data; name=a\n\nx\n--xyz--",
        b"".join(field(f"f{i}", b"x") for i in range(40)) + b"--xyz--",
    ],
)
def test_a_bent_form_is_refused_or_empty(body: bytes) -> None:
    if body == b"--xyz--":
        assert form(TYPE, body) == {}
        return
    with pytest.raises(BadRequest):
        form(TYPE, body)


@pytest.mark.parametrize(
    "kind",
    [None, b"application/json", b"multipart/form-data", b'multipart/form-data; boundary="', TYPE + b"\xff"],
)
def test_another_type_is_refused(kind: bytes | None) -> None:
    with pytest.raises(BadRequest):
        form(kind, field("a", b"x") + b"--xyz--")
