"""Where an answer's words come from: Gemini's grounding and citations ⇄ citations of a text.

Gemini counts bytes of UTF-8 where the nouns count characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ...nouns import Citation
from ..citations import is_page, rest, span
from ..lax import text_of
from ..losses import Losses
from .fields import NAME, Wire

_CHUNKS = ("web", "retrievedContext", "maps")
_KNOWN = ("uri", "title", "startIndex", "endIndex")


def read_citations(candidate: Mapping[str, Any], text: str) -> list[Citation]:
    """What `text`, a candidate's, is grounded on, and the passages that it recites.

    The grounding stays a member of the candidate, since it says more than pages and their places.
    """
    found: list[Citation] = []
    grounding = candidate.get("groundingMetadata")
    if isinstance(grounding, dict):
        found += _grounds(grounding, text)
    cited = candidate.get("citationMetadata")
    sources = (cited.get("citationSources") or cited.get("citations")) if isinstance(cited, dict) else None
    for source in _objects(sources):
        url, title = text_of(source.get("uri")), text_of(source.get("title"))
        start, end = _characters(source, text)
        found.append(Citation(source, NAME, url, title, start, end, rest(source, _KNOWN)))
    return found


def within(citation: Citation, begin: int, length: int) -> Citation:
    """`citation` of a whole text, of the piece of it that begins at `begin`: of all the piece when its place
    is not in there.
    """
    if citation.start is None or citation.end is None or not begin <= citation.start <= begin + length:
        return replace(citation, start=None, end=None)
    return replace(citation, start=citation.start - begin, end=min(citation.end - begin, length))


def _grounds(grounding: Wire, text: str) -> list[Citation]:
    """The pages, at each place that they support; those that support none are told without a place."""
    pages: list[Citation | None] = []
    for chunk in _objects(grounding.get("groundingChunks")):
        inner: Wire = next((chunk[kind] for kind in _CHUNKS if isinstance(chunk.get(kind), dict)), {})
        url = text_of(inner.get("uri"))
        pages.append(Citation(None, NAME, url, text_of(inner.get("title"))) if url else None)
    found: list[Citation] = []
    used: set[int] = set()
    for support in _objects(grounding.get("groundingSupports")):
        segment, listed = support.get("segment"), support.get("groundingChunkIndices")
        start, end = _characters(segment if isinstance(segment, dict) else {}, text)
        for number in listed if isinstance(listed, list) else ():
            page = pages[number] if isinstance(number, int) and 0 <= number < len(pages) else None
            if page is not None:
                used.add(number)
                found.append(Citation(None, NAME, page.url, page.title, start, end))
    return found + [page for number, page in enumerate(pages) if page is not None and number not in used]


def _objects(listed: Any) -> list[Wire]:
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _characters(segment: Mapping[str, Any], text: str) -> tuple[int | None, int | None]:
    """The characters of `text` that a segment marks; where its own words stand when its bytes are others."""
    words = text_of(segment.get("text"))
    first, last = span(segment.get("startIndex", 0), segment.get("endIndex"))
    whole = text.encode()
    if first is not None and last is not None and last <= len(whole):
        before, marked = whole[:first].decode(errors="replace"), whole[first:last].decode(errors="replace")
        if words in ("", marked):
            return len(before), len(before) + len(marked)
    at = text.find(words) if words else -1
    return (at, at + len(words)) if at >= 0 else (None, None)


def write_citation(citation: Citation, before: int, text: str, losses: Losses) -> Wire | None:
    """The `citationSource` of a citation of `text`, which stands after `before` bytes of other text. None
    for what has none, and for what the candidate's grounding tells.
    """
    if citation.dialect == NAME:
        return citation.raw
    if not is_page(citation, losses):
        return None
    written: Wire = {"uri": citation.url}
    if citation.title:
        written["title"] = citation.title
    if citation.start is not None:
        written["startIndex"] = before + len(text[: citation.start].encode())
        written["endIndex"] = before + len(text[: citation.end].encode())
    return written
