"""The matrix, last table of requests: what only the caller's dialect knows travels within it and is named
elsewhere.
"""

from __future__ import annotations

from conformance.matrix import Cell, Row, carried, loss
from conformance.matrix_words import (
    Wire,
    chat,
    content,
    contents,
    form,
    function,
    items,
    loop,
    thinking,
    tools,
    user,
)

_ODD = {"odd": "zz"}
_LOOK = {"type": "text", "text": "look"}
_INPUT = {"type": "input_text", "text": "look"}
_MESSAGE = {"type": "message", "role": "user"}


def unknown(said: dict[str, Wire], kinds: dict[str, str]) -> tuple[dict[str, Wire], dict[str, Cell]]:
    """What is said, and its cells: named after the caller's kind, but for its own dialect."""
    cells = {
        f"{source}>{target}": carried if source == target else loss(kind)
        for source, kind in kinds.items()
        for target in "CRAG"
    }
    return said, cells


UNKNOWN = [
    Row(
        "unknown top-level fields",
        *unknown(
            {
                "C": {"brand_new": "zz"},
                "R": {"brand_new": "zz"},
                "A": {"brand_new": "zz"},
                "G": {"brandNew": "zz"},
            },
            {"C": "extra.brand_new", "R": "extra.brand_new", "A": "extra.brand_new", "G": "extra.brandNew"},
        ),
    ),
    Row(
        "unknown fields of a part",
        *unknown(
            {
                "C": chat(user([{**_LOOK, **_ODD}])),
                "R": items({**_MESSAGE, "content": [{**_INPUT, **_ODD}]}),
                "A": chat(user([{**_LOOK, **_ODD}])),
                "G": contents(content("user", {"text": "look", **_ODD})),
            },
            {"C": "opaque.part.odd", "R": "opaque.part.odd", "A": "opaque.text.odd", "G": "opaque.part.odd"},
        ),
    ),
    Row(
        "unknown fields of a message",
        *unknown(
            {
                "C": chat({**user("look"), **_ODD}),
                "R": items({**_MESSAGE, "content": [_INPUT], **_ODD}),
                "A": chat({**user("look"), **_ODD}),
                "G": contents({**content("user", "look"), **_ODD}),
            },
            dict.fromkeys("CRAG", "opaque.message.odd"),
        ),
    ),
    Row(
        "unknown fields of a tool",
        *unknown(
            {
                "C": {"tools": [{**function("C"), **_ODD}]},
                "R": tools("R", **_ODD),
                "A": tools("A", **_ODD),
                "G": tools("G", **_ODD),
            },
            dict.fromkeys("CRAG", "opaque.tool.odd"),
        ),
    ),
    Row(
        "unknown fields of a tool result",
        *unknown(
            {code: loop(code, "sun", **_ODD) for code in "CRAG"},
            {
                "C": "opaque.message.odd",
                "R": "opaque.part.odd",
                "A": "opaque.tool_result.odd",
                "G": "opaque.functionResponse.odd",
            },
        ),
    ),
    Row(
        "unknown fields of a cache breakpoint",
        {"A": chat(user([{**_LOOK, "cache_control": {"type": "ephemeral", **_ODD}}]))},
        {
            "A": carried,
            "C": loss("opaque.text.cache_control"),
            "R": loss("opaque.text.cache_control"),
            "G": loss("opaque.text.cache_control", "cache.mark"),
        },
    ),
    Row(
        "unknown fields of the tool choice",
        *unknown(
            {
                "C": {**tools("C"), "tool_choice": {"type": "function", "function": {"name": "f"}, **_ODD}},
                "A": {**tools("A"), "tool_choice": {"type": "auto", **_ODD}},
                "G": {**tools("G"), "toolConfig": {"functionCallingConfig": {"mode": "AUTO", **_ODD}}},
            },
            {
                "C": "extra.tool_choice",
                "A": "extra.tool_choice",
                "G": "extra.toolConfig.functionCallingConfig.odd",
            },
        ),
    ),
    Row(
        "unknown fields of the output format",
        *unknown(
            {"C": form("C", "t", **_ODD), "R": form("R", "t", **_ODD), "A": form("A", **_ODD)},
            {"C": "extra.response_format", "R": "extra.text", "A": "extra.output_config"},
        ),
    ),
    Row(
        "unknown fields of thinking",
        *unknown(
            {
                "R": {"reasoning": {"effort": "low", **_ODD}},
                "A": {"thinking": {"type": "adaptive", **_ODD}},
                "G": thinking(thinkingLevel="LOW", **_ODD),
            },
            {
                "R": "extra.reasoning",
                "A": "extra.thinking",
                "G": "extra.generationConfig.thinkingConfig.odd",
            },
        ),
    ),
]
