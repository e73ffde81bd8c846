"""Names that can be asked for and told in a header, and settings that leave the bill right."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import load
from tierwise.errors import ConfigError

AGGREGATOR = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
models = ["anthropic/claude-haiku-4"]
"""


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[[tier]]\nname = "a\\nb"\nmodel = "anthropic/claude-haiku-4"\n', "no name"),
        ('[[tier]]\nname = "h\u00f6ch"\nmodel = "anthropic/claude-haiku-4"\n', "no name"),
        ('[task."Gr\u00f6\u00dfe"]\nstart = "haiku"\n', "no name"),
        ('[task." x"]\nstart = "haiku"\n', "no name"),
        ('[alias]\nauto = "anthropic/claude-haiku-4"\n', "something else already"),
        ('[alias]\n"tier/x" = "anthropic/claude-haiku-4"\n', "something else already"),
        (
            '[[tier]]\nname = "x"\nmodel = "anthropic/claude-haiku-4"\nsettings = {model = "dear"}\n',
            "settings cannot hold 'model'",
        ),
        (
            '[[tier]]\nname = "x"\nmodel = "anthropic/claude-haiku-4"\nsettings = {stream = true}\n',
            "settings cannot hold 'stream'",
        ),
    ],
)
def test_names_no_header_can_carry_and_settings_that_change_the_bill(
    tmp_path: Path, toml: str, words: str
) -> None:
    file = tmp_path / "tierwise.toml"
    file.write_text(AGGREGATOR + toml, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load(file, {})
