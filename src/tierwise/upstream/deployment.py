"""Deployment: one Model at its Provider, with everything a call needs prepared once.

Building one resolves the price, the origin, the credential and the header block, so that an Attempt only
joins bytes.
"""

from __future__ import annotations

from tierwise.costing import PricedModel
from tierwise.dialects import registry
from tierwise.dialects.base import Dialect
from tierwise.http1 import Block, Origin, Request
from tierwise.nouns import Model, Provider

Header = tuple[bytes, bytes]

# What a client may send that never goes upstream: credentials, cookies, hop-by-hop, proxies' traces, framing.
_WITHHELD = frozenset(
    b"authorization x-api-key x-goog-api-key cookie proxy-authorization proxy-connection connection "
    b"keep-alive te trailer transfer-encoding upgrade host content-length content-type accept-encoding date "
    b"http2-settings expect forwarded via x-real-ip x-client-ip true-client-ip cf-connecting-ip "
    b"fly-client-ip api-key idempotency-key".split()
)
_WITHHELD_KINDS = (
    b"x-tierwise-",
    b"x-forwarded-",
    # Who the caller is, as proxies that ask people to sign in tell it.
    b"x-auth-request-", b"x-amzn-oidc-", b"x-goog-iap-", b"x-goog-authenticated-user-", b"cf-access-",
    b"x-ms-client-principal",
)  # fmt: skip
_VERSIONS = ("v1", "v1beta")
# How many Deployments' headers one client's connection may keep.
_BLOCKS = 8
_JSON_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"application/json"),
    (b"accept-encoding", b"identity"),
)


class Deployment:
    """A Model at its Provider, ready to be called. `secret` is the provider's credential, None when it
    needs none. `name` is the Model's, `provider/model`: what health and limits are kept by."""

    def __init__(self, model: Model, provider: Provider, secret: str | None) -> None:
        self.model = model
        self.provider = provider
        self.dialect: Dialect = registry.get(provider.dialect)
        self.origin, self._prefix = Origin.parse(provider.base_url)
        self.priced = PricedModel(model)
        credentials = self.dialect.credentials(secret) if secret else []
        self._own = (*_JSON_HEADERS, *credentials, *_configured(provider))
        self._own_names = frozenset(name for name, _ in self._own)
        self._withheld = _WITHHELD | self._own_names
        self.name = model.name
        self._paths = tuple(self.other_path(self.dialect.path(model.id, stream)) for stream in (False, True))

    def __repr__(self) -> str:
        return f"Deployment({self.model.name!r})"

    def path(self, stream: bool) -> str:
        """Path of a generation call at this provider, its base URL's own path included."""
        return self._paths[stream]

    def other_path(self, suffix: str) -> str:
        """Path of another endpoint (embeddings, count_tokens …), `suffix` as the vendor's SDK appends it. The
        version it begins with is not said twice where the base URL ends with it, nor after a `/v1`."""
        version, slash, rest = suffix[1:].partition("/")
        if version == "v1beta" and self._prefix.endswith("/v1"):
            return self._prefix.removesuffix("/v1") + suffix
        if slash and version in _VERSIONS and self._prefix.endswith(f"/{version}"):
            return f"{self._prefix}/{rest}"
        return self._prefix + suffix

    def headers(self, client: list[Header] | None, extra: tuple[Header, ...] = ()) -> list[Header]:
        """Request headers: our own, then `extra`, then what of the `client`'s may pass (None: nothing of it).

        The credential and the destination always come from the configuration, never from a request.
        """
        headers = [*self._own]
        withheld = self._withheld
        if extra:
            headers += [pair for pair in extra if pair[0] not in self._own_names]
            withheld = withheld | {name for name, _ in extra}
        if client is not None:
            withheld = withheld | _hop_by_hop(client)
            headers += [
                pair for pair in client if pair[0] not in withheld and not pair[0].startswith(_WITHHELD_KINDS)
            ]
        return headers

    def passing(self, request: Request) -> Block:
        """`headers` with what of this request's may pass. Requests that are alike share it."""
        blocks: dict[Deployment, Block] | None = request.alike.get("blocks")
        if blocks is None or len(blocks) > _BLOCKS:
            blocks = request.alike["blocks"] = {}
        block = blocks.get(self)
        if block is None:
            block = blocks[self] = Block(self.headers(request.headers))
        return block


def _hop_by_hop(client: list[Header]) -> set[bytes]:
    """The headers that a client meant for this connection alone (RFC 9110, 7.6.1)."""
    told = b",".join(value for name, value in client if name == b"connection")
    return {name.strip() for name in told.lower().split(b",")}


def _configured(provider: Provider) -> list[Header]:
    headers = [
        (name.lower().encode("latin1"), value.encode("latin1")) for name, value in provider.headers.items()
    ]
    if provider.api_version is not None and provider.dialect == "anthropic_messages":
        headers.append((b"anthropic-version", provider.api_version.encode("latin1")))
    return headers
