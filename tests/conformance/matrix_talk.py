"""The matrix, first table: messages and tools."""

from __future__ import annotations

from conformance.matrix import GONE, Row, carried, changed, loss
from conformance.matrix_words import (
    PNG,
    SCHEMA,
    Wire,
    call,
    calling,
    chat,
    content,
    contents,
    function,
    item,
    items,
    loop,
    said,
    tools,
    user,
)

ALL = dict.fromkeys("CRAG", carried)
NO_TOOLS: Wire = {"tools": GONE}
BRIEF = "Be brief."
SUMMED = "Summary of the conversation so far:\n\nHi."
CHANGES: Wire = {
    "role": "system",
    "content": [
        {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": function("A", "g")}},
        {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "old"}},
    ],
}


def both(code: str) -> Wire:
    """Two calls at once and their results."""
    match code:
        case "C":
            results = [
                {"role": "tool", "tool_call_id": f"call_{n}", "content": text}
                for n, text in ((1, "sun"), (2, "rain"))
            ]
            turn = {**said(None), "tool_calls": [call("C"), call("C", "call_2", "g")]}
            return {**chat(user("hello"), turn, *results), **tools("C", "f", "g")}
        case "R":
            outputs = [
                {"type": "function_call_output", "call_id": f"call_{n}", "output": text}
                for n, text in ((1, "sun"), (2, "rain"))
            ]
            calls = [call("R"), call("R", "call_2", "g")]
            return items(item("user", "hello"), *calls, *outputs, **tools("R", "f", "g"))
        case "A":
            blocks = [
                {"type": "tool_result", "tool_use_id": f"call_{n}", "content": text}
                for n, text in ((1, "sun"), (2, "rain"))
            ]
            turn = said([call("A"), call("A", "call_2", "g")])
            return chat(user("hello"), turn, user(blocks), **tools("A", "f", "g"))
    parts = [
        {"functionResponse": {"id": f"call_{n}", "name": name, "response": {"output": text}}}
        for n, name, text in ((1, "f", "sun"), (2, "g", "rain"))
    ]
    turn = content("model", call("G"), call("G", "call_2", "g"))
    return contents(content("user", "hello"), turn, content("user", *parts), **tools("G", "f", "g"))


_GRAMMAR = {"syntax": "lark", "definition": "start: WORD"}
_FREE = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
_PATCH = {"name": "p", "description": "patches"}
_IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
_INPUT_IMAGE = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
_IMAGE_URL = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
_FROM = {"type": "text", "text": "From the result of tool call call_1:"}
_SPACED = {"name": "fs__f", "description": "files\n\nsays the weather"}
_AS_SYSTEM = "as the system's"

REMINDED = f"<system-reminder>\n{BRIEF}\n</system-reminder>"

