"""The matrix, last table of answers: what only the provider's dialect knows travels within it and is named
elsewhere, in plain answers and in streams.
"""

from __future__ import annotations

from conformance.matrix import Cell, Row, carried, changed, loss
from conformance.matrix_answers import HI, SUN, blocks, called, candidate, choice, output, spoken, text
from conformance.matrix_words import Wire, call

_ODD = {"odd": "zz"}
_PAGE = {"url": "https://example.com/sun", "title": "almanac"}
_OTHER = "https://example.org/moon"
_LISTED = [_PAGE["url"], _OTHER]
_CITED = [{**page, "start_index": 0, "end_index": 3} for page in (_PAGE, {"url": _OTHER, "title": ""})]
_PLACED = _CITED[0]
_NESTED = {"url_citation": _PLACED}
_CITE = {"uri": _PAGE["url"], "title": "almanac"}
_DETAILS = ("opaque.citation.date", "opaque.citation.snippet")
_RESULT = {
    "type": "search_result_location",
    "source": _PAGE["url"],
    "title": "almanac",
    "cited_text": "It shines.",
    "search_result_index": 0,
    "start_block_index": 0,
    "end_block_index": 1,
}
_RESULT_LOST = tuple(f"opaque.citation.{name}" for name in _RESULT if name not in ("type", "source", "title"))
# Gemini counts bytes: `ü` is two of them.
_GROUNDED = {
    "groundingChunks": [{"web": _CITE}, {"web": {"uri": _OTHER}}],
    "groundingSupports": [
        {
            "segment": {"startIndex": 18, "endIndex": 23, "text": "früh"},
            "groundingChunkIndices": [1],
            "confidenceScores": [0.5],
        }
    ],
}
_GROUNDS = [
    {"url": _OTHER, "title": "", "start_index": 18, "end_index": 22},
    {**_PAGE, "start_index": 0, "end_index": 23},
]


def odd(said: dict[str, Wire], kinds: dict[str, str]) -> tuple[dict[str, Wire], dict[str, Cell]]:
    """What is answered, and its cells: named after the provider's kind, but for its own dialect."""
    cells = {
        f"{source}>{target}": carried if source == target else loss(kind)
        for source, kind in kinds.items()
        for target in "CRAG"
    }
    return said, cells


