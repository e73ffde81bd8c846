"""Every request that real clients sent, asked of a provider of every dialect: nothing fails, the text and the
tools arrive, and what we send is what the vendor's own types allow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import live
from conformance.matrix import CODES, dropped, holds, model
from tierwise.dialects import registry
from tierwise.nouns import Ask, Media, Text

DATA = Path(__file__).parents[2] / "../shared/data"
CAPTURES, SCHEMAS = DATA / "captures", DATA / "schemas"
pytestmark = pytest.mark.skipif(not CAPTURES.exists(), reason="the shared captures are not here")
PATHS = {"/chat/completions": "C", "/responses": "R", "/messages": "A"}
SCHEMA = {
    "C": "openai-2.54.0-CompletionCreateParams.schema.json",
    "R": "openai-2.54.0-ResponseCreateParams.schema.json",
    "A": "anthropic-2.12.0-MessageCreateParams.schema.json",
}
_BETA = "anthropic-2.12.0-BetaMessageCreateParams.schema.json"


def source_of(path: str) -> str | None:
    """The dialect of a captured path, None for other endpoints."""
    return next((code for end, code in PATHS.items() if path.endswith(end)), None)


def captured() -> list[Any]:
    found = []
    for file in sorted(CAPTURES.glob("*.json")) if CAPTURES.exists() else ():
        for i, sent in enumerate(json.loads(file.read_bytes())["requests"]):
            code = source_of(sent["path"])
            if code and sent["method"] == "POST" and isinstance(sent["body"], dict):
                found.append(pytest.param(code, sent, id=f"{file.stem}-{i}"))
    return found


def read(code: str, sent: dict[str, Any]) -> Ask:
    headers = {name.lower(): value for name, value in sent["headers"]}
    return registry.get(CODES[code]).read_request(json.dumps(sent["body"]).encode(), headers)


@cache
def validator(name: str) -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / name).read_bytes()))


def schema_faults(target: str, body: dict[str, Any]) -> list[str]:
    """Where our request is not of the vendor's types; `stream` and stored fields included."""
    names = [SCHEMA[target], *([_BETA] if target == "A" else [])]
    if not all((SCHEMAS / name).exists() for name in names):
        return []
    told = [list(validator(name).iter_errors(body)) for name in names]
    best = min(told, key=len)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:150]}" for error in best]


@pytest.mark.parametrize("target", list(CODES))
@pytest.mark.parametrize(("code", "sent"), captured())
def test_every_request_in_every_direction(code: str, sent: dict[str, Any], target: str) -> None:
    raw = json.dumps(sent["body"]).encode()
    outline = registry.get(CODES[code]).outline(raw)
    ask = read(code, sent)
    assert outline.tools == len(ask.tools)
    out = registry.get(CODES[target]).write_request(ask, model(target))
    body = json.loads(out.body)
    names = {loss.name for loss in out.losses}
    for message in ask.messages:
        for part in message.parts:
            if isinstance(part, Text) and part.text.strip() and "billing-header" not in part.text:
                assert holds(body, part.text), part.text
            if isinstance(part, Media):
                assert holds(body, part.value) or any(name.startswith("media.") for name in names)
    for tool in ask.tools if code != target else ():  # Responses' namespaces stay as they came
        assert holds(body, tool.name) or "tool.hosted" in names or ask.tool_choice.mode == "allowed"
    if code == target == "A":
        assert not dropped(sent["body"], body) or names
    if code != target and target in SCHEMA:
        assert schema_faults(target, body) == []


class World:
    """A gateway before a simulator of one dialect."""

    def __init__(self, folder: Path, code: str) -> None:
        folder.mkdir()
        self.code = code
        self.simulator = live.Process(folder, "simulator", "--port", str(live.free_port()))
        self.gateway = live.Gateway(folder, live.config(CODES[code], self.simulator.port))
        self.key = self.gateway.key()


@pytest.fixture(scope="module", params=list(CODES))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("captures") / request.param, request.param)
    yield made
    assert made.gateway.verify() == ""
    assert made.gateway.stop() == 0
    made.simulator.stop()


def sample() -> list[Any]:
    """The first three requests of every client."""
    seen: dict[str, int] = {}
    chosen = []
    for param in captured():
        client = str(param.id).rpartition("-")[0]
        seen[client] = seen.get(client, 0) + 1
        if seen[client] <= 3:
            chosen.append(param)
    return chosen


@pytest.mark.parametrize(("code", "sent"), sample())
def test_through_a_live_gateway(world: World, code: str, sent: dict[str, Any]) -> None:
    kept = ("anthropic-", "x-claude", "x-stainless")
    headers = {name: value for name, value in sent["headers"] if name.lower().startswith(kept)}
    headers = {name: value for name, value in headers.items() if value != "REDACTED"}
    body = {**sent["body"], "model": "tier/haiku"}
    got = live.post(world.gateway.port, sent["path"], body, world.key, headers)
    if world.code == code == "A" and b"Invalid `signature`" in got.body:
        assert got.status == 400  # thinking that another provider signed, passed on as it came
        return
    assert got.status == 200, got.body
    if body.get("stream"):
        ends = {"C": b"data: [DONE]\n\n", "R": b'"response.completed"', "A": b'"message_stop"'}
        assert ends[code] in got.body
    else:
        assert got.json()
