"""Providers and their secrets: from the environment alone, or from `[[provider]]` rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from ..errors import ConfigError
from ..nouns import DialectName, Provider
from ..nouns.origin import Origin
from .rows import ProviderRow
from .settings import LOOPBACK
from .strict import checked_name, nearest


class Vendor(Struct, frozen=True):
    """A provider that needs no configuration: its key's variable says that it is there, and NAME_BASE_URL
    where.
    """

    name: str
    variable: str
    dialect: DialectName
    base_url: str


# `base_url` is what the vendor's own SDK takes.
VENDORS = (
    Vendor("anthropic", "ANTHROPIC", "anthropic_messages", "https://api.anthropic.com"),
    Vendor("openai", "OPENAI", "openai_chat", "https://api.openai.com/v1"),
    Vendor("google", "GEMINI", "gemini", "https://generativelanguage.googleapis.com"),
    Vendor("openrouter", "OPENROUTER", "openai_chat", "https://openrouter.ai/api/v1"),
    Vendor("ofox", "OFOX", "openai_chat", "https://api.ofox.ai/v1"),
)

_PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_TIMES = ("connect_timeout_s", "first_byte_timeout_s", "idle_timeout_s")
# What SDKs append to a base URL; one that ends so was copied as a whole.
ENDPOINTS = ("/chat/completions", "/responses", "/messages", "/embeddings")
_FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade", "te", "trailer"}
)


def from_environment(environ: Mapping[str, str]) -> tuple[list[Provider], dict[str, str]]:
    """The providers whose key is set, in a fixed order, and their secrets by name."""
    providers, secrets = [], {}
    for vendor in VENDORS:
        variable = f"{vendor.variable}_API_KEY"
        secret = environ.get(variable, "").strip()
        if not secret:
            continue
        url = environ.get(f"{vendor.variable}_BASE_URL", "").strip() or vendor.base_url
        _checked_base(url, f"{vendor.variable}_BASE_URL")
        providers.append(Provider(vendor.name, vendor.dialect, url.rstrip("/"), f"env:{variable}"))
        secrets[vendor.name] = _sendable(secret, f"the variable {variable}")
    return providers, secrets


def from_rows(
    rows: Sequence[ProviderRow], environ: Mapping[str, str], folder: Path, name: str
) -> tuple[list[Provider], dict[str, str]]:
    """The providers of a configuration, and their secrets by name. Raises ConfigError naming the row."""
    providers: list[Provider] = []
    secrets: dict[str, str] = {}
    for number, row in enumerate(rows):
        where = f"{name}: provider[{number}]" + (f" ({row.name})" if row.name else "")
        checked_name(row.name, where)
        if "/" in row.name or " " in row.name:
            raise ConfigError(
                f"{where}: {row.name!r} is no name for a provider.", "Use letters, digits, - and _."
            )
        if row.name in {provider.name for provider in providers} or row.name in ("tier", "task"):
            raise ConfigError(
                f"{where}: the name {row.name!r} is taken.", "Give every provider its own name."
            )
        _checked_base(row.base_url, f"{where}: base_url")
        providers.append(_provider(row, where))
        if row.key is not None:
            secrets[row.name] = secret_of(row.key, environ, folder, f"{where}: key")
    return providers, secrets


def proxy_notes(providers: Iterable[Provider], environ: Mapping[str, str]) -> list[str]:
    """What there is to say of a proxy that the environment names, which nothing here goes through."""
    named = [name for name in _PROXIES if environ.get(name)]
    if not named or all(urlsplit(each.base_url).hostname in LOOPBACK for each in providers):
        return []
    return [
        f"{named[0]} is set and not used: providers are called directly. Where only a proxy gets out, let "
        "base_url name one that forwards to the provider"
    ]


def secret_of(key: str, environ: Mapping[str, str], folder: Path, where: str) -> str:
    """The secret that `env:NAME` or `file:/path` stands for. Raises ConfigError; no message shows a
    secret.
    """
    kind, _, rest = key.partition(":")
    if kind == "env" and rest:
        secret = environ.get(rest, "").strip()
        if not secret:
            near = nearest(rest, [name for name in environ if name.endswith(("KEY", "TOKEN", "SECRET"))])
            near = near if near.startswith("Did") else ""
            empty = ": it is empty" if rest in environ else ""
            raise ConfigError(
                f"{where}: the environment variable {rest} is not set{empty}.", f"Set {rest}. {near}".strip()
            )
        return _sendable(secret, f"{where}: the variable {rest}")
    if kind == "file" and rest:
        path = folder / rest
        try:
            secret = path.read_text(encoding="utf-8-sig").strip()
        except OSError as error:
            raise ConfigError(
                f"{where}: {path} cannot be read: {error.strerror}.",
                "It must be a file that this user may read.",
            ) from None
        except ValueError:  # bytes that are no UTF-8, a NUL in the path
            raise ConfigError(f"{where}: {path} holds no text.", "Put the secret into it.") from None
        if not secret:
            raise ConfigError(f"{where}: the file {path} is empty.", "Put the secret into it.")
        return _sendable(secret, f"{where}: the file {path}")
    raise ConfigError(
        f"{where} must say where the secret is, not what it is.",
        'Write it as "env:NAME" or "file:/path".',
    )


def checked_url(url: str, where: str) -> None:
    """Raises ConfigError unless `url` is http or https with a host, and without credentials, query or
    fragment.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{where} is not a URL.", "Write it as https://host/path.") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{where} holds a user name or password.", 'Leave it out; use key = "env:NAME".')
    if parts.scheme not in ("http", "https") or not host:
        raise ConfigError(f"{where} is {url!r}, not an http or https URL.", "Write it as https://host/path.")
    if parts.query or parts.fragment or any(c.isspace() or not c.isprintable() for c in url):
        raise ConfigError(f"{where} is {url!r}.", "Leave out blanks, the query and the fragment.")
    try:
        Origin.parse(url)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", error.hint) from None


