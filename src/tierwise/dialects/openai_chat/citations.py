"""OpenAI's `url_citation`, nested as chat writes it or flat as Responses does, and the web pages that a reply
lists beside its choices, as Perplexity and its like do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from ...nouns import Citation
from ..citations import is_page, rest, span
from ..lax import text_of
from ..losses import Losses

LISTS = ("search_results", "citations")
_KNOWN = ("type", "url_citation", "url", "title", "start_index", "end_index")


def read_annotation(raw: dict[str, Any], dialect: str) -> Citation:
    """An annotation. Only pages have words of their own; a file's are for `dialect` alone."""
    nested = raw.get("url_citation")
    source = nested if isinstance(nested, dict) else raw
    start, end = span(source.get("start_index"), source.get("end_index"))
    left = rest(raw | source, _KNOWN)
    url, title = text_of(source.get("url")), text_of(source.get("title"))
    return Citation(raw, dialect, url, title, start, end, left)


def read_annotations(listed: Iterable[Any] | None, dialect: str) -> tuple[Citation, ...]:
    """A text's annotations, without those that are no objects."""
    return tuple(read_annotation(raw, dialect) for raw in listed or () if isinstance(raw, dict))


def url_citation(citation: Citation, start: int, end: int, losses: Losses) -> dict[str, Any] | None:
    """A flat `url_citation`, None for other sources. `start` and `end` are where the text stands that it is
    a citation of: all of it is cited when it does not say which part.
    """
    if not is_page(citation, losses):
        return None
    return {
        "type": "url_citation",
        "start_index": start if citation.start is None else start + citation.start,
        "end_index": end if citation.end is None else start + citation.end,
        "url": citation.url,
        "title": citation.title,
    }


def annotation(
    citation: Citation, dialect: str, start: int, end: int, losses: Losses
) -> dict[str, Any] | None:
    """The annotation of chat for a citation of the text at `start` to `end`; None when there is none, or the
    reply tells the same beside its choices.
    """
    if citation.dialect == dialect:
        return citation.raw
    flat = url_citation(citation, start, end, losses)
    return flat and {"type": flat.pop("type"), "url_citation": flat}


def listed_pages(reply: dict[str, Any], dialect: str) -> dict[str, list[Citation]]:
    """Citations by the member that told them. `search_results` are objects with a `url`, `citations` are
    URLs; one that the former tells as well is not told again. A member of another shape is left out.
    """
    found: dict[str, list[Citation]] = {}
    seen: set[str] = set()
    for name in LISTS:
        listed = reply.get(name)
        if not isinstance(listed, list) or not listed:
            continue
        raws = [{"url": page} if isinstance(page, str) else page for page in listed]
        if all(isinstance(raw, dict) and isinstance(raw.get("url"), str) and raw["url"] for raw in raws):
            pages = [replace(read_annotation(raw, dialect), raw=None) for raw in raws]
            found[name] = [page for page in pages if page.url not in seen]
            seen.update(page.url for page in pages)
    return found
