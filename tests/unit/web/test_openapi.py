"""The description of the API: complete, and every reference leads somewhere."""

from __future__ import annotations

import json
import re

from tierwise.web.openapi import document
from tierwise.web.routes import ACTS, PAGES, accesses


def test_every_api_path_is_described_and_every_reference_resolves() -> None:
    found = document("tierwise_4001")
    text = json.dumps(found)
    for ref in re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', text):
        assert ref in found["components"]["schemas"]
    described = {(method.upper(), path) for path, item in found["paths"].items() for method in item}
    wanted = {
        (method, path) for method, path in accesses() if path.startswith("/api/v1/") and "/local/" not in path
    }
    assert wanted <= described
    names = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_path_words_are_parameters() -> None:
    for path, item in document("c")["paths"].items():
        for operation in item.values():
            in_path = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert in_path == set(re.findall(r"{(\w+)}", path))


def test_every_page_and_act_has_its_twin() -> None:
    for page in PAGES:
        assert page.api.startswith("/api/v1/")
    for act in ACTS:
        assert act.form
