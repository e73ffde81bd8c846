"""Where an upstream lives: scheme, host and port of a base URL."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import msgspec

from tierwise.errors import ConfigError

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")  # urlsplit would drop some of them
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*")


class Origin(msgspec.Struct, frozen=True):
    """`host` is without brackets, in lower case and ASCII; connections are pooled per Origin."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> tuple[Origin, str]:
        """The Origin of a base URL and its path prefix, which has no trailing slash and may be empty.

        ConfigError for anything but http and https, and for user names, queries and fragments in the URL: a
        credential belongs in `key`, where it is masked.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refused(url, "is not a URL") from None
        if "@" in parts.netloc:
            raise ConfigError("A base URL contains a user name.", "Put the credential in `key`.", "base_url")
        if parts.scheme not in _PORTS:
            raise _refused(url, "does not begin with http:// or https://")
        if "?" in url or "#" in url:
            raise _refused(url, "has a query or a fragment")
        if port == 0 or parts.netloc.endswith(":"):
            raise _refused(url, "has no usable port")
        if not _PATH.fullmatch(parts.path) or _CONTROL.search(url):
            raise _refused(url, "has characters that a URL cannot have")
        host = _host(url, parts.hostname or "", bracketed=parts.netloc.startswith("["))
        return cls(parts.scheme, host, port or _PORTS[parts.scheme]), parts.path.rstrip("/")

    def authority(self) -> bytes:
        """The value of the Host header; the port only where it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}").encode("ascii")


def _host(url: str, host: str, bracketed: bool) -> str:
    if bracketed and "%" not in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError as error:
            raise _refused(url, "has a bad IPv6 address") from error
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise _refused(url, "has a bad host name") from error
    if not _HOST.fullmatch(host):
        raise _refused(url, "has no usable host name")
    return host


def _refused(url: str, why: str) -> ConfigError:
    shown = "…" if "@" in url else repr(url)
    return ConfigError(f"The base URL {shown} {why}.", "Write it like https://host:port/prefix.", "base_url")
