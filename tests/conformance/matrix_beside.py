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
            "C>C": changed(
                "as citations of the text",
                choice(content="sun", annotations=[{"url_citation": page} for page in _CITED]),
            ),
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
]
