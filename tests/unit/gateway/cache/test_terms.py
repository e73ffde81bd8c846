"""Known: bodies by their very bytes, bounded in memory."""

from __future__ import annotations

from tierwise.gateway.cache.terms import Known
from tierwise.nouns import Outline

OUTLINE = Outline(model="m")


def test_a_body_is_known_in_its_dialect_by_its_bytes() -> None:
    known = Known()
    known.learn("openai_chat", b"{}", OUTLINE).keys["a"] = b"1"
    known.learn("openai_chat", bytes(bytearray(b"{}")), None).keys["b"] = None
    found = known.find("openai_chat", bytes(bytearray(b"{}")))
    assert found is not None
    assert (found.outline, found.keys) == (OUTLINE, {"a": b"1", "b": None})
    assert known.find("openai_chat", b"{ }") is None
    assert known.find("anthropic_messages", b"{}") is None


def test_at_its_bound_it_begins_anew() -> None:
    known = Known(10_000)
    for number in range(3):
        known.learn("gemini", b"%d" % number * 2000, None)
    assert all(known.find("gemini", b"%d" % number * 2000) for number in range(3))
    known.learn("gemini", b"3" * 2000, None)
    assert [number for number in range(4) if known.find("gemini", b"%d" % number * 2000)] == [3]


def test_keys_of_one_body_count_too() -> None:
    known = Known(10_000)
    for caller in range(9):
        known.learn("gemini", b"{}", OUTLINE).keys[caller] = b""
    found = known.find("gemini", b"{}")
    assert found is not None
    assert len(found.keys) == 9
    known.learn("gemini", b"{}", OUTLINE).keys[9] = b""
    found = known.find("gemini", b"{}")
    assert found is not None
    assert list(found.keys) == [9]
    known.learn("gemini", b"{}", OUTLINE, 9_000).keys[10] = b""
    found = known.find("gemini", b"{}")
    assert found is not None
    assert list(found.keys) == [10]
