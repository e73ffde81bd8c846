"""Whose own batch API is used: where one is known, or where the configuration says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import load
from tierwise.errors import ConfigError

ROW = '[[provider]]\nname = "p"\nmodels = ["m"]\ndialect = "{}"\nbase_url = "{}"\n'
ANTHROPIC = ROW.format("anthropic_messages", "https://api.anthropic.com")
OPENAI = ROW.format("openai_chat", "https://api.openai.com/v1")
AGGREGATOR = ROW.format("openai_chat", "https://openrouter.ai/api/v1")
GEMINI = ROW.format("gemini", "https://generativelanguage.googleapis.com")


@pytest.mark.parametrize(
    ("text", "native"),
    [
        (ANTHROPIC, True), (OPENAI, True), (AGGREGATOR, False), (GEMINI, False),
        (ANTHROPIC + "native_batch = false\n", False), (AGGREGATOR + "native_batch = true\n", True),
        (GEMINI + "native_batch = false\n", False),
    ],
)  # fmt: skip
def test_whose_batches_are_handed_over(tmp_path: Path, text: str, native: bool) -> None:
    (tmp_path / "tierwise.toml").write_text(text)
    assert load(tmp_path / "tierwise.toml", {}).batches.native == ({"p"} if native else set())


def test_geminis_batches_cannot_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "tierwise.toml").write_text(GEMINI + "native_batch = true\n")
    with pytest.raises(ConfigError, match="native_batch is not known for dialect gemini"):
        load(tmp_path / "tierwise.toml", {})


def test_the_limits_of_batches_are_read(tmp_path: Path) -> None:
    limits = (
        "at_once = 3\nnative_hours = 4\nmax_file_mb = 5\nmax_rows = 6\nmax_stored_mb = 7\nkeep_days = 8\n"
    )
    (tmp_path / "tierwise.toml").write_text(OPENAI + "[batch]\n" + limits)
    found = load(tmp_path / "tierwise.toml", {}).batches
    assert (found.at_once, found.native_hours, found.max_rows) == (3, 4, 6)
    assert (found.max_file_bytes, found.max_stored_bytes) == (5 * 10**6, 7 * 10**6)
    assert found.keep_us == 8 * 86_400 * 10**6
