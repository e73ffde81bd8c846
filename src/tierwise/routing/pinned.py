"""Pinned: a model named by its provider, by an alias, or at a provider that passes any id on."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable

from ..errors import UnknownModel
from ..nouns import Candidate, Catalog, Model
from .reason import plain
from .table import Rung, Table

_NAME_LENGTH = 100


def pinned(table: Table, name: str) -> Rung | None:
    """The rung of `provider/model`, an alias or a vendor's bare id; None when nothing is called that and no
    provider passes it on.
    """
    rung = table.models.get(name)
    if rung is None and passed_on(table.passing, name):
        rung = Rung(Candidate(name))
    return rung or table.unlisted(name)


def passed_on(passing: Iterable[str], name: str) -> bool:
    """Whether `name` is `provider/anything` at a provider that lists no models and so takes any id."""
    provider, slash, model = name.partition("/")
    return bool(slash and model) and provider in passing and name.isascii() and name.isprintable()


def model_of(catalog: Catalog, candidate: Candidate) -> Model | None:
    """The Model a Candidate stands for; for an id that is passed on, one about which nothing is known."""
    model = catalog.models.get(candidate.model) or catalog.models.get(
        catalog.aliases.get(candidate.model, "")
    )
    if model is not None:
        return model
    name, _, identifier = candidate.model.partition("/")
    provider = catalog.providers.get(name)
    if provider is None or provider.models or not identifier:
        return None
    return Model(name=candidate.model, provider=name, id=identifier)


def unknown(table: Table, name: str, param: str = "model") -> UnknownModel:
    """The error for a name that means nothing here, with the nearest names that do."""
    near = difflib.get_close_matches(name[:_NAME_LENGTH], table.names(), 3, cutoff=0.5)
    near += [f"tier/{name}"] * (name in table.tiers) + [f"task/{name}"] * (name in table.tasks)
    known = ", ".join(dict.fromkeys(near))
    hint = f"Nearest: {known}." if known else "Use provider/model, tier/NAME, task/NAME or auto."
    return UnknownModel(f"There is no model '{plain(name, _NAME_LENGTH)}'.", hint, param)


@functools.lru_cache(maxsize=1024)
def nearest_task(name: str, known: tuple[str, ...]) -> str:
    """The known task most like `name` by difflib's ratio of matching characters, however unlike; "" when none
    is known.

    Remembered, since whoever uses a task without configuring it does so on every call.
    """
    return "".join(difflib.get_close_matches(name[:_NAME_LENGTH], known, 1, cutoff=0.0))
