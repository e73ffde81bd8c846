"""The web pages that a reply lists beside its choices, as Perplexity and its like do, as citations of the
answer's text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = ("search_results", "citations")


def sources(reply: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Citations by the member that told them. `search_results` are objects with a `url`, `citations` are
    URLs; one that the former tells as well is not told again. A member of another shape is left out.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    pages: set[str] = set()
    for name in NAMES:
        listed = reply.get(name)
        if not isinstance(listed, list) or not listed:
            continue
        cited = [{"url": page} if isinstance(page, str) else page for page in listed]
        if all(isinstance(page, dict) and isinstance(page.get("url"), str) for page in cited):
            found[name] = [page for page in cited if page["url"] not in pages]
            pages.update(page["url"] for page in cited)
    return found
