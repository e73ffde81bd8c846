"""Over thousands of items a simulated model is right as often as was published."""

from __future__ import annotations

import pytest

from tierwise.simulator.labels import Truth
from tierwise.simulator.mind import Mind
from tierwise.simulator.profile import Profile, resolve
from tierwise.simulator.prompt import Prompt

HAIKU, SONNET, OPUS = "claude-haiku-4", "claude-sonnet-4.6", "claude-opus-4.7"


def shares(models: tuple[str, ...], n: int, correlation: float) -> tuple[list[float], int]:
    """Accuracy of each model over n known items, and how often only the first was right, not the last."""
    truth = Truth([(f"item {i}", f"label {i % 7}", "") for i in range(n)])
    profile = Profile(correlation=correlation)
    mind = Mind(truth, 0, correlation)
    labels = ", ".join(f"label {i}" for i in range(7))
    right = {}
    for model in models:
        how = resolve(profile, model)
        right[model] = [
            mind.answer(Prompt(model=model, system=f"Labels: {labels}", question=f"item {i}"), how).text
            == f"label {i % 7}"
            for i in range(n)
        ]
    odd = sum(a and not b for a, b in zip(right[models[0]], right[models[-1]], strict=True))
    return [sum(right[model]) / n for model in models], odd


def test_accuracy_is_what_was_published_and_cheap_models_never_beat_dear_ones_on_common_items() -> None:
    found, odd = shares((HAIKU, SONNET, OPUS), 4000, 1.0)
    for share, wanted in zip(found, (0.955, 0.97, 0.98), strict=True):
        assert share == pytest.approx(wanted, abs=0.01)
    assert odd == 0
    mixed, odd = shares((HAIKU, OPUS), 4000, 0.0)
    assert mixed[0] == pytest.approx(0.955, abs=0.01)
    assert odd > 0
