"""Which client versions the locks name: what the tests run, and what docs/clients.md says was run."""

from __future__ import annotations

import json
import re

import live

PACKAGE_LOCK = live.ROOT / "tests/clients/node/package-lock.json"


def locked(environment: str) -> dict[str, str]:
    """Package → version in an environment: `clients-NAME`, or `node`."""
    if environment == "node":
        packages = json.loads(PACKAGE_LOCK.read_text())["packages"]
        return {path.removeprefix("node_modules/"): row["version"] for path, row in packages.items() if path}
    text = (live.ROOT / f"requirements/{environment}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==(\S+)", text, re.M))
