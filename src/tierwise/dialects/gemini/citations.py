"""Where an answer's words come from: Gemini's grounding and citations ⇄ citations of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .fields import NAME, Wire


def read_citations(candidate: Mapping[str, Any]) -> list[Wire]:
    """Web pages that a candidate is grounded on, and passages it recites: each with a `uri`."""
    found: list[Wire] = []
    grounding = candidate.get("groundingMetadata")
    chunks = grounding.get("groundingChunks") if isinstance(grounding, dict) else None
    for chunk in chunks if isinstance(chunks, list) else ():
        web = chunk.get("web") if isinstance(chunk, dict) else None
        if isinstance(web, dict) and isinstance(web.get("uri"), str):
            found.append(web)
    cited = candidate.get("citationMetadata")
    sources = (cited.get("citationSources") or cited.get("citations")) if isinstance(cited, dict) else None
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict) and isinstance(source.get("uri"), str):
            found.append(source)
    return found


def write_citation(citation: Mapping[str, Any], dialect: str) -> Wire | None:
    """`dialect`'s citation of a web page as a `citationSource`, None for other sources. Gemini's own stay as
    they are.
    """
    if dialect == NAME:
        return dict(citation)
    nested = citation.get("url_citation")
    source: Mapping[str, Any] = nested if isinstance(nested, dict) else citation
    url = source.get("uri") or source.get("url")
    if not isinstance(url, str):
        return None
    written: Wire = {"uri": url}
    for name, wire in (("title", "title"), ("start_index", "startIndex"), ("end_index", "endIndex")):
        value = source.get(name)
        if value is not None and isinstance(value, str if name == "title" else int):
            written[wire] = value
    return written
