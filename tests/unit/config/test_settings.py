"""What a tier sends and what it costs, as the configuration says it."""

from __future__ import annotations

from pathlib import Path

from tierwise.config import Settings, load, model_for

PROVIDER = """
[[provider]]
name = "p"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
"""


def settings(folder: Path, text: str) -> Settings:
    (folder / "tierwise.toml").write_text(PROVIDER + text)
    return load(folder / "tierwise.toml", {})


def test_numbers_of_a_tier_are_sent_as_numbers(tmp_path: Path) -> None:
    said = "settings = {temperature = 0.25, stop = ['a', 0.5], extra = {share = 0.5, n = 3, on = true}}"
    tier = settings(tmp_path, f'[[tier]]\nname = "t"\nmodel = "p/m"\n{said}\n').catalog.tiers["t"]
    expected = {"temperature": 0.25, "stop": ["a", 0.5], "extra": {"share": 0.5, "n": 3, "on": True}}
    assert repr(tier.settings) == repr(expected)


def test_a_tier_without_a_price_is_pointed_out_and_one_with_a_price_is_not(tmp_path: Path) -> None:
    tiers = '[[tier]]\nname = "t"\nmodel = "p/mine"\n[[tier]]\nname = "u"\nmodel = "p/other"\n'
    found = settings(tmp_path, tiers + '[[price]]\nmodel = "p/mine"\ninput = 1\noutput = 2\n')
    assert [note for note in found.notes if "no price" in note] == [
        "tier u: no price of p/other is known, so its calls are unpriced"
    ]


def test_a_price_at_a_provider_that_takes_any_model_names_one(tmp_path: Path) -> None:
    found = settings(tmp_path, '[[price]]\nmodel = "p/mine"\ninput = 1\noutput = 2\n').catalog
    assert found.models["p/mine"].prices[0].input == 10**6
    assert found.aliases["mine"] == "p/mine"


def test_an_alias_may_name_a_model_that_only_its_provider_knows(tmp_path: Path) -> None:
    model = model_for(settings(tmp_path, '[alias]\nfast = "p/mine"\n').catalog, "fast")
    assert model is not None
    assert model.name == "p/mine"


def test_a_ladder_that_prices_do_not_order_is_pointed_out_unless_its_order_is_stated(tmp_path: Path) -> None:
    tiers = '[[tier]]\nname = "t"\nmodel = "p/mine"\n[[tier]]\nname = "u"\nmodel = "p/other"\n'
    priced = tiers + '[[price]]\nmodel = "p/mine"\ninput = 1\noutput = 2\n'
    for text, pointed_out in (
        (priced, True),
        (priced + '[default]\nladder = ["u", "t"]\n', False),
        (priced + '[default]\nreference = "t"\n', False),
        (tiers, False),
    ):
        found = settings(tmp_path, text)
        assert any("so u is the reference" in note for note in found.notes) is pointed_out
        assert found.catalog.ladder.guessed is pointed_out
