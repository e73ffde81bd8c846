"""Provider, Model, Price, Tier, Ladder, Catalog: who can answer, with what, at what price, and how we
know."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from .ask import DialectName


class Source(Struct, frozen=True):
    """Where a fact comes from and when it was true: `name` (a publication, library or file), `date` as
    YYYY-MM-DD."""

    name: str
    date: str


class Fact(Struct, frozen=True):
    """One published figure. `note` is `inconsistent` or `unusual` with the reason where arithmetic
    disagrees with it."""

    value: float | int | str
    unit: str
    source: Source
    note: str = ""


class PriceStep(Struct, frozen=True):
    """Prices, pico-dollars per token, of a call whose prompt has more than `above` tokens. None: unknown."""

    above: int
    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None


class Price(Struct, frozen=True):
    """What a Model charges from `since` (inclusive) to `until` (exclusive, None: open), YYYY-MM-DD.

    Buckets in pico-dollars per token; None is unknown, never 0. `steps` are long-context tiers, ascending
    by `above`: a prompt larger than `above` is charged wholly at that step's prices. `extra` prices other
    units (see Usage.extra), pico-dollars a unit. `batch` (None: no batch price is known) and `service_tiers`
    are exact ratios (numerator, denominator) on every bucket. A key of `service_tiers` is a tier's name, or
    `TIER/bucket` and `TIER/bucket>ABOVE` where one bucket, or one above a long-context step, has a ratio of
    its own; `batch/…` likewise.
    """

    id: str
    source: Source
    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    steps: tuple[PriceStep, ...] = ()
    extra: dict[str, int] = {}
    batch: tuple[int, int] | None = (1, 2)
    service_tiers: dict[str, tuple[int, int]] = {}
    since: str | None = None
    until: str | None = None


class Abilities(Struct, frozen=True):
    """What a Model can do. None is unknown, and unknown never excludes a tier; False does."""

    vision: bool | None = None
    documents: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    chat_tools: bool | None = None
    """Whether tools are taken over chat completions, where the Provider speaks that."""
    forced_tools: bool | None = None
    structured_output: bool | None = None
    schema_beside_tools: bool | None = None
    """Whether a schema for the answer is taken in a request that also has tools."""
    prompt_cache: bool | None = None
    context: int | None = None
    """Tokens of prompt and answer together."""
    max_output: int | None = None
    """Tokens."""
    sampling: bool | None = None
    """Whether temperature, top_p and top_k are taken; some 2026 models answer 400 to them."""
    prefill: bool | None = None
    mid_system: bool | None = None
    developer_role: bool | None = None
    thinking: tuple[str, ...] | None = None
    """Thinking modes taken: `adaptive`, `enabled`, `disabled`."""
    efforts: tuple[str, ...] | None = None
    cache_minimum: int | None = None
    """Least tokens of a cacheable prefix."""
    cache_lifetime_s: int | None = None
    """Seconds that a prefix is kept which was written for no longer; None: 300, as Anthropic's."""


class Model(Struct, frozen=True):
    """One thing at a Provider that can answer. `id` is what is sent upstream; `name` is `provider/model` as
    callers say it."""

    name: str
    provider: str
    id: str
    abilities: Abilities = Abilities()
    prices: tuple[Price, ...] = ()
    scores: dict[str, Fact] = {}
    speed: dict[str, Fact] = {}
    """`ttft_ms`, `tokens_per_s`, `p99_ms_1k`."""
    notes: tuple[str, ...] = ()


class Provider(Struct, frozen=True):
    """A place that answers. `base_url` is what the vendor's own SDK takes. `key` names the secret
    (`env:NAME`), never holds it."""

    name: str
    dialect: DialectName
    base_url: str
    key: str | None = None
    models: tuple[str, ...] = ()
    """Model ids served; empty: any id is passed on."""
    max_concurrent: int | None = None
    connect_timeout_s: float = 10.0
    first_byte_timeout_s: float = 600.0
    idle_timeout_s: float = 300.0
    api_version: str | None = None
    headers: dict[str, str] = {}


class Tier(Struct, frozen=True):
    """A Model with fixed settings and a name. `model` is a Model's name; `settings` are body fields laid
    over the request."""

    name: str
    model: str
    settings: dict[str, Any] = {}
    beside: tuple[str, ...] = ()
    """The same Model at other Providers, tried when it fails. None where it was named with its Provider."""


class Ladder(Struct, frozen=True):
    """Tiers' names in order of expected cost; `reference` is the one quality is compared against. `guessed`:
    nobody stated it, and some prices are unknown.
    """

    tiers: tuple[str, ...]
    reference: str
    guessed: bool = False


class Catalog(Struct, frozen=True):
    """Everything that can be served and what is known of it, immutable; a reload builds another."""

    providers: dict[str, Provider]
    models: dict[str, Model]
    tiers: dict[str, Tier]
    ladder: Ladder
    aliases: dict[str, str] = field(default_factory=dict)
    """Other names → Model name."""
    beside: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names → the Models of that name at further Providers, tried when the first fails."""
