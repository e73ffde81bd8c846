"""load: a tierwise.toml, or the environment alone, to Settings."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import structs

from ..clock import now_us, rfc3339
from ..errors import ConfigError
from ..nouns import Catalog, Ladder, Model, Provider, Tier
from .alerts import alerts_of, webhook_secret
from .batches import batches_of
from .listening import server_of
from .models import Own, aliases_of, is_reserved, model_for, models_of, same_elsewhere, tier_models
from .policyfile import merge_policy, read_policy
from .prices import own_prices
from .prior import BUILT_IN, ladder_of, policy_of
from .providers import (
    VENDORS,
    checked_header,
    checked_url,
    from_environment,
    from_rows,
    proxy_notes,
    secret_of,
)
from .rows import (
    EMBEDDING_DIALECTS,
    EMBEDDING_FUNCTION,
    CacheRow,
    ConfigFile,
    ModelRow,
    TaskRow,
    TelemetryRow,
)
from .settings import Secrets, Settings, Telemetry
from .strict import checked_name, decode, nearest, parse, read_text

DEFAULT_FILE = "tierwise.toml"
_THINKING = ("adaptive", "enabled", "disabled")
# Body fields that say which model is billed, or that hold the request itself.
_NO_SETTINGS = frozenset(("model", "stream", "messages", "input", "contents", "provider"))


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings of the file at `path`; None: of TIERWISE_CONFIG, of ./tierwise.toml where there is one, else
    of `environ`.

    Relative paths in the file are relative to it. Raises ConfigError with the key's path and what to do; no
    message and no repr of the Settings shows a secret.
    """
    path = path or (Path(environ["TIERWISE_CONFIG"]) if environ.get("TIERWISE_CONFIG") else None)
    if path is None and Path(DEFAULT_FILE).exists():
        path = Path(DEFAULT_FILE)
    name, folder = (path.name, path.parent) if path else ("the environment", Path())
    file = decode(parse(read_text(path), name), ConfigFile, name) if path else ConfigFile()
    if file.provider:
        listed, secrets = from_rows(file.provider, environ, folder, name)
    else:
        listed, secrets = from_environment(environ)
    providers = {provider.name: provider for provider in listed}
    catalog, notes = _catalog(file, providers, name)
    today = rfc3339(now_us())[:10]
    rungs = ladder_of(catalog.tiers, catalog.models, file, name, today)
    catalog = structs.replace(catalog, ladder=rungs.ladder)
    policy = policy_of(rungs, file, catalog.tiers, name)
    policy_path = folder / _policy_file(file.default.policy, name)
    policy = merge_policy(policy, read_policy(policy_path, catalog.tiers, today, policy.tasks))
    admin = file.server.admin_secret
    return Settings(
        catalog=catalog,
        policy=policy,
        notes=(
            *notes,
            *rungs.notes,
            *_tier_notes(catalog),
            *_cache_notes(file),
            *proxy_notes(listed, environ),
        ),
        secrets=Secrets(
            secrets,
            None if admin is None else secret_of(admin, environ, folder, f"{name}: server.admin_secret"),
            _otlp_headers(file.telemetry, environ, folder, name),
            webhook_secret(file.alerts, environ, folder, name),
        ),
        server=server_of(file.server, name),
        telemetry=_telemetry(file.telemetry, name),
        alerts=alerts_of(file.alerts, name),
        path=path,
        policy_path=policy_path,
        stream_usage=frozenset(row.name for row in file.provider if row.stream_usage),
        batches=batches_of(file, listed, name),
        cache=_cache(file.cache, file.task.values(), catalog, name),
    )


def _policy_file(stated: str | None, name: str) -> str:
    """Where policy.toml lies, as written. Raises ConfigError where no file can be called so."""
    if stated is not None and (not stated.strip() or "\0" in stated):
        raise ConfigError(
            f"{name}: default.policy is {stated!r}.", "Write the path of a file, or leave it out."
        )
    return stated or "policy.toml"


