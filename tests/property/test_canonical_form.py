"""A response cache's canonical form: one for each request, however it is spelt."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tierwise.gateway.cache.canonical import canonical

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
NAMES = st.text('ab"\\: é', max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.sampled_from(["messages", "seed", "top_p", 'q"\\:', "stop"]), VALUES)


def form(body: Any, echoes: bool = False, **spelling: Any) -> bytes | None:
    raw = body if isinstance(body, bytes) else json.dumps(body, **spelling).encode()
    found = canonical(raw, echoes)
    return found.text if found is not None else None


def turned(value: Any) -> Any:
    """The same with the keys of every object in reverse."""
    if isinstance(value, dict):
        return {name: turned(value[name]) for name in reversed(value)}
    return [turned(each) for each in value] if isinstance(value, list) else value


@given(BODIES)
def test_spelling_does_not_matter(body: dict[str, Any]) -> None:
    first = form(body)
    assert first is not None
    assert form(turned(body), indent=2, ensure_ascii=False, separators=(" ,\n", "\t: ")) == first


@given(BODIES, BODIES)
def test_two_requests_have_two_forms(one: dict[str, Any], two: dict[str, Any]) -> None:
    # `1` and `1.0`, `True` and `1` are not the same to every provider, though Python calls them equal.
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (form(one) == form(two)) == same


@given(BODIES, st.sampled_from(["messages", "seed", "tools", "temperature"]), VALUES)
def test_a_changed_field_changes_the_form(body: dict[str, Any], name: str, value: Any) -> None:
    changed = {**body, name: value}
    if json.dumps(body, sort_keys=True) != json.dumps(changed, sort_keys=True):
        assert form(changed) != form(body)