def _checked_base(url: str, where: str) -> None:
    """As `checked_url`; also refuses the address of an endpoint, below which nothing is."""
    checked_url(url, where)
    endpoint = next((each for each in ENDPOINTS if url.rstrip("/").endswith(each)), None)
    if endpoint is not None:
        raise ConfigError(
            f"{where} ends with {endpoint}, which is appended to it.",
            f"Write {url.rstrip('/').removesuffix(endpoint)!r}.",
        )


def checked_header(header: str, value: str, where: str) -> None:
    """Raises ConfigError unless a request can carry that header with that value."""
    if header.lower() in _FRAMING or not _is_token(header) or not _is_line(value):
        raise ConfigError(f"{where}: the header {header!r} cannot be set.", "Leave it out or correct it.")


def _provider(row: ProviderRow, where: str) -> Provider:
    for field in _TIMES:
        if not 0 < getattr(row, field) < 86_400:
            raise ConfigError(
                f"{where}: {field} is {getattr(row, field)}.",
                "Write seconds, more than 0 and less than a day.",
            )
    if row.max_concurrent is not None and row.max_concurrent < 1:
        raise ConfigError(
            f"{where}: max_concurrent is {row.max_concurrent}.", "Write 1 or more, or leave it out."
        )
    twice = {model for model in row.models if row.models.count(model) > 1}
    if twice:
        raise ConfigError(f"{where}: models has {sorted(twice)[0]!r} twice.", "List each once.")
    if not all(row.models):
        raise ConfigError(f"{where}: models has an empty id.", "Leave it out; no `models`: any id.")
    for header, value in row.headers.items():
        checked_header(header, value, where)
    if row.api_version is not None and not (row.api_version.strip() and _is_line(row.api_version)):
        raise ConfigError(
            f"{where}: api_version is {row.api_version!r}.", "Write a version, or leave it out."
        )
    return Provider(
        name=row.name,
        dialect=row.dialect,
        base_url=row.base_url.rstrip("/"),
        key=row.key,
        models=tuple(row.models),
        max_concurrent=row.max_concurrent,
        connect_timeout_s=row.connect_timeout_s,
        first_byte_timeout_s=row.first_byte_timeout_s,
        idle_timeout_s=row.idle_timeout_s,
        api_version=row.api_version,
        headers=row.headers,
    )


def _sendable(secret: str, what: str) -> str:
    if not _is_line(secret):
        raise ConfigError(f"{what} holds a line break or a character no header can carry.", "Set it again.")
    return secret


def _is_line(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_token(text: str) -> bool:
    return bool(text) and all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in text)