def _catalog(file: ConfigFile, providers: Mapping[str, Provider], name: str) -> tuple[Catalog, list[str]]:
    """The Catalog without its ladder, and what there is to say of it."""
    own = Own(own_prices(file.price, name), _own_abilities(file.model, name))
    models = models_of(providers.values(), own)
    catalog = Catalog(
        providers=dict(providers),
        models=models,
        tiers={},
        ladder=Ladder((), ""),
        aliases=aliases_of(models, providers, {}),
    )
    elsewhere = same_elsewhere(models)
    tiers: dict[str, Tier] = {}
    for number, row in enumerate(file.tier):
        where = f"{name}: tier[{number}] ({row.name})"
        checked_name(row.name, where)
        if "/" in row.name or row.name in tiers:
            raise ConfigError(
                f"{where}: {row.name!r} is no new name for a tier.", "Give every tier its own name."
            )
        decided = sorted(_NO_SETTINGS & row.settings.keys())
        if decided:
            raise ConfigError(
                f"{where}: settings cannot hold {decided[0]!r}: the tier's model and the request decide it.",
                "Leave it out.",
            )
        wanted = row.model if row.model in models else file.alias.get(row.model, row.model)
        model = _served(catalog, wanted, where)
        named = wanted in models
        models.setdefault(model.name, model)
        others = () if named else elsewhere.get(model.name, ())
        if row.settings:  # they are in the words of one dialect
            dialect = providers[model.provider].dialect
            others = tuple(each for each in others if providers[models[each].provider].dialect == dialect)
        tiers[row.name] = Tier(row.name, model.name, _as_json(row.settings, where), others)
    if not file.tier:
        tiers = {
            tier: Tier(tier, model, beside=elsewhere.get(model, ()))
            for tier, model in tier_models(models).items()
        }
    called = {alias: _served(catalog, to, _alias(alias, name)) for alias, to in file.alias.items()}
    for model in called.values():
        models.setdefault(model.name, model)
    aliases = {alias: model.name for alias, model in called.items()}
    notes = [] if providers else [_no_provider()]
    priced = {each for model in models.values() for each in _names(model)}
    notes += [
        f"{name}: nothing served here is called {key!r}, so its price or abilities are not used"
        for key in own.names()
        if key not in priced
    ]
    aliases = aliases_of(models, providers, aliases)
    beside = {
        alias: elsewhere[model]
        for alias, model in aliases.items()
        if model in elsewhere and file.alias.get(alias) not in models
    }
    return structs.replace(catalog, tiers=tiers, aliases=aliases, beside=beside), notes


def _alias(alias: str, name: str) -> str:
    """Where an alias stands in the file. Raises ConfigError when it can never be asked for."""
    where = f"{name}: alias.{alias}"
    if is_reserved(alias):
        raise ConfigError(f"{where}: {alias!r} means something else already.", "Choose another name.")
    return where


def _served(catalog: Catalog, wanted: str, where: str) -> Model:
    model = model_for(catalog, wanted)
    if model is None:
        raise ConfigError(
            f"{where}: no provider here serves {wanted!r}.",
            nearest(wanted, [*catalog.models, *catalog.aliases]),
        )
    return model


def _names(model: Model) -> tuple[str, ...]:
    return model.name, model.id, model.id.rpartition("/")[2], model.name.partition("/")[2]


