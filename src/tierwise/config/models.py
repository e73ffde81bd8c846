"""Models: what each id at a provider is called, can do and costs, and the names callers may use for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from ..nouns import Abilities, Catalog, Model, Price, Provider
from .facts import Published, family_of, published, spelled
from .library import Entry
from .prices import entry_of, merged, own_vendor

_NAME_LENGTH = 200
_OPENAI = ("openai", "azure")
_AGGREGATORS = ("openrouter", "ofox")


class Own(Struct, frozen=True):
    """What the user's configuration says of models: prices and abilities by the name or id they were given
    for.
    """

    prices: Mapping[str, tuple[Price, ...]] = {}
    abilities: Mapping[str, Mapping[str, Any]] = {}

    def names(self) -> set[str]:
        return {*self.prices, *self.abilities}


def model_at(provider: Provider, model_id: str, own: Own | None = None, called: str | None = None) -> Model:
    """The Model that `model_id` is at `provider`. `called` names it after another (published) id than the one
    sent.
    """
    own = own or Own()
    name = f"{provider.name}/{called or model_id}"
    figures = _figures(provider, called or model_id)
    entry = entry_of(provider, model_id)
    keys = (name, model_id, called or model_id, model_id.rpartition("/")[2])
    prices = next((own.prices[key] for key in keys if key in own.prices), ())
    stated = next((own.abilities[key] for key in keys if key in own.abilities), {})
    all_prices = merged(prices, entry, figures)
    return Model(
        name=name,
        provider=provider.name,
        id=model_id,
        abilities=_there(_abilities(model_id, entry, figures, stated), provider, stated),
        prices=all_prices,
        scores=figures.scores if figures else {},
        speed=figures.speed if figures else {},
        notes=tuple(_notes(model_id, entry, figures, all_prices, called)),
    )


def models_of(providers: Iterable[Provider], own: Own) -> dict[str, Model]:
    """Every Model that can be named beforehand, by name: those listed, and the published ones of open
    providers.
    """
    found: dict[str, Model] = {}
    for provider in providers:
        for model_id, called in _ids(provider, own):
            model = model_at(provider, model_id, own, called)
            found.setdefault(model.name, model)
    return found


def aliases_of(
    models: Mapping[str, Model], providers: Mapping[str, Provider], own: Mapping[str, str]
) -> dict[str, str]:
    """Other names → Model name: the id at the provider, and what stands after its last `/`. The first listed
    wins.

    No alias takes the place of an id that an open provider would pass on.
    """
    found = dict(own)
    open_heads = {name for name, provider in providers.items() if not provider.models}
    called = [(model.name.partition("/")[2], model.name) for model in models.values()]
    sent = [(model.id, model.name) for model in models.values()]
    for alias, name in [
        *called,
        *sent,
        *((alias.rpartition("/")[2], name) for alias, name in [*called, *sent]),
    ]:
        if alias not in models and not ("/" in alias and alias.partition("/")[0] in open_heads):
            found.setdefault(alias, name)
    return found


def same_elsewhere(models: Mapping[str, Model]) -> dict[str, tuple[str, ...]]:
    """Model name → Models called the same at other providers, in the order of the providers; a vendor's name
    before the id may be there or not."""
    groups: dict[str, list[Model]] = {}
    for model in models.values():
        groups.setdefault(model.name.rpartition("/")[2], []).append(model)
    found = {}
    for group in groups.values():
        for model in group:
            others = [each for each in group if each.provider != model.provider and _alike(each, model)]
            if others:
                first = {each.provider: each.name for each in reversed(others)}
                found[model.name] = tuple(reversed(first.values()))
    return found


def _alike(one: Model, other: Model) -> bool:
    vendors = {model.name.partition("/")[2].rpartition("/")[0] for model in (one, other)}
    return len(vendors - {""}) < 2


def is_reserved(name: str) -> bool:
    """Whether a name that a caller writes means something else than a model."""
    return name == "auto" or name.startswith(("tier/", "task/"))


def model_for(catalog: Catalog, name: str) -> Model | None:
    """The Model of a name: its own, an alias, or any id at a provider that lists none (then made on the fly).

    None when nothing here serves it. A bare id goes to the open provider of its vendor, `vendor/id` also to
    an open aggregator. Pure, but not free: keep what it gives back.
    """
    known = catalog.models.get(name) or catalog.models.get(catalog.aliases.get(name, ""))
    if known is not None:
        return known
    if not name or len(name) > _NAME_LENGTH or not (name.isascii() and name.isprintable()) or " " in name:
        return None
    if not {".", ".."}.isdisjoint(name.split("/")):  # in a path they lead elsewhere at the provider
        return None
    head, slash, rest = name.partition("/")
    provider = catalog.providers.get(head)
    if provider is not None and slash:
        return model_at(provider, rest) if rest and not provider.models else None
    for provider in catalog.providers.values():
        if provider.models:
            continue
        vendor = own_vendor(provider.name, provider.base_url) or provider.name
        if (slash and vendor in _AGGREGATORS) or (not slash and _is_of(vendor, name)):
            return model_at(provider, name)
    return None


def tier_models(models: Mapping[str, Model]) -> dict[str, str]:
    """Built-in tier → name of the first served model of its family, the published one before any other."""
    found: dict[str, str] = {}
    for tier, published_id in published().tiers().items():
        exact = [name for name, model in models.items() if _is_called(model, published_id)]
        family = re.compile(rf"(?:^|[^a-z]){tier}(?:[^a-z]|$)")
        served = exact or [name for name, model in models.items() if family.search(model.id.lower())]
        if served:
            found[tier] = served[0]
    return found


def _is_called(model: Model, published_id: str) -> bool:
    called = spelled(model.name.partition("/")[2])
    return called in (spelled(published_id), spelled(published_id.partition("/")[2]))


def _ids(provider: Provider, own: Own) -> Sequence[tuple[str, str | None]]:
    """(id sent upstream, published id it is called by or None) of what can be named beforehand at a
    provider.
    """
    if provider.models:
        return [(model_id, None) for model_id in provider.models]
    facts, vendor = published(), own_vendor(provider.name, provider.base_url) or provider.name
    found: list[tuple[str, str | None]] = []
    for id_, figures in facts.models.items():
        maker, _, bare = id_.partition("/")
        if vendor in _AGGREGATORS or vendor == maker:
            called = id_ if vendor in _AGGREGATORS else bare
            sent = facts.sent_as.get(provider.base_url, {}).get(figures.tier, called)
            found.append((sent, called if sent != called else None))
    for name in sorted(own.names()):
        prefix, _, rest = name.partition("/")
        if prefix == provider.name and rest and rest not in {each for pair in found for each in pair}:
            found.append((rest, None))
    return found


def _is_of(vendor: str, bare_id: str) -> bool:
    lowered = bare_id.lower()
    families = {
        "anthropic": r"^claude",
        "openai": r"^(gpt-|o\d|chatgpt-|text-embedding-)",
        "google": r"^gemini-",
    }
    return vendor in families and re.match(families[vendor], lowered) is not None


def _figures(provider: Provider, model_id: str) -> Published | None:
    if "/" in model_id:
        return published().find(model_id)
    vendor = own_vendor(provider.name, provider.base_url)
    return published().find(f"{vendor}/{model_id}" if vendor else model_id) or None


def _abilities(
    model_id: str, entry: Entry | None, figures: Published | None, stated: Mapping[str, Any]
) -> Abilities:
    family = family_of(model_id)
    abilities = family.abilities if family else Abilities()
    context = entry.context if entry else None
    if context is None and figures is not None and figures.context is not None:
        context = int(figures.context.value)
    if context is not None:
        abilities = structs.replace(abilities, context=context)
    return structs.replace(abilities, **stated) if stated else abilities


def _there(abilities: Abilities, provider: Provider, stated: Mapping[str, Any]) -> Abilities:
    """`abilities` as `provider` has them: resellers of OpenAI's models may turn chat into responses."""
    if abilities.chat_tools is not False:
        return abilities
    own = "chat_tools" in stated or own_vendor(provider.name, provider.base_url) in _OPENAI
    if provider.dialect == "openai_chat" and own:
        return abilities
    return structs.replace(abilities, chat_tools=None)


def _notes(
    model_id: str,
    entry: Entry | None,
    figures: Published | None,
    prices: Sequence[Price],
    called: str | None,
) -> Iterable[str]:
    if called is not None:
        yield f"{called} is sent as {model_id}, the vendor's own id"
    if entry is not None and entry.why:
        yield f"not priced by the price library: {entry.why}"
    if not prices:
        yield "no price is known: its calls are unpriced"
    if figures and figures.context and entry and entry.context and entry.context != figures.context.value:
        yield f"context published as {figures.context.value:,} tokens ({figures.context.source.name})"
    for kind, facts in (("score", figures.scores), ("speed", figures.speed)) if figures else ():
        for name, fact in facts.items():
            if fact.note:
                yield f"{kind} {name}: {fact.note}"
