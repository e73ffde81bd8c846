"""Profiles: strict, laid over the published figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.errors import BadRequest, ConfigError
from tierwise.simulator.profile import ModelProfile, Profile, build, lay_over, load, resolve


def test_published_figures_apply_without_a_profile() -> None:
    haiku, opus = resolve(Profile(), "anthropic/claude-haiku-4"), resolve(Profile(), "claude-opus-4-7")
    assert (haiku.ttft_ms, haiku.tokens_per_s, haiku.cache_minimum) == (120, 85, 4096)
    assert (opus.ttft_ms, opus.tokens_per_s, opus.cache_minimum) == (450, 28, 2048)
    assert haiku.accuracy["classification"] == 0.955


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        ("claude-haiku-4-5-20251001", 4096),
        ("claude-opus-4.6", 4096),
        ("claude-opus-4-7", 2048),
        ("claude-sonnet-4.6", 1024),
        ("claude-sonnet-5", 1024),
        ("claude-opus-4.8", 1024),
        ("claude-opus-5", 512),
        ("claude-haiku-5-5", 512),
        ("claude-sonnet-5.5", 512),
        ("claude-fable-5.1", 512),
        ("claude-sonnet-4-20250514", 1024),
        ("gpt-5.4", 1024),
    ],
)
def test_least_cacheable_prefix(model: str, minimum: int) -> None:
    assert resolve(Profile(), model).cache_minimum == minimum


def test_longer_names_win_and_leave_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        'speed = 2\n[model."*"]\nttft_ms = 5\nfaults = { e529 = 0.1 }\n'
        "[model.haiku]\nttft_ms = 7\naccuracy = { classification = 0.5 }\n"
        '[model."haiku-4.5"]\nttft_ms = 9\n'
    )
    profile = load(path)
    assert profile.speed == 2
    found = resolve(profile, "claude-haiku-4.5")
    assert (found.ttft_ms, found.tokens_per_s, found.faults) == (9, 85, (("e529", 0.1),))
    assert (found.accuracy["classification"], found.accuracy["coding"]) == (0.5, 0.725)
    assert resolve(profile, "claude-sonnet-5").ttft_ms == 5


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"sped": 1}, "Did you mean speed"),
        ({"model": {"haiku": {"acuracy": {}}}}, "Did you mean accuracy"),
        ({"model": {"haiku": {"faults": {"e599": 0.1}}}}, "e599"),
        ({"model": {"haiku": {"accuracy": {"qa": 1.5}}}}, "between 0 and 1"),
        ({"model": {"haiku": {"faults": {"e500": 0.7, "cut": 0.7}}}}, "more than 1"),
        ({"speed": -1}, "0 (instant) or more"),
        ({"speed": "fast"}, "speed"),
        ({"strict_fields": ["anthropic"]}, "anthropic_messages"),
        ([], "table"),
    ],
)
def test_what_is_wrong_is_named(found: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(found)
    assert words in caught.value.sentence()


def test_laying_over_keeps_what_is_not_named() -> None:
    base = Profile(speed=3, model={"haiku": ModelProfile(ttft_ms=5)})
    over = lay_over(base, {"model": {"haiku": {"accuracy": {"classification": 0.1}}}})
    assert over.speed == 3
    assert over.model["haiku"] == ModelProfile(ttft_ms=5, accuracy={"classification": 0.1})
    with pytest.raises(BadRequest):
        lay_over(base, {"nothing": 1})


def test_a_malformed_or_missing_file_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("speed = ")
    with pytest.raises(ConfigError, match="malformed"):
        load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")
