"""The built-in facts: published.json (prices, scores, speed, workloads) and abilities.json, each fact with
its source.
"""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from ..money import usd_per_million_to_pico
from ..nouns import Abilities, Fact, Price, Source


class _FactRow(Struct):
    value: float | int
    unit: str
    source: str
    note: str = ""


class _PriceRow(Struct):
    input: str
    output: str
    source: str
    cache_read: str | None = None
    cache_write_5m: str | None = None
    cache_write_1h: str | None = None
    batch: str = "1/2"


class _ModelRow(Struct):
    id: str
    price: _PriceRow
    tier: str = ""
    context: _FactRow | None = None
    abilities: dict[str, Any] = {}
    scores: dict[str, _FactRow] = {}
    speed: dict[str, _FactRow] = {}


class _SentAs(Struct):
    ids: dict[str, dict[str, str]]
    note: str
    source: str


class WorkloadRow(Struct, frozen=True):
    """A published workload: calls a day and tokens of each."""

    name: str
    calls_per_day: int
    input: int
    output: int
    source: str


class _File(Struct):
    sources: dict[str, Source]
    models: list[_ModelRow]
    sent_as: _SentAs
    workloads: list[WorkloadRow]
    claims: dict[str, _FactRow]


class _FamilyRow(Struct):
    family: str
    match: str
    sources: list[str]
    abilities: Abilities


class _AbilitiesFile(Struct):
    sources: dict[str, Source]
    families: list[_FamilyRow]


class Published(Struct, frozen=True):
    """What is published of one model. `tier` is the built-in tier it stands for, "" for none."""

    id: str
    price: Price
    tier: str
    context: Fact | None
    scores: dict[str, Fact]
    speed: dict[str, Fact]


class PublishedFacts(Struct, frozen=True):
    """published.json: models by id, the vendors' own ids of the built-in tiers by base URL, workloads and
    claims.
    """

    models: dict[str, Published]
    sent_as: dict[str, dict[str, str]]
    workloads: tuple[WorkloadRow, ...]
    claims: dict[str, Fact]
    sources: dict[str, Source]

    def find(self, model_id: str) -> Published | None:
        """By id as published, with or without the vendor's prefix, with dashes for points; never by a part of
        it.
        """
        wanted = spelled(model_id)
        for id_, model in self.models.items():
            if wanted in (spelled(id_), spelled(id_.partition("/")[2])):
                return model
        return None

    def tiers(self) -> dict[str, str]:
        """Built-in tier → published model id, cheap to dear."""
        return {model.tier: id_ for id_, model in self.models.items() if model.tier}


@functools.cache
def published() -> PublishedFacts:
    """The published figures that come with tierwise."""
    file = msgspec.json.decode(_read("published.json"), type=_File)
    return PublishedFacts(
        models={row.id: _model(row, file.sources) for row in file.models},
        sent_as=file.sent_as.ids,
        workloads=tuple(file.workloads),
        claims={name: _fact(row, file.sources) for name, row in file.claims.items()},
        sources=file.sources,
    )


class Family(Struct, frozen=True):
    """A model family's Abilities, and where they are from."""

    name: str
    abilities: Abilities
    sources: tuple[Source, ...]


def family_of(model_id: str) -> Family | None:
    """The family a model id belongs to, None: unknown. Vendor prefixes and points in versions do not
    matter.
    """
    bare = spelled(model_id).rpartition("/")[2]
    for pattern, family in _families():
        if pattern.search(bare):
            return family
    return None


@functools.cache
def _families() -> tuple[tuple[re.Pattern[str], Family], ...]:
    file = msgspec.json.decode(_read("abilities.json"), type=_AbilitiesFile)
    return tuple(
        (
            re.compile(row.match),
            Family(row.family, row.abilities, tuple(file.sources[name] for name in row.sources)),
        )
        for row in file.families
    )


def spelled(model_id: str) -> str:
    """An id in one spelling: lower case, versions with dashes (`claude-opus-4.7` and `claude-opus-4-7` are
    one).
    """
    return re.sub(r"(?<=\d)\.(?=\d)", "-", model_id.lower())


def _read(name: str) -> bytes:
    return Path(__file__).with_name(name).read_bytes()


def _model(row: _ModelRow, sources: dict[str, Source]) -> Published:
    return Published(
        id=row.id,
        price=_price(row, sources),
        tier=row.tier,
        context=_fact(row.context, sources) if row.context else None,
        scores={name: _fact(fact, sources) for name, fact in row.scores.items()},
        speed={name: _fact(fact, sources) for name, fact in row.speed.items()},
    )


def _fact(row: _FactRow, sources: dict[str, Source]) -> Fact:
    return Fact(row.value, row.unit, sources[row.source], row.note)


def _price(row: _ModelRow, sources: dict[str, Source]) -> Price:
    price, source = row.price, sources[row.price.source]
    batch = Fraction(price.batch)
    return Price(
        id=f"published:{row.id}@{source.date}",
        source=source,
        input=_pico(price.input),
        cache_read=_pico(price.cache_read),
        cache_write_5m=_pico(price.cache_write_5m),
        cache_write_1h=_pico(price.cache_write_1h),
        output=_pico(price.output),
        batch=(batch.numerator, batch.denominator),
    )


def _pico(usd_per_million: str | None) -> int | None:
    return None if usd_per_million is None else usd_per_million_to_pico(usd_per_million)
