"""The admin API, fuzzed by its own description: no answer of 500 or above, and every answer as described.

The configuration's own faults are told with 500 where the description says so (`PUT /api/v1/policy` on a file
that cannot be written); nothing here has one.
"""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

import live

schemathesis = pytest.importorskip(
    "schemathesis", reason="schemathesis is not installed (requirements/dev.in)"
)
from tierwise.web.openapi import document  # noqa: E402

SECRET = "open-sesame"
# A call of the playground is a call of a provider: its streams are tested by themselves.
schema = schemathesis.openapi.from_dict(document("tierwise")).exclude(path_regex="/playground/ask$")
CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.specs.openapi.checks.status_code_conformance,
    schemathesis.specs.openapi.checks.content_type_conformance,
    schemathesis.specs.openapi.checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Gateway]:
    toml = live.config("openai_chat", live.free_port(), extra='[server]\nadmin_secret = "env:ADMIN_SECRET"\n')
    made = live.Gateway(tmp_path_factory.mktemp("fuzz"), toml, {"ADMIN_SECRET": SECRET})
    assert live.wait_for(lambda: live.request(made.admin, "GET", "/healthz").status == 200)
    yield made
    assert made.verify() == ""
    assert made.stop() == 0


@hypothesis.seed(20261122)
@schema.parametrize()
@hypothesis.settings(
    max_examples=8, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)  # fmt: skip
def test_every_answer_is_as_described(gateway: live.Gateway, case: schemathesis.Case) -> None:
    reply = case.call(
        base_url=f"http://127.0.0.1:{gateway.admin}", headers={"Authorization": f"Bearer {SECRET}"}
    )
    case.validate_response(reply, checks=CHECKS)
