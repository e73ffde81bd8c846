"""What strict readers refuse and clients read is read: half a surrogate pair, NaN."""

from __future__ import annotations

import msgspec
import pytest

from tierwise.dialects import lax


def test_half_a_pair_and_nan_are_read():
    assert lax.decode(rb'{"a": "x\ud83d", "b": [NaN, -Infinity, 1.5], "c": "\ud83d\ude00"}') == {
        "a": "x\ufffd", "b": [None, None, 1.5], "c": "\U0001f600",
    }  # fmt: skip
    assert lax.decode('"\\ude00 tail"') == "\ufffd tail"


def test_strict_json_is_itself_and_what_is_none_is_refused():
    assert lax.decode(b'{"a": 1.50}') == {"a": 1.5}
    for data in (b"{", b'{"a": }', b"\xff", b"[" * 100_000):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError, RecursionError)):
            lax.decode(data)
