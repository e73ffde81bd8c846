"""load: a proxy in the environment, which no call goes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import load


@pytest.mark.parametrize(
    ("base", "variable", "noted"),
    [
        ("https://api.x.test/v1", "https_proxy", True),
        ("http://127.0.0.1:9/v1", "HTTPS_PROXY", False),
        ("https://api.x.test/v1", "NO_PROXY", False),
    ],
)
def test_a_proxy_that_nothing_goes_through_is_pointed_out(
    tmp_path: Path, base: str, variable: str, noted: bool
) -> None:
    path = tmp_path / "tierwise.toml"
    path.write_text(f'[[provider]]\nname = "p"\ndialect = "openai_chat"\nbase_url = "{base}"\n')
    settings = load(path, {variable: "http://proxy.test:3128"})
    assert any("is set and not used" in note for note in settings.notes) is noted
