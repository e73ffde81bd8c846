"""`[alerts]`: which thresholds of budgets are told, and where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError
from ..nouns.origin import Origin
from .providers import secret_of
from .rows import AlertsRow
from .settings import LOOPBACK, Alerts


def alerts_of(row: AlertsRow, name: str) -> Alerts:
    """The thresholds, ascending, and the webhook's URL. Raises ConfigError."""
    for percent in row.thresholds:
        if not 1 <= percent <= 1000:
            raise ConfigError(
                f"{name}: alerts.thresholds has {percent}.", "Write percents of a cap, such as 80.", "alerts"
            )
    if row.webhook is not None:
        _check(row.webhook, f"{name}: alerts.webhook")
    if row.secret is not None and row.webhook is None:
        raise ConfigError(
            f"{name}: alerts.secret signs nothing.", "Give alerts.webhook, or leave the secret out."
        )
    return Alerts(tuple(sorted(set(row.thresholds))), row.webhook or "")


def webhook_secret(row: AlertsRow, environ: Mapping[str, str], folder: Path, name: str) -> str | None:
    """What webhooks are signed with, None for nothing. Raises ConfigError."""
    return secret_of(row.secret, environ, folder, f"{name}: alerts.secret") if row.secret else None


def _check(url: str, where: str) -> None:
    try:
        origin, _ = Origin.parse(url)
    except ConfigError:
        raise ConfigError(
            f"{where} is no URL that can be used.",
            "Write https://HOST/PATH, without user, query or fragment.",
        ) from None
    if origin.scheme != "https" and origin.host not in LOOPBACK:
        raise ConfigError(
            f"{where} is not https.",
            "What is spent is nobody else's to read: use https, or a loopback address.",
        )