BESIDE = [
    Row(
        "a signed call",
        {
            "C": choice(
                "tool_calls",
                tool_calls=[{**call("C"), "extra_content": {"google": {"thought_signature": "sigG"}}}],
            ),
            "G": candidate({**call("G"), "thoughtSignature": "sigG"}),
        },
        {
            **dict.fromkeys("CG", carried),
            "A": changed("unsigned", blocks(call("A"), reason="tool_use"), "tool_call.signature"),
            "R": changed("unsigned", output(called()), "tool_call.signature"),
        },
    ),
    Row(
        "unknown fields of the answer",
        *odd(dict.fromkeys("CRAG", _ODD), dict.fromkeys("CRAG", "answer_extra.odd")),
    ),
    Row(
        "unknown fields of one of several choices",
        *odd(
            {
                "C": {"choices": [{**HI["C"]["choices"][0], **_ODD}]},
                "G": candidate({"text": "hi"}, **_ODD),
            },
            dict.fromkeys("CG", "answer_extra.odd"),
        ),
    ),
    Row(
        "unknown fields of the message",
        *odd(
            {"C": choice(content="hi", **_ODD), "R": output({**spoken("hi"), **_ODD})},
            dict.fromkeys("CR", "opaque.message.odd"),
        ),
    ),
    Row(
        "unknown fields of a text",
        *odd(
            {"A": blocks(text("hi", **_ODD)), "G": candidate({"text": "hi", **_ODD})},
            {"A": "opaque.text.odd", "G": "opaque.part.odd"},
        ),
    ),
    Row(
        "unknown fields of a text (of Responses)",
        {"R": output(spoken("hi", **_ODD))},
        {code: loss("opaque.part.odd", fragment=HI[code]) for code in "CAG"}
        | {"R>R": loss("opaque.part.odd", fragment=HI["R"])},
    ),
    Row(
        "unknown fields of a call (Anthropic's caller, say)",
        *odd(
            {
                "C": choice("tool_calls", tool_calls=[{**call("C"), **_ODD}]),
                "R": output({**called(), **_ODD}),
                "A": blocks({**call("A"), "caller": {"type": "program", "tool_id": "t"}}, reason="tool_use"),
                "G": candidate({"functionCall": {**call("G")["functionCall"], **_ODD}}),
            },
            {
                "C": "opaque.part.odd",
                "R": "opaque.part.odd",
                "A": "opaque.tool_use.caller",
                "G": "opaque.functionCall.odd",
            },
        ),
    ),
    Row(
        "why it was refused, in detail (of Anthropic)",
        {"A": blocks(text("hi"), reason="refusal", stop_details={"category": "bio"})},
        {"A": carried, **{code: loss("answer_extra.stop_details") for code in "CRG"}},
    ),
    Row(
        "safety ratings (of Gemini)",
        {"G": candidate({"text": "hi"}, safetyRatings=[{"category": "X", "probability": "LOW"}])},
        {"G": carried, **{code: loss("answer_extra.safetyRatings", fragment=HI[code]) for code in "CRA"}},
    ),
    Row(
        "pages listed beside the answer (Perplexity)",
        {"C": {**SUN["C"], "search_results": [_PAGE], "citations": _LISTED}},
        {
            "C>C": carried,
            "R": changed("as citations of the text", output(spoken("sun", annotations=_CITED))),
            "A": loss("answer.citations", fragment=SUN["A"]),
            "G": changed(
                "as citations of the text",
                candidate(
                    {"text": "sun"},
                    citationMetadata={
                        "citationSources": [
                            {"uri": _PAGE["url"], "title": "almanac"},
                            {"uri": _OTHER},
                        ]
                    },
                ),
            ),
        },
    ),
    Row(
        "what is found of a page beside its address and title",
        {
            "C": {**SUN["C"], "search_results": [{**_PAGE, "date": "2026-10-21", "snippet": "It shines."}]},
            "R": output(spoken("sun", annotations=[{**_PLACED, "date": "2026-10-21", "snippet": "…"}])),
            "A": blocks(text("sun", citations=[{**_PAGE, "date": "2026-10-21", "snippet": "…"}])),
            "G": candidate(
                {"text": "sun"},
                citationMetadata={"citationSources": [{**_CITE, "date": "2026-10-21", "snippet": "…"}]},
            ),
        },
        {
            "C": changed("the page", choice(content="sun", annotations=[_NESTED]), *_DETAILS),
            "R": changed("the page", output(spoken("sun", annotations=[_PLACED])), *_DETAILS),
            "A": loss("answer.citations", fragment=SUN["A"]),
            "G": changed(
                "the page",
                candidate({"text": "sun"}, citationMetadata={"citationSources": [_CITE]}),
                *_DETAILS,
            ),
            **{f"{code}>{code}": carried for code in "CRAG"},
        },
    ),
    Row(
        "files that a text is cited from (of Responses)",
        {"R": output(spoken("sun", annotations=[{"type": "file_citation", "file_id": "f1", "index": 1}]))},
        {"R": carried, **{code: loss("answer.citations", fragment=SUN[code]) for code in "CAG"}},
    ),
    Row(
        "search results of the request that a text is cited from (of Anthropic)",
        {"A": blocks(text("sun", citations=[_RESULT]))},
        {
            "A": carried,
            "C": changed("the page", choice(content="sun", annotations=[_NESTED]), *_RESULT_LOST),
            "R": changed("the page", output(spoken("sun", annotations=[_PLACED])), *_RESULT_LOST),
            "G": changed(
                "the page",
                candidate({"text": "sun"}, citationMetadata={"citationSources": [_CITE]}),
                *_RESULT_LOST,
            ),
        },
    ),
    Row(
        "what a text is grounded on, and which words of it (of Gemini)",
        {"G": candidate({"text": "Die Sonne scheint früh."}, groundingMetadata=_GROUNDED)},
        {
            "G": carried,
            "C": changed(
                "as citations of pages",
                choice(
                    content="Die Sonne scheint früh.",
                    annotations=[{"url_citation": each} for each in _GROUNDS],
                ),
                "answer_extra.groundingMetadata",
            ),
            "R": changed(
                "as citations of pages",
                output(spoken("Die Sonne scheint früh.", annotations=_GROUNDS)),
                "answer_extra.groundingMetadata",
            ),
            "A": loss(
                "answer.citations",
                "answer_extra.groundingMetadata",
                fragment=blocks(text("Die Sonne scheint früh.")),
            ),
        },
    ),
    Row(
        "citations without a text",
        {
            "C": choice("tool_calls", tool_calls=[call("C")], annotations=[_NESTED]),
            "G": candidate(call("G"), citationMetadata={"citationSources": [_CITE]}),
        },
        {
            f"{source}>{target}": carried if source == target else loss(name)
            for source, name in (("C", "opaque.message.annotations"), ("G", "answer_extra.citationMetadata"))
            for target in "CRAG"
        },
    ),
]
