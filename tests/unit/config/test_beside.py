"""The same model at further providers, where a tier or a name leaves the provider open."""

from __future__ import annotations

from pathlib import Path

from tierwise.config import load


def test_the_same_model_at_further_providers_stands_beside_a_tier(tmp_path: Path) -> None:
    keys = {f"{vendor}_API_KEY": "k" for vendor in ("ANTHROPIC", "OPENROUTER", "OFOX")}
    found = load(None, keys).catalog
    beside = ("openrouter/anthropic/claude-haiku-4", "ofox/anthropic/claude-haiku-4")
    assert found.tiers["haiku"].beside == found.beside["claude-haiku-4"] == beside
    assert "anthropic/claude-haiku-4" not in found.beside  # it names its provider
    assert load(None, {"ANTHROPIC_API_KEY": "k"}).catalog.tiers["haiku"].beside == ()
    rows = "".join(
        f'[[provider]]\nname = "{name}"\ndialect = "{dialect}"\nbase_url = "http://{name}"\n'
        'models = ["v/m", "w/m"]\n'
        for name, dialect in (("a", "openai_chat"), ("b", "gemini"), ("c", "openai_chat"))
    )
    tiers = {"open": "v/m", "named": "a/v/m", "set": "v/m"}
    for name, model in tiers.items():
        rows += f'[[tier]]\nname = "{name}"\nmodel = "{model}"\n'
    (tmp_path / "tierwise.toml").write_text(rows + "settings = {temperature = 0}\n")
    listed = load(tmp_path / "tierwise.toml", {}).catalog.tiers
    assert [listed[name].beside for name in tiers] == [("b/v/m", "c/v/m"), (), ("c/v/m",)]
