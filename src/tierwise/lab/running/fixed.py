"""What a run was begun with stays so when it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ...errors import SuiteError
from .records import Manifest, TierCard
from .tiers import named

_TERMS = ("reference", "repeats", "max_tokens", "temperature", "seed", "sequential")
# What makes Cases of a file; the Cases of a run are made.
_SHAPE = ("prompt", "system", "columns")


def check_fixed(manifest: Manifest, given: Mapping[str, Any], with_suite: bool) -> None:
    """Raises SuiteError when options of a resumed run differ from what it was begun with. `with_suite`: the
    suite was given too and is the run's, so its prompt is.
    """
    terms, suite = manifest.terms, manifest.suite
    fixed: dict[str, Any] = {"margin": terms.bar.margin, "alpha": terms.bar.alpha}
    fixed |= {word: getattr(terms, word) for word in _TERMS}
    fixed |= {"labels": suite.labels, "task": suite.task}
    changing = [word for word in _SHAPE if given[word] and not with_suite]
    if changing:
        raise SuiteError(
            f"Run {manifest.id} has its Cases already; {changing[0]} would change them.",
            "Begin a new run, or give the suite too if it is the same.",
        )
    if given["n"] is not None and given["n"] < terms.n:
        raise SuiteError(
            f"Run {manifest.id} was begun with {terms.n} Cases; it cannot go on with {given['n']}.",
            "Give more, or begin a new run; --cost-limit ends one early.",
        )
    for word, was in fixed.items():
        now = given[word]
        # An option that was not given is None, "", empty or False, and the seed 0.
        absent = now is None or now == "" or (word in ("seed", "sequential") and not now)
        if not absent and now != was:
            raise SuiteError(
                f"Run {manifest.id} was begun with {word} {was}; it cannot become {now}.",
                "What is fixed before the first Case stays so; begin a new run.",
            )


def check_names(manifest: Manifest, names: Iterable[str]) -> None:
    """Raises SuiteError when `--tiers` of a resumed run gives a tier of it another model (`haiku=opus`)."""
    begun = {card.name: card.target for card in manifest.tiers}
    for given in names:
        label, target = named(given)
        was = begun.get(label, target)
        if "=" in given and target.removeprefix("tier/") != was.removeprefix("tier/"):
            raise SuiteError(
                f"Run {manifest.id} was begun with {label} as {was}; it cannot become {target}.",
                f"Give {target} a name of its own, or begin a new run.",
            )


def check_same(manifest: Manifest, cards: Iterable[TierCard], missing: Callable[[str], int]) -> None:
    """Raises SuiteError when a tier that is still to be asked has another model or other settings than when
    the run was begun: its answers would be of two tiers.
    """
    begun = {card.name: card for card in manifest.tiers}
    for now in cards:
        was = begun.get(now.name, now)
        unknown = was.settings is None or now.settings is None
        same = was.model == now.model and (unknown or was.settings == now.settings)
        if not same and missing(now.name):
            raise SuiteError(
                f"Run {manifest.id} was begun with {now.name} as {_told(was)}; it is {_told(now)} now.",
                "Put it back as it was, or begin a new run.",
            )


def _told(card: TierCard) -> str:
    return f"{card.model} {card.settings or ''}".rstrip()
