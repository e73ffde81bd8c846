"""Models that rows name: as they are served today, whatever their provider was called then."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import load, model_recorded, prices_recorded

CONFIG = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
models = ["anthropic/claude-haiku-4", "mine"]
"""


@pytest.mark.parametrize(
    ("row", "model"),
    [
        ("agg/mine", "agg/mine"),
        ("gone/mine", "agg/mine"),
        ("gone/claude-haiku-4", "agg/anthropic/claude-haiku-4"),
        ("gone/anthropic/claude-haiku-4", "agg/anthropic/claude-haiku-4"),
        ("openai/gpt-5.4", "openai/gpt-5.4"),
        ("agg/other", None),
        ("gone/other", None),
        ("gone/", None),
        ("openai/", None),
        ("", None),
    ],
)
def test_a_rows_model_is_found_under_its_name_at_its_vendor_or_by_its_id(
    tmp_path: Path, row: str, model: str | None
) -> None:
    (tmp_path / "tierwise.toml").write_text(CONFIG)
    catalog = load(tmp_path / "tierwise.toml", {}).catalog
    found = model_recorded(catalog, row)
    assert (found.name if found else None) == model
    priced = prices_recorded(catalog)(row)
    assert (priced.model.name if priced else None) == model
