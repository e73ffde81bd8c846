"""What this gateway can serve, as each dialect's clients expect a list of models."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tierwise.clock import now_us, rfc3339
from tierwise.config import model_for
from tierwise.costing import price_at
from tierwise.errors import UnknownModel
from tierwise.money import pico_to_usd
from tierwise.nouns import DialectName, Model

from .snapshot import Snapshot

_BUCKETS = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write_5m": "cache_write_5m",
    "input_cache_write_1h": "cache_write_1h",
}


def models(snapshot: Snapshot, dialect: DialectName, one: str) -> bytes:
    """JSON of all models (`one` empty) or of one, in the shape of `dialect`. Raises UnknownModel."""
    rows = entries(snapshot)
    if one:
        rows = {name: model for name, model in rows.items() if name == one}
        if not rows:
            known = model_for(snapshot.catalog, one)
            if known is None:
                raise UnknownModel(f"No model {one!r} is served here.", "See GET /v1/models.", "model")
            rows = {one: known}
    shape = {"anthropic_messages": _anthropic, "gemini": _gemini}.get(dialect, _openrouter)
    shaped = [shape(name, model) for name, model in rows.items()]
    if one:
        return msgspec.json.encode(shaped[0])
    if dialect == "anthropic_messages":
        ids = [row["id"] for row in shaped]
        page = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None, "has_more": False}
        return msgspec.json.encode({"data": shaped, **page})
    if dialect == "gemini":
        return msgspec.json.encode({"models": shaped})
    return msgspec.json.encode({"object": "list", "data": shaped})


def entries(snapshot: Snapshot) -> dict[str, Model | None]:
    """Every name a caller may put in `model`: models, tiers, tasks, and `auto` (these have no Model of
    their own)."""
    catalog = snapshot.catalog
    rows: dict[str, Model | None] = dict(catalog.models)
    for tier in catalog.tiers.values():
        rows[f"tier/{tier.name}"] = catalog.models.get(tier.model)
    rows |= dict.fromkeys(f"task/{task}" for task in snapshot.policy.tasks)
    rows["auto"] = None
    return rows


def _openrouter(name: str, model: Model | None) -> dict[str, Any]:
    row: dict[str, Any] = {"id": name, "object": "model", "created": 0, "owned_by": "tierwise", "name": name}
    if model is None:
        return row
    able = model.abilities
    modalities = ["text", *(["image"] if able.vision else []), *(["file"] if able.documents else [])]
    row |= {
        "owned_by": model.provider,
        "canonical_slug": model.id,
        "context_length": able.context,
        "architecture": {"input_modalities": modalities, "output_modalities": ["text"]},
        "pricing": _pricing(model),
        "supported_parameters": _parameters(model),
        "top_provider": {"context_length": able.context, "max_completion_tokens": able.max_output},
    }
    return row


def _pricing(model: Model) -> dict[str, str]:
    """USD per token as exact decimal strings; what is unknown is left out."""
    price = price_at(model.prices, rfc3339(now_us())[:10])
    if price is None:
        return {}
    known = {name: getattr(price, bucket) for name, bucket in _BUCKETS.items()}
    return {name: _plain(pico_to_usd(pico)) for name, pico in known.items() if pico is not None}


def _plain(usd: Decimal) -> str:
    return format(usd.normalize(), "f")


def _parameters(model: Model) -> list[str]:
    able = model.abilities
    names = ["max_tokens", "stop"]
    names += ["temperature", "top_p"] if able.sampling is not False else []
    names += ["tools", "tool_choice"] if able.tools is not False else []
    names += ["response_format", "structured_outputs"] if able.structured_output else []
    names += ["reasoning"] if able.thinking else []
    return names


def _anthropic(name: str, model: Model | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "1970-01-01T00:00:00Z",
        "lifecycle": "active",
    }
    if model is not None and model.abilities.context is not None:
        row["max_input_tokens"] = model.abilities.context
    if model is not None and model.abilities.max_output is not None:
        row["max_tokens"] = model.abilities.max_output
    return row


def _gemini(name: str, model: Model | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": f"models/{name}",
        "displayName": name,
        "supportedGenerationMethods": ["generateContent", "streamGenerateContent", "countTokens"],
    }
    if model is not None and model.abilities.context is not None:
        row["inputTokenLimit"] = model.abilities.context
    if model is not None and model.abilities.max_output is not None:
        row["outputTokenLimit"] = model.abilities.max_output
    return row