TALK = [
    Row(
        "text",
        {
            "C": chat(user("hello, world")),
            "R": items(item("user", "hello, world")),
            "A": chat(user("hello, world")),
            "G": contents(content("user", "hello, world")),
        },
        ALL,
    ),
    Row(
        "system",
        {
            "C": chat({"role": "system", "content": BRIEF}, user("hello")),
            "R": {"instructions": BRIEF},
            "A": {"system": BRIEF},
            "G": {"systemInstruction": {"parts": [{"text": BRIEF}]}},
        },
        ALL,
    ),
    Row(
        "developer role",
        {
            "C": chat({"role": "developer", "content": BRIEF}, user("hello")),
            "R": items(item("developer", BRIEF), item("user", "hello")),
        },
        {
            "C": carried,
            "R": carried,
            "A": changed(_AS_SYSTEM, {"system": BRIEF}),
            "G": changed(_AS_SYSTEM, {"systemInstruction": {"parts": [{"text": BRIEF}]}}),
        },
    ),
    Row(
        "system in mid-conversation",
        {
            "C": chat(user("hello"), said("hi"), {"role": "system", "content": BRIEF}, user("more")),
            "R": items(
                item("user", "hello"), item("assistant", "hi"), item("system", BRIEF), item("user", "more")
            ),
            "A": chat(user("hello"), said("hi"), {"role": "system", "content": BRIEF}, user("more")),
        },
        {
            **ALL,
            "G": changed(
                "as the user's, in `<system-reminder>` tags",
                contents(content("user", "hello"), content("model", "hi"), content("user", REMINDED, "more")),
                "system.position",
            ),
        },
    ),
    Row(
        "multi-turn",
        {
            "C": chat(user("hello"), said("hi"), user("more")),
            "R": items(item("user", "hello"), item("assistant", "hi"), item("user", "more")),
            "A": chat(user("hello"), said("hi"), user("more")),
            "G": contents(content("user", "hello"), content("model", "hi"), content("user", "more")),
        },
        ALL,
    ),
    Row(
        "a summary of what was said before it",
        {"A": chat(user("hello"), said([{"type": "compaction", "content": "Hi."}]), user("more"))},
        {
            "A": carried,
            **{
                code: changed("as the user's, in the place of what it sums up", wire)
                for code, wire in {
                    "C": chat(user(SUMMED), user("more")),
                    "R": items(item("user", SUMMED), item("user", "more")),
                    "G": contents(content("user", SUMMED, "more")),
                }.items()
            },
        },
    ),
    Row(
        "tools that come and go in mid-conversation",
        {"A": chat(user("hello"), said("hi"), CHANGES, user("more"), **tools("A", "f", "old"))},
        {
            "A": carried,
            **{
                code: changed("the tools that are offered in the end", tools(code, "f", "g"))
                for code in "CRG"
            },
        },
    ),
    Row(
        "message names",
        {"C": chat({**user("hello"), "name": "ann"})},
        {"C": carried, **{code: loss("message.name") for code in "RAG"}},
    ),
    Row(
        "the answer's beginning (prefill)",
        {
            "C": chat(user("hello"), said("It is")),
            "R": items(item("user", "hello"), item("assistant", "It is")),
            "A": chat(user("hello"), said("It is")),
            "G": contents(content("user", "hello"), content("model", "It is")),
        },
        {
            "C": changed("as a turn", chat(user("hello"), said("It is")), "message.prefill"),
            "R": changed(
                "as a turn", items(item("user", "hello"), item("assistant", "It is")), "message.prefill"
            ),
            "A": loss(
                "message.prefill", how="left out, as the model refuses it", fragment=chat(user("hello"))
            ),
            "A>A": loss(
                "message.prefill", how="left out, as the model refuses it", fragment=chat(user("hello"))
            ),
            "G": changed(
                "as a turn",
                contents(content("user", "hello"), content("model", "It is")),
                "message.prefill",
            ),
            "C>C": carried,
            "R>R": carried,
            "G>G": carried,
        },
    ),
    Row(
        "Claude Code's billing line",
        {
            "A": {
                "system": [
                    {"type": "text", "text": "x-anthropic-billing-header: cc_version=2"},
                    {"type": "text", "text": BRIEF},
                ]
            }
        },
        {
            "C": loss(
                "system.billing_header", fragment=chat({"role": "system", "content": BRIEF}, user("hello"))
            ),
            "R": loss("system.billing_header", fragment=items(item("system", BRIEF), item("user", "hello"))),
            "A": carried,
            "G": loss("system.billing_header", fragment={"systemInstruction": {"parts": [{"text": BRIEF}]}}),
        },
    ),
    Row("tool: name, description, schema", {code: tools(code) for code in "CRAG"}, ALL),
    Row(
        "tool: strict schema",
        {**{code: tools(code, strict=True) for code in "CRA"}, "G": {**tools("G"), **calling("VALIDATED")}},
        {
            **ALL,
            **{
                f"G>{code}": changed(
                    "not said per tool",
                    tools(code),
                    "extra.toolConfig.functionCallingConfig.mode",
                )
                for code in "CRA"
            },
        },
    ),
    Row(
        "tool: name of more than 64 letters",
        {code: tools(code, "n" * 70) for code in "CRAG"},
        {
            **ALL,
            **{f"{s}>C": changed("sent as it is", tools("C", "n" * 70), "tool.name_length") for s in "CRAG"},
        },
    ),
    Row(
        "tool: name with dots and colons",
        {"G": tools("G", "a.b:c")},
        {
            "G": carried,
            **{code: changed("without them", tools(code, "a_b_c_b2a25f70")) for code in "CRA"},
        },
    ),
    Row("parallel calls and their results", {code: both(code) for code in "CRAG"}, ALL),
    Row(
        "calls in the history, no tools declared",
        {code: {key: value for key, value in both(code).items() if key != "tools"} for code in "CRAG"},
        {
            **ALL,
            "A": changed(
                "the called tools are named, for none to be called",
                {
                    "tools": [{"name": name, "input_schema": {"type": "object"}} for name in "fg"],
                    "tool_choice": {"type": "none"},
                },
            ),
        },
    ),
    Row(
        "forced tool (any)",
        {
            "C": {**tools("C"), "tool_choice": "required"},
            "R": {**tools("R"), "tool_choice": "required"},
            "A": {**tools("A"), "tool_choice": {"type": "any"}},
            "G": {**tools("G"), **calling("ANY")},
        },
        ALL,
    ),
    Row(
        "named tool",
        {
            "C": {**tools("C"), "tool_choice": {"type": "function", "function": {"name": "f"}}},
            "R": {**tools("R"), "tool_choice": {"type": "function", "name": "f"}},
            "A": {**tools("A"), "tool_choice": {"type": "tool", "name": "f"}},
            "G": {**tools("G"), **calling("ANY", "f")},
        },
        ALL,
    ),
    Row(
        "tool choice: none",
        {
            "C": {**tools("C"), "tool_choice": "none"},
            "R": {**tools("R"), "tool_choice": "none"},
            "A": {**tools("A"), "tool_choice": {"type": "none"}},
            "G": {**tools("G"), **calling("NONE")},
        },
        ALL,
    ),
    Row(
        "allowed tools",
        {
            "C": {
                **tools("C", "f", "g"),
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "auto",
                        "tools": [{"type": "function", "function": {"name": "f"}}],
                    },
                },
            },
            "R": {
                **tools("R", "f", "g"),
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}],
                },
            },
            "G": {**tools("G", "f", "g"), **calling("VALIDATED", "f")},
        },
        {**ALL, "A": changed("the others are left out", tools("A", "f"))},
    ),
    Row(
        "parallel calls off",
        {
            "C": {**tools("C"), "parallel_tool_calls": False},
            "R": {**tools("R"), "parallel_tool_calls": False},
            "A": {**tools("A"), "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        },
        {**ALL, "G": loss("tool_choice.parallel", fragment=tools("G"))},
    ),
    Row(
        "custom grammar tools",
        {
            "C": {
                "tools": [
                    {
                        "type": "custom",
                        "custom": {**_PATCH, "format": {"type": "grammar", "grammar": _GRAMMAR}},
                    }
                ]
            },
            "R": {"tools": [{"type": "custom", **_PATCH, "format": {"type": "grammar", **_GRAMMAR}}]},
        },
        {
            **ALL,
            "A": changed(
                "a function of one text argument",
                {"tools": [{**_PATCH, "input_schema": _FREE}]},
                "tool.custom",
                "tool.grammar",
            ),
            "G": changed(
                "a function of one text argument",
                {"tools": [{"functionDeclarations": [{**_PATCH, "parametersJsonSchema": _FREE}]}]},
                "tool.custom",
                "tool.grammar",
            ),
        },
    ),
    Row(
        "namespaces of tools",
        {
            "R": {
                "tools": [
                    {"type": "namespace", "name": "fs", "description": "files", "tools": [function("R")]}
                ]
            }
        },
        {
            "R": carried,
            "C": changed(
                "joined names, taken apart in the answer",
                {"tools": [{"type": "function", "function": {**_SPACED, "parameters": SCHEMA}}]},
            ),
            "A": changed(
                "joined names, taken apart in the answer", {"tools": [{**_SPACED, "input_schema": SCHEMA}]}
            ),
            "G": changed(
                "joined names, taken apart in the answer",
                {"tools": [{"functionDeclarations": [{**_SPACED, "parametersJsonSchema": SCHEMA}]}]},
            ),
        },
    ),
    Row(
        "hosted tools",
        {
            "C": {"tools": [{"type": "web_search", "max_uses": 2}]},
            "R": {"tools": [{"type": "web_search", "search_context_size": "low"}]},
            "A": {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}]},
            "G": {"tools": [{"googleSearch": {"timeRangeFilter": "week"}}]},
        },
        {code: loss("tool.hosted", fragment=NO_TOOLS) for code in "CRAG"}
        | {f"{code}>{code}": carried for code in "CRAG"},
    ),
    Row("tool result: text", {code: loop(code, "sun") for code in "CRAG"}, ALL),
    Row(
        "tool result: images",
        {
            "R": loop("R", [{"type": "input_text", "text": "sun"}, _INPUT_IMAGE]),
            "A": loop("A", [{"type": "text", "text": "sun"}, _IMAGE]),
            "G": loop("G", "sun", parts=[{"inlineData": {"mimeType": "image/png", "data": PNG}}]),
        },
        {
            **ALL,
            "C": changed(
                "in a user message after it", loop("C", "sun", user([_FROM, _IMAGE_URL])), "tool_result.media"
            ),
        },
    ),
    Row(
        "tool result: error",
        {"A": loop("A", "no town", is_error=True), "G": loop("G", {"error": "no town"})},
        {
            **ALL,
            "C": changed(
                "in words",
                loop("C", [{"type": "text", "text": "Error:"}, {"type": "text", "text": "no town"}]),
                "tool_result.is_error",
            ),
            "R": changed(
                "in words",
                loop(
                    "R", [{"type": "input_text", "text": "Error:"}, {"type": "input_text", "text": "no town"}]
                ),
                "tool_result.is_error",
            ),
        },
    ),
]
