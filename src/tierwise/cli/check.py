"""`tierwise check`: is this configuration right, and does each provider answer?"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from ..config import DEFAULT_FILE, LOOPBACK, Settings, load
from ..config.rows import ConfigFile
from ..config.strict import decode, parse, read_text
from ..errors import ConfigError, TierwiseError
from ..ledger.location import database_path, is_shared, require_postgres
from ..money import usd_text
from ..nouns import Provider
from .check_live import Heard, ask_all

EXAMPLE = """\b
Examples:
  export ANTHROPIC_API_KEY=none  # or have a tierwise.toml here
  tierwise check
  tierwise check --json
"""
_UNSET = re.compile(r"the environment variable (\S+) is not set")
# Stands for a secret that is missing, so that the rest can be looked at. It is sent nowhere.
_MISSING = "missing"


class Checked(Struct):
    """What a configuration is found to be. `settings` None: the errors leave nothing to show."""

    errors: list[TierwiseError]
    settings: Settings | None = None
    heard: tuple[Heard, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing is wrong, and every provider that was asked answered."""
        return not self.errors and all(each.ok for each in self.heard)


@click.command(epilog=EXAMPLE)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="tierwise.toml; default: ./tierwise.toml if there is one, else the environment.",
)
@click.option("--db", metavar="URL", help="Taken like every command does; not needed here.")
@click.option("--live", is_flag=True, help="Ask each provider for one token. This costs money.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, config: Path | None, db: str | None, live: bool, as_json: bool) -> None:
    """Say what a configuration comes to, or everything that is wrong with it. Exits 0 or 1.

    Reads what `serve` would read: providers and whether their secrets are there, tiers, tasks, notes. Nothing
    is sent anywhere without --live.
    """
    found = checked(config, os.environ)
    if live and found.settings is not None and not found.errors:
        found.heard = asyncio.run(ask_all(found.settings))
    if as_json:
        click.echo(json.dumps(as_object(found), indent=2, ensure_ascii=False))
    else:
        show(found)
    if not found.ok:
        ctx.exit(1)


def checked(config: Path | None, environ: Mapping[str, str]) -> Checked:
    """The configuration and what is wrong with it: one error per row of the file, and every missing secret.

    Raises nothing.
    """
    errors: list[TierwiseError] = []
    path = config or _file(environ)
    if path is not None:
        try:
            errors += _rows(parse(read_text(path), path.name), path.name)
        except ConfigError as error:
            return Checked([error])
    if errors:
        return Checked(errors)
    present = dict(environ)
    while True:
        try:
            settings = load(path, present)
            return Checked([*errors, *_at_the_start(settings)], settings)
        except ConfigError as error:
            unset = _UNSET.search(error.message)
            filled = [name for name in present if name not in environ]
            if unset and any(f"{name!r}" in error.hint for name in filled):  # the nearest is not set either
                error = ConfigError(error.message, f"Set {unset[1]}.", error.param)
            errors.append(error)
            if unset is None or present.get(unset[1]) == _MISSING:
                return Checked(errors)
            present[unset[1]] = _MISSING


def _at_the_start(settings: Settings) -> Iterator[TierwiseError]:
    """For what else `serve` would refuse to start, were nothing said on its command line."""
    server, name = settings.server, "tierwise.toml" if settings.path is None else settings.path.name
    for key, host in (("host", server.host), ("admin_host", server.admin_host)):
        if host not in LOOPBACK and settings.secrets.admin is None:
            hint = 'Set [server] admin_secret = "env:TIERWISE_ADMIN_SECRET", or listen on 127.0.0.1.'
            yield ConfigError(f"{name}: server.{key} is {host}, which needs an admin secret.", hint)
    if server.port == server.admin_port != 0 and server.host == server.admin_host:
        yield ConfigError(
            f"{name}: server.port and server.admin_port are both {server.port}.", "Give each its own."
        )
    try:
        require_postgres() if is_shared(server.db) else database_path(server.db)
    except TierwiseError as error:
        yield ConfigError(f"{name}: server.db: {error.message}", error.hint)
    if server.redis is not None and not server.redis.startswith(("redis://", "rediss://", "unix://")):
        hint = "Write it as redis://HOST:6379/0 or rediss://…."
        yield ConfigError(f"{name}: server.redis cannot be read.", hint)


def _file(environ: Mapping[str, str]) -> Path | None:
    named = environ.get("TIERWISE_CONFIG")
    if named:
        return Path(named)
    return Path(DEFAULT_FILE) if Path(DEFAULT_FILE).exists() else None


def _rows(tables: Mapping[str, Any], name: str) -> list[TierwiseError]:
    """What is wrong with the form of the file, each row and task looked at by itself."""
    errors: list[TierwiseError] = []
    for key, value in tables.items():
        pieces: list[Any] = [value]
        if isinstance(value, list):
            pieces = [[row] for row in value]
        elif key == "task" and isinstance(value, dict) and value:
            pieces = [{task: row} for task, row in value.items()]
        for number, piece in enumerate(pieces):
            try:
                decode({key: piece}, ConfigFile, name)
            except ConfigError as error:
                place = f"{key}[{number}]" if isinstance(value, list) else key
                message = error.message.replace(f"{key}[0]", place)
                errors.append(ConfigError(message, error.hint, error.param))
    return errors


def as_object(found: Checked) -> dict[str, Any]:
    """Everything as JSON values; None where it is not known."""
    settings = found.settings
    answer: dict[str, Any] = {
        "ok": found.ok,
        "file": str(settings.path) if settings and settings.path else None,
        "errors": [{"message": each.message, "hint": each.hint or None} for each in found.errors],
    }
    if settings is not None:
        catalog, policy = settings.catalog, settings.policy
        answer |= {
            "providers": [_provider(each, settings) for each in catalog.providers.values()],
            "ladder": {"tiers": list(catalog.ladder.tiers), "reference": catalog.ladder.reference or None},
            "tiers": [
                {"name": each.name, "model": each.model, "beside": list(each.beside)}
                for each in catalog.tiers.values()
            ],
            "tasks": [
                {"name": rule.task, "tiers": list(rule.tiers), "evidence": rule.evidence}
                for rule in policy.rules.values()
            ],
            "unknown_tasks": policy.safe_middle or None,
            "notes": _notes(settings),
        }
    if found.heard:
        answer["live"] = [msgspec.to_builtins(each) | {"ok": each.ok} for each in found.heard]
    return answer


def _provider(provider: Provider, settings: Settings) -> dict[str, Any]:
    return {
        "name": provider.name,
        "dialect": provider.dialect,
        "base_url": provider.base_url,
        "key": provider.key,
        "models": list(provider.models),
        "known_models": sum(each.provider == provider.name for each in settings.catalog.models.values()),
    }


def show(found: Checked) -> None:
    """Prints what was found, 80 columns wide where names allow it."""
    for error in found.errors:
        click.echo(f"wrong     {error.sentence()}")
    settings = found.settings
    if settings is not None:
        _show_settings(settings)
    for heard in found.heard:
        click.echo(_live(heard))
    words = "right" if found.ok else "not right"
    place = str(settings.path) if settings and settings.path else "the configuration"
    nothing = found.ok and settings is not None and not settings.catalog.providers
    note = ", but nothing is served: there is no provider" if nothing else ""
    note = note if found.ok or not found.errors else f": {_count(found.errors)}"
    click.echo(f"{place} is {words}{note}")


def _show_settings(settings: Settings) -> None:
    catalog, policy = settings.catalog, settings.policy
    for provider in catalog.providers.values():
        count = len(provider.models)
        serves = f"{count} model{'s' if count > 1 else ''}" if count else "any model"
        secret = provider.key or "no key"
        click.echo(
            f"provider  {provider.name}: {provider.dialect} at {provider.base_url}, {secret}, {serves}"
        )
    for name in [
        *catalog.ladder.tiers,
        *(each for each in catalog.tiers if each not in catalog.ladder.tiers),
    ]:
        mark = " (reference)" if name == catalog.ladder.reference else ""
        tier = catalog.tiers[name]
        click.echo(f"tier      {name}: {tier.model}{mark}{''.join(f', else {each}' for each in tier.beside)}")
    for rule in policy.rules.values():
        click.echo(f"task      {rule.task}: {', '.join(rule.tiers)}; {rule.evidence}")
    if policy.safe_middle:
        click.echo(f"task      anything else: {policy.safe_middle}")
    for note in _notes(settings):
        click.echo(f"note      {note}")


def _notes(settings: Settings) -> list[str]:
    """What `serve` would say of it at the start."""
    notes = list(settings.notes)
    if any(task.shadow_share > 0 for task in settings.policy.tasks.values()):
        from ..config.shadowfile import read_shadow
        from ..gateway.comparing.shadow import not_shadowed
        from ..gateway.snapshot import Snapshot

        notes += not_shadowed(Snapshot(settings), read_shadow(settings.policy_path))
    return notes


def _live(heard: Heard) -> str:
    if not heard.ok:
        return f"live      {heard.provider}: {heard.error}"
    tokens = f"{heard.input} + {heard.output} tokens" if heard.input is not None else "usage not reported"
    cost = "price unknown" if heard.cost_pico is None else usd_text(heard.cost_pico)
    return f"live      {heard.provider}: {heard.model} answered in {heard.latency_ms} ms, {tokens}, {cost}"


def _count(errors: list[TierwiseError]) -> str:
    return "1 thing is wrong" if len(errors) == 1 else f"{len(errors)} things are wrong"
