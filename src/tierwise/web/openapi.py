"""/openapi.json, from the route table and the Structs it names."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from tierwise import __version__

from .routes import ACTS, PAGES, Act, Page
from .views.playground import Prompt, Quote

_REF = "#/components/schemas/{name}"
_BEARER: list[dict[str, list[str]]] = [{"adminSecret": []}, {"session": []}]


class Fault(Struct, frozen=True):
    """What went wrong: `kind` for programs, `message` and `hint` for people."""

    kind: str
    message: str
    hint: str


class Refusal(Struct, frozen=True):
    """The body of every error."""

    error: Fault


def document(cookie: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the admin API. `cookie` is the session cookie's name."""
    types: set[type[Struct]] = {
        Refusal,
        Prompt,
        Quote,
        *(page.query for page in PAGES),
        *(page.answer for page in PAGES),
    }
    types |= {act.body for act in ACTS} | {act.answer for act in ACTS}
    listed: list[type[Struct]] = sorted(types, key=lambda each: each.__qualname__)
    refs, schemas = msgspec.json.schema_components(listed, ref_template=_REF)
    of = dict(zip(listed, refs, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for page in PAGES:
        paths.setdefault(page.api, {})["get"] = _page(page, of, schemas)
    for act in ACTS:
        paths.setdefault(act.api, {})[act.method.lower()] = _act(act, of)
    paths["/api/v1/playground/ask"] = {"post": _ask(of)}
    paths["/api/v1/playground/quote"] = {"post": _quote(of)}
    paths["/metrics"] = {"get": _text("Counters in Prometheus' text format.", "metrics")}
    paths["/healthz"] = {"get": _text("ok while the control plane lives.", "healthz", public=True)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tierwise admin API",
            "version": __version__,
            "description": "Money in integer pico-dollars (10^-12 USD), times in microseconds since 1970.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "adminSecret": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": cookie},
            },
        },
        "security": _BEARER,
    }


def _page(page: Page, of: dict[Any, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    query = schemas[of[page.query]["$ref"].rpartition("/")[2]]
    in_path = set(re.findall(r"{(\w+)}", page.api))
    parameters = [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path,
            "schema": {**schema, "minLength": 1} if name in in_path else schema,
        }
        for name, schema in query["properties"].items()
    ]
    return {
        "operationId": _operation("get", page.api),
        "summary": page.summary,
        **({"parameters": parameters} if parameters else {}),
        "responses": _responses(
            200, of[page.answer], of, found="run" in query["properties"] or bool(in_path)
        ),
    }


def _act(act: Act, of: dict[Any, Any]) -> dict[str, Any]:
    responses = _responses(act.status, of[act.answer], of, found=True)
    responses["409"] = _refused("It was changed by someone else meanwhile.", of)
    responses["413"] = _refused("The body is too large.", of)
    responses["500"] = _refused("The configuration does not allow it; the message says why.", of)
    return {
        "operationId": _operation(act.method.lower(), act.api),
        "summary": act.summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": of[act.body]}}},
        "responses": responses,
    }


def _ask(of: dict[Any, Any]) -> dict[str, Any]:
    responses = _responses(200, {}, of, found=True)
    responses["200"] = {
        "description": "A stream of OpenAI chat chunks; x-tierwise-exchange names the exchange.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
    responses["default"] = _refused("What the data plane or the provider answered.", of)
    return {
        "operationId": "post_playground_ask",
        "summary": "Send one prompt through the data plane with the playground's own key.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": of[Prompt]}}},
        "responses": responses,
    }


def _quote(of: dict[Any, Any]) -> dict[str, Any]:
    responses = _responses(200, of[Quote], of, found=True)
    responses["default"] = _refused("What the data plane answered.", of)
    return {
        "operationId": "post_playground_quote",
        "summary": "What a prompt may cost on each tier, before it is sent. Nothing is booked.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": of[Prompt]}}},
        "responses": responses,
    }


def _responses(status: int, answer: Any, of: dict[Any, Any], found: bool) -> dict[str, Any]:
    responses = {
        str(status): {"description": "Done.", "content": {"application/json": {"schema": answer}}},
        "400": _refused("The request is not understood.", of),
        "401": _refused("No or wrong credentials.", of),
        "403": _refused("The form token is missing, or another site asked.", of),
        "429": _refused("Too many failed sign-ins.", of),
        "503": _refused("The ledger cannot be read or written now.", of),
    }
    if found:
        responses["404"] = _refused("There is no such thing.", of)
    return responses


def _refused(words: str, of: dict[Any, Any]) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": of[Refusal]}}}


def _text(words: str, name: str, public: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"get_{name}",
        "summary": words,
        "responses": {
            "200": {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}
        },
    }
    return {**operation, "security": []} if public else operation


def _operation(method: str, path: str) -> str:
    return f"{method}_{re.sub('[^a-z]+', '_', path.removeprefix('/api/v1/')).strip('_')}"
