"""Published figures the simulated models are built from, and stand-ins where nothing is published.

Speed and scores of Claude Haiku 4, Sonnet 4.6 and Opus 4.7: "Claude Haiku 4 …", ofox.ai blog, April 2026.
Classification accuracy is not in that table ("above 95 % with clear categories"): 0.955, 0.97 and 0.98 are
simulated stand-ins, as is all of `other`. Least cacheable prefix: Anthropic's prompt-caching documentation,
November 2026.
"""

from __future__ import annotations

import re

from msgspec import Struct


class Figures(Struct, frozen=True):
    """A model family's simulated behaviour:

    accuracy by task in 0..1, time to first token in ms, output tokens per second.
    """

    accuracy: dict[str, float]
    ttft_ms: float
    tokens_per_s: float


FAMILIES: dict[str, Figures] = {
    "haiku": Figures(
        {"classification": 0.955, "qa": 0.782, "coding": 0.725, "reasoning": 0.853, "vision": 0.621},
        120.0,
        85.0,
    ),
    "sonnet": Figures(
        {"classification": 0.97, "qa": 0.851, "coding": 0.796, "reasoning": 0.921, "vision": 0.714},
        280.0,
        52.0,
    ),
    "opus": Figures(
        {"classification": 0.98, "qa": 0.889, "coding": 0.876, "reasoning": 0.954, "vision": 0.985},
        450.0,
        28.0,
    ),
    "flash-lite": Figures({"classification": 0.93, "qa": 0.75, "reasoning": 0.8}, 100.0, 150.0),
    "other": Figures({"classification": 0.96, "qa": 0.8, "reasoning": 0.9}, 200.0, 60.0),
}

# A task without a figure of its own is answered as well as questions are.
FALLBACK_TASK = "qa"

_CLAUDE = re.compile(r"(haiku|sonnet|opus|fable)-(\d+)(?:[.-](\d{1,2})(?!\d))?")
_GPT = re.compile(r"gpt-(\d+)(?:\.(\d+))?")


def figures(model: str) -> Figures:
    """The figures of the family that `model`'s id names; `other` when it names none."""
    for family, found in FAMILIES.items():
        if family in model:
            return found
    return FAMILIES["other"]


def claude(model: str) -> tuple[str, tuple[int, int]] | None:
    """Family and version of a Claude id in either spelling (`claude-opus-4.7`, `claude-opus-4-7`), None for
    others.
    """
    found = _CLAUDE.search(model)
    return (found[1], (int(found[2]), int(found[3] or 0))) if found else None


def cache_minimum(model: str) -> int:
    """Least tokens of a cacheable prefix."""
    found = claude(model)
    if found is None:
        return 1024
    family, version = found
    if family == "fable" or version >= (5, 5) or (family == "opus" and version >= (5, 0)):
        return 512
    if family == "sonnet" or (family == "opus" and version == (4, 8)):
        return 1024
    return 2048 if version == (4, 7) else 4096


def bills_writes(model: str) -> bool:
    """Whether an OpenAI model charges for cache writes and says so in its usage (gpt-5.6 and later)."""
    found = _GPT.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (5, 6)


def binds_thinking(model: str) -> bool:
    """Whether replayed thinking is bound to the exact prefix, and forced tools, sampling and prefill are
    refused.

    Claude Opus and Sonnet 5.5, Fable 5.1 and later; Haiku 5.5 is looser.
    """
    found = claude(model)
    if found is None:
        return False
    family, version = found
    return (family == "fable" and version >= (5, 1)) or (family in ("opus", "sonnet") and version >= (5, 5))
