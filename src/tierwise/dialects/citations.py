"""Citations: each dialect's own goes out as it came, and as a page of the web to every other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ..nouns import Citation, Part, Text
from .losses import Losses


def span(start: Any, end: Any) -> tuple[int | None, int | None]:
    """A cited span as it was told, (None, None) when it is none."""
    if isinstance(start, int) and isinstance(end, int) and 0 <= start <= end:
        return start, end
    return None, None


def rest(raw: dict[str, Any], known: Iterable[str]) -> tuple[str, ...]:
    """The members of `raw` that say something beyond those `known`."""
    return tuple(sorted(name for name in raw.keys() - set(known) if raw[name] not in (None, "", [], {})))


def own(citations: Iterable[Citation], dialect: str) -> list[dict[str, Any]]:
    """Those that `dialect` wrote, as it wrote them."""
    return [each.raw for each in citations if each.dialect == dialect and each.raw is not None]


def cite(parts: list[Part], citations: Iterable[Citation]) -> bool:
    """Adds `citations` to the last text of `parts`; False when there is none."""
    for place in range(len(parts) - 1, -1, -1):
        part = parts[place]
        if isinstance(part, Text):
            parts[place] = replace(part, citations=(*part.citations, *citations))
            return True
    return False


def is_page(citation: Citation, losses: Losses) -> bool:
    """Whether another dialect can say it: a page, whose details beyond its address and title are named. Any
    other source is named as a whole.
    """
    if not citation.url:
        losses.add("answer.citations")
        return False
    for name in citation.rest:
        losses.opaque(f"citation.{name}")
    return True
