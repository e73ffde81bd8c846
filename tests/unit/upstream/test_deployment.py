"""What goes upstream with a call: our credential and headers first, never the client's."""

from __future__ import annotations

import pytest

from tierwise.nouns import DialectName, Model, Provider
from tierwise.upstream.deployment import Deployment, Header


def deployment(dialect: DialectName = "openai_chat", base: str = "http://p/v1", **said: object) -> Deployment:
    provider = Provider("p", dialect, base, **said)  # type: ignore[arg-type]
    return Deployment(Model("p/m", "p", "m"), provider, "sk-ours")


OURS: list[Header] = [
    (b"content-type", b"application/json"), (b"accept-encoding", b"identity"),
    (b"authorization", b"Bearer sk-ours"),
]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [b"authorization", b"x-api-key", b"x-goog-api-key", b"cookie", b"host", b"content-length",
     b"content-type", b"accept-encoding", b"transfer-encoding", b"x-forwarded-for", b"idempotency-key",
     b"x-tierwise-task", b"x-own", b"connection", b"x-hop", b"x-other-hop"],
)  # fmt: skip
def test_what_is_the_clients_own_stays_here(name: bytes) -> None:
    place = deployment(headers={"X-Own": "configured"})
    sent = place.headers([(name, b"theirs"), (b"connection", b"X-Hop, x-other-hop"), (b"user-agent", b"sdk")])
    assert sent == [*OURS, (b"x-own", b"configured"), (b"user-agent", b"sdk")]


def test_without_a_client_only_ours_go_and_extra_ones_never_replace_them() -> None:
    place = deployment(headers={"X-Own": "configured"})
    own = [*OURS, (b"x-own", b"configured")]
    assert place.headers(None) == own
    extra = ((b"x-own", b"other"), (b"anthropic-beta", b"a"))
    assert place.headers(None, extra) == [*own, (b"anthropic-beta", b"a")]
    assert place.headers([(b"anthropic-beta", b"theirs")], extra) == [*own, (b"anthropic-beta", b"a")]


@pytest.mark.parametrize(
    ("dialect", "named"), [("anthropic_messages", [b"2023-06-01"]), ("openai_chat", []), ("gemini", [])]
)
def test_the_configured_version_of_the_api_is_anthropics(dialect: DialectName, named: list[bytes]) -> None:
    sent = deployment(dialect, api_version="2023-06-01").headers(None)
    assert [value for name, value in sent if name == b"anthropic-version"] == named


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("http://p/v1", "/v1/files"), ("http://p", "/v1/files"), ("http://p/api/v1", "/api/v1/files"),
        ("http://p/v1beta", "/v1beta/v1/files"),
    ],
)  # fmt: skip
def test_a_version_is_not_said_twice(base: str, path: str) -> None:
    assert deployment(base=base).other_path("/v1/files") == path


@pytest.mark.parametrize("base", ["http://p", "http://p/v1beta", "http://p/v1", "http://p/v1/"])
def test_gemini_is_asked_at_its_own_version(base: str) -> None:
    assert deployment("gemini", base=base).path(False) == "/v1beta/models/m:generateContent"