def _own_abilities(rows: list[ModelRow], name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.name in found:
            raise ConfigError(f"{name}: two [[model]] rows are called {row.name!r}.", "Keep one.")
        stated = {field: value for field, value in structs.asdict(row).items() if value is not None}
        del stated["name"]
        for field, value in stated.items():
            if isinstance(value, int) and not isinstance(value, bool) and value < 1:
                raise ConfigError(
                    f"{name}: model {row.name}: {field} is {value}.", "Write a positive number."
                )
        for mode in row.thinking or ():
            if mode not in _THINKING:
                raise ConfigError(
                    f"{name}: model {row.name}: thinking has {mode!r}.", nearest(mode, _THINKING)
                )
        found[row.name] = {key: tuple(v) if isinstance(v, list) else v for key, v in stated.items()}
    return found


def _telemetry(row: TelemetryRow, name: str) -> Telemetry:
    if row.otlp_endpoint is not None:
        checked_url(row.otlp_endpoint, f"{name}: telemetry.otlp_endpoint")
    if not row.service_name:
        raise ConfigError(f"{name}: telemetry.service_name is empty.", "Give it a name, or leave it out.")
    return Telemetry(row.otlp_endpoint or "", row.service_name)


def _otlp_headers(row: TelemetryRow, environ: Mapping[str, str], folder: Path, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for header, value in row.otlp_headers.items():
        if value.startswith(("env:", "file:")):
            value = secret_of(value, environ, folder, f"{name}: telemetry.otlp_headers.{header}")
        checked_header(header, value, f"{name}: telemetry.otlp_headers")
        found[header] = value
    return found


def _cache(row: CacheRow, tasks: Collection[TaskRow], catalog: Catalog, name: str) -> CacheRow:
    for field in ("ttl_s", "max_bytes", "max_answer_bytes"):
        if not 0 < getattr(row, field) < 2**48:
            raise ConfigError(f"{name}: cache.{field} is {getattr(row, field)}.", "Write a positive number.")
    if row.embedding is None and any(task.cache_similarity is not None for task in tasks):
        raise ConfigError(
            f"{name}: a task sets cache_similarity, and nothing makes vectors.", "Set [cache] embedding."
        )
    if row.embedding is not None and EMBEDDING_FUNCTION.fullmatch(row.embedding) is None:
        model = _served(catalog, row.embedding, f"{name}: cache.embedding")
        dialect = catalog.providers[model.provider].dialect
        if dialect not in EMBEDDING_DIALECTS:
            raise ConfigError(
                f"{name}: cache.embedding: {model.name} has no /v1/embeddings: it is spoken to in {dialect}.",
                "Name an embedding model of a provider that speaks an OpenAI dialect, or module:function.",
            )
    if not 0 <= row.wait_s < 86_400:
        raise ConfigError(
            f"{name}: cache.wait_s is {row.wait_s}.", "Write seconds, 0 or more and less than a day."
        )
    return row


def _tier_notes(catalog: Catalog) -> list[str]:
    notes = []
    if catalog.providers and not catalog.tiers:
        notes.append(
            f"no tier: the providers serve none of {', '.join(BUILT_IN)}; only models named by the caller "
            "are served. Add [[tier]] rows to tierwise.toml."
        )
    for tier in catalog.tiers.values():
        if not catalog.models[tier.model].prices:
            notes.append(f"tier {tier.name}: no price of {tier.model} is known, so its calls are unpriced")
    sent = [model for model in catalog.models.values() if model.name.partition("/")[2] != model.id]
    return [*notes, *(f"{model.name} is sent as {model.id}" for model in sent)]


def _cache_notes(file: ConfigFile) -> list[str]:
    """Tasks that say how their answers are kept, and keep none."""
    notes = []
    for name, task in file.task.items():
        kept = file.cache.on if task.cache is None else task.cache
        notes += [
            f"task {name}: no answer of it is kept, so that its {key} does nothing. "
            "Set its `cache = true`, or `[cache] on = true`."
            for key in ("cache_similarity", "cache_ttl_s")
            if getattr(task, key) is not None and not kept
        ]
    return notes


def _no_provider() -> str:
    variables = ", ".join(f"{vendor.variable}_API_KEY" for vendor in VENDORS)
    return f"no provider: set one of {variables}, or write a tierwise.toml with [[provider]] rows"


def _as_json(value: Any, where: str) -> Any:
    """Body fields as a request tells them: a Decimal would be written as a text. Raises ConfigError for what
    JSON has no number for."""
    if isinstance(value, dict):
        return {key: _as_json(inner, where) for key, inner in value.items()}
    if isinstance(value, list):
        return [_as_json(inner, where) for inner in value]
    if isinstance(value, Decimal) and not math.isfinite(float(value)):
        raise ConfigError(f"{where}: settings cannot hold {value}.", "Write a number, or leave it out.")
    return float(value) if isinstance(value, Decimal) else value
