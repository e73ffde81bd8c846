"""The profile:

how the simulated models behave, laid over the published figures; strict, and replaceable while it runs.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..errors import BadRequest, ConfigError
from .faults import NAMES
from .published import cache_minimum, figures

FACES = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")


class ModelProfile(Struct, frozen=True, omit_defaults=True):
    """What a profile says of one kind of model; what it leaves out stays as published.

    `accuracy` by task in 0..1; `faults` are rates in 0..1 by fault name; `answer_tokens` fixes the length
    of free answers.
    """

    accuracy: dict[str, float] = {}
    ttft_ms: float | None = None
    tokens_per_s: float | None = None
    cache_minimum: int | None = None
    answer_tokens: int | None = None
    faults: dict[str, float] = {}


class Profile(Struct, frozen=True, omit_defaults=True):
    """How the simulator behaves.

    `speed` multiplies the published speed, 0 is instant; unsaid, the command takes 1 and `start` 0.
    `correlation` in 0..1: the share of items whose difficulty all models have in common. `jitter` in 0..1
    varies the time to first token. `model` maps a piece of a model id (`haiku`, `opus-4.7`, `*`) to its
    ModelProfile; longer pieces win. `models` are the ids listed; with `only_listed` all others are answered
    404. `version_rules`: whether Anthropic-Version 2026-10-21 refuses sampling parameters, and OpenAI's
    models what they refuse while they reason. `strict_fields`:
    the faces that answer 400 to an unknown top-level field. `batch_s`: seconds from a batch to its results.
    """

    seed: int = 0
    speed: float | None = None
    jitter: float = 0.2
    correlation: float = 0.5
    retry_after_s: int = 1
    models: tuple[str, ...] = (
        "anthropic/claude-haiku-4",
        "anthropic/claude-sonnet-4.6",
        "anthropic/claude-opus-4.7",
        "openai/gpt-5.4",
        "google/gemini-3.1-flash-lite",
        "openai/text-embedding-3-small",
    )
    only_listed: bool = False
    version_rules: bool = True
    strict_fields: tuple[str, ...] = ("anthropic_messages",)
    batch_s: float = 0.2
    model: dict[str, ModelProfile] = {}


class Resolved(Struct, frozen=True):
    """One model's behaviour, published figures and profile put together. `faults` in order of name."""

    accuracy: dict[str, float]
    ttft_ms: float
    tokens_per_s: float
    cache_minimum: int
    answer_tokens: int | None
    faults: tuple[tuple[str, float], ...]


def load(path: Path) -> Profile:
    """The profile in a .toml or .json file. ConfigError, with the nearest name where a key is unknown."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        found = msgspec.json.decode(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"The profile {path} cannot be read: {error.strerror}.") from error
    except (ValueError, msgspec.DecodeError) as error:
        raise ConfigError(f"The profile {path} is malformed: {error}.") from error
    return build(found)


def build(found: object) -> Profile:
    """A Profile from plain maps and lists.

    ConfigError where a key is unknown, a type wrong or a number out of range.
    """
    if not isinstance(found, Mapping):
        raise ConfigError("A profile is a table.", "Write keys like speed = 0.")
    _known(found, Profile.__struct_fields__, "profile")
    models = found.get("model", {})
    if isinstance(models, Mapping):
        for name, entry in models.items():
            if isinstance(entry, Mapping):
                _known(entry, ModelProfile.__struct_fields__, f"model.{name}")
    try:
        profile = msgspec.convert(found, Profile)
    except msgspec.ValidationError as error:
        raise ConfigError(f"The profile is wrong: {error}.") from error
    _ranges(profile)
    return profile


def lay_over(profile: Profile, found: object) -> Profile:
    """`profile` with the keys of `found` laid over it, models key by key.

    BadRequest where `build` would complain.
    """
    try:
        build(found)
        assert isinstance(found, Mapping)
        return build(_merged(msgspec.to_builtins(profile), found))
    except ConfigError as error:
        raise BadRequest(error.message, error.hint) from error


def resolve(profile: Profile, model: str) -> Resolved:
    """How `model` behaves:

    published figures, then every matching entry of the profile, the longest name last.
    """
    base = figures(model)
    accuracy = dict(base.accuracy)
    rates: dict[str, float] = {}
    chosen: dict[str, Any] = {}
    names = [name for name in profile.model if name == "*" or name in model]
    for name in sorted(names, key=lambda name: (name != "*", len(name))):
        entry = profile.model[name]
        accuracy |= entry.accuracy
        rates |= entry.faults
        for field in ("ttft_ms", "tokens_per_s", "cache_minimum", "answer_tokens"):
            value = getattr(entry, field)
            if value is not None:
                chosen[field] = value
    return Resolved(
        accuracy=accuracy,
        ttft_ms=chosen.get("ttft_ms", base.ttft_ms),
        tokens_per_s=chosen.get("tokens_per_s", base.tokens_per_s),
        cache_minimum=chosen.get("cache_minimum", cache_minimum(model)),
        answer_tokens=chosen.get("answer_tokens"),
        faults=tuple(sorted(rates.items())),
    )


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = (
            _merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
        )
    return merged


def _known(found: Mapping[str, object], names: Iterable[str], where: str) -> None:
    known = list(names)
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
            raise ConfigError(f"Unknown key {key} in {where}.", hint)


def _ranges(profile: Profile) -> None:
    _known(dict.fromkeys(profile.strict_fields), FACES, "strict_fields")
    if profile.speed is not None and not profile.speed >= 0:
        raise ConfigError(f"speed is {profile.speed}.", "It is 0 (instant) or more.")
    if not 0 <= profile.batch_s <= 86_400:
        raise ConfigError(f"batch_s is {profile.batch_s}.", "It is seconds, 0 to 86400.")
    shares = {"jitter": profile.jitter, "correlation": profile.correlation}
    for name, entry in profile.model.items():
        _known(entry.faults, NAMES, f"model.{name}.faults")
        shares |= {f"model.{name}.accuracy.{task}": share for task, share in entry.accuracy.items()}
        shares |= {f"model.{name}.faults.{fault}": rate for fault, rate in entry.faults.items()}
        if sum(entry.faults.values()) > 1:
            raise ConfigError(f"The fault rates of model.{name} add up to more than 1.")
        if entry.tokens_per_s is not None and not entry.tokens_per_s > 0:
            raise ConfigError(f"model.{name}.tokens_per_s must be above 0.")
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise ConfigError(f"{name} is {share}.", "It is a share between 0 and 1.")
