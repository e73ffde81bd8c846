"""Forms: any bytes of a file come back, and noise is refused."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from tierwise.errors import BadRequest
from tierwise.http1 import form

TYPE = b"multipart/form-data; boundary=xyz"


def field(name: str, body: bytes, extra: str = "") -> bytes:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + body + b"\r\n"


@given(
    st.binary(max_size=200).filter(lambda body: b"\r\n--xyz" not in body and not body.startswith(b"--xyz"))
)
def test_any_bytes_come_back(body: bytes) -> None:
    assert form(TYPE, field("file", body) + b"--xyz--")["file"].body == body


@given(st.binary(max_size=400))
def test_nothing_but_a_refusal_comes_of_noise(noise: bytes) -> None:
    for body in (noise, b"--xyz\r\n" + noise, b"--xyz\r\n" + noise + b"\r\n--xyz--"):
        with contextlib.suppress(BadRequest):
            form(TYPE, body)
