"""policy.toml: any text and number reads back as it was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tierwise.config import (
    RuleBlock,
    VerdictBlock,
    policy_text,
    read_blocks,
)

texts = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
floats = st.floats(allow_nan=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
verdicts = st.builds(
    VerdictBlock,
    decision=st.just("keep"),
    difference=st.floats(-1, 1),
    interval=st.tuples(finite, finite).map(sorted).map(tuple),
    level=shares,
    n=st.integers(0, 2**62),
    method=texts,
    date=st.just("2026-01-01"),
    models=st.dictionaries(texts, texts, max_size=3),
    reasons=st.lists(texts, max_size=3),
    counts=st.none() | st.just((1, 2, 3, 4)),
    ln_e_keep=st.none() | floats,
)


@given(st.builds(RuleBlock, task=texts.filter(bool), tiers=st.just(["opus"]), verdict=verdicts, note=texts))
def test_any_text_and_number_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, block: RuleBlock
) -> None:
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text(policy_text([block]))
    assert read_blocks(path) == [block]
