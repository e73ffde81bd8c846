"""The matrix, answers: each Row's `said` is what a provider of that dialect answers, and what a caller of it
must be told when the answer is carried.
"""

from __future__ import annotations

from typing import Any

from conformance.matrix import ANY, GONE, Cell, Row, carried, changed, loss
from conformance.matrix_words import Wire, call

ALL = dict.fromkeys("CRAG", carried)


def choice(reason: str = "stop", **members: Any) -> Wire:
    """A chat completion's only choice; `logprobs` go beside its message."""
    probs = {"logprobs": members.pop("logprobs")} if "logprobs" in members else {}
    message = {"role": "assistant", **members}
    return {"choices": [{"index": 0, "message": message, "finish_reason": reason, **probs}]}


def output(*items: Wire, **members: Any) -> Wire:
    """A response's output."""
    return {"output": list(items), **members}


def spoken(text: str, **members: Any) -> Wire:
    """An output message of one text."""
    part = {"type": "output_text", "text": text, "annotations": [], **members}
    return {"type": "message", "role": "assistant", "content": [part]}


def blocks(*listed: Wire, reason: str = "end_turn", **members: Any) -> Wire:
    """An Anthropic message's content."""
    return {"content": list(listed), "stop_reason": reason, **members}


def text(words: str, **members: Any) -> Wire:
    """A text block."""
    return {"type": "text", "text": words, **members}


def candidate(*parts: Wire, reason: str = "STOP", **members: Any) -> Wire:
    """A Gemini reply's only candidate."""
    content = {"role": "model", "parts": list(parts)}
    return {"candidates": [{"index": 0, "content": content, "finishReason": reason, **members}]}


def called(call_id: str = "call_1", name: str = "f", arguments: str = '{"city":"Ulm"}') -> Wire:
    """A function call item."""
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def cut(**words: str) -> dict[str, Wire]:
    """The answer `hi`, ended for the reason each dialect has a word for."""
    incomplete = {"status": "incomplete", "incomplete_details": {"reason": words.get("R")}}
    made = {
        "C": choice(words.get("C", "stop"), content="hi"),
        "R": output(spoken("hi"), **(incomplete if "R" in words else {})),
        "A": blocks(text("hi"), reason=words.get("A", "end_turn")),
        "G": candidate({"text": "hi"}, reason=words.get("G", "STOP")),
    }
    return {code: made[code] for code in words}


HI = {
    "C": choice(content="hi"),
    "R": output(spoken("hi")),
    "A": blocks(text("hi")),
    "G": candidate({"text": "hi"}),
}
SUN = {
    "C": choice(content="sun"),
    "R": output(spoken("sun")),
    "A": blocks(text("sun")),
    "G": candidate({"text": "sun"}),
}


def none_of(name: str, base: dict[str, Wire] = HI, but: str = "") -> dict[str, Cell]:
    """Lost to all others, who get the rest (`base`)."""
    return {code: carried if code in but else loss(name, fragment=base[code]) for code in "CRAG"} | {
        f"{code}>{code}": carried for code in "CRAG"
    }


_NO_ARGUMENTS = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_FREE = {"id": "call_1", "type": "custom", "custom": {"name": "p", "input": "free"}}
_THOUGHT = {"type": "thinking", "thinking": "hm, so", "signature": "sigA"}
_UNSIGNED = {"type": "thinking", "thinking": "hm, so", "signature": ""}
_SUMMARY = [{"type": "summary_text", "text": "hm, so"}]
_REASONING = {"type": "reasoning", "summary": _SUMMARY}
_LATE = {"text": "", "thoughtSignature": "sigG"}
_SHOWN = candidate({"text": "hm, so", "thought": True}, {"text": "hi"})
_SEALED = changed(
    "its signature sealed into encrypted_content",
    output({**_REASONING, "encrypted_content": ANY}, spoken("hi")),
)
_LINK = {"url": "https://example.com/sun", "title": "almanac", "start_index": 0, "end_index": 3}
_FOUND = {"type": "web_search_result_location", "url": _LINK["url"], "title": "almanac", "cited_text": "sun"}
_SOURCE = {"startIndex": 0, "endIndex": 3, "uri": _LINK["url"], "title": "almanac"}
_PLACE = {"type": "char_location", "cited_text": "sun", "document_index": 0, "document_title": "almanac"}
_TOP = {"token": "hi", "logprob": -0.5, "bytes": [104, 105]}
_PROBS = [{**_TOP, "top_logprobs": [_TOP]}]
_CHOSEN = {"token": "hi", "logProbability": -0.5}
_RESULT = {"chosenCandidates": [_CHOSEN], "topCandidates": [{"candidates": [_CHOSEN]}]}
_URL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
_BLOB = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
_PAINTED = {"type": "image_generation_call", "status": "completed", "result": "AAAA", "output_format": "png"}
_SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "q"},
}
TWO = ("hi", "ho")

CONTENT = [
    Row(
        "text",
        {
            "C": choice(content="hello"),
            "R": output(spoken("hello")),
            "A": blocks(text("hello")),
            "G": candidate({"text": "hello"}),
        },
        ALL,
    ),
    Row(
        "a tool call",
        {
            "C": choice("tool_calls", tool_calls=[call("C")]),
            "R": output(called()),
            "A": blocks(call("A"), reason="tool_use"),
            "G": candidate(call("G")),
        },
        ALL,
    ),
    Row(
        "text and parallel calls",
        {
            "C": choice("tool_calls", content="so", tool_calls=[call("C"), call("C", "call_2", "g")]),
            "R": output(spoken("so"), called(), called("call_2", "g")),
            "A": blocks(text("so"), call("A"), call("A", "call_2", "g"), reason="tool_use"),
            "G": candidate({"text": "so"}, call("G"), call("G", "call_2", "g")),
        },
        ALL,
    ),
    Row(
        "a call without arguments",
        {
            "C": choice("tool_calls", tool_calls=[_NO_ARGUMENTS]),
            "R": output(called(arguments="{}")),
            "A": blocks({"type": "tool_use", "id": "call_1", "name": "f", "input": {}}, reason="tool_use"),
            "G": candidate({"functionCall": {"id": "call_1", "name": "f", "args": {}}}),
        },
        ALL,
    ),
    Row(
        "a call of a custom tool",
        {
            "C": choice("tool_calls", tool_calls=[_FREE]),
            "R": output({"type": "custom_tool_call", "call_id": "call_1", "name": "p", "input": "free"}),
        },
        {
            **ALL,
            "A": changed(
                "as one text argument",
                blocks(
                    {"type": "tool_use", "id": "call_1", "name": "p", "input": {"input": "free"}},
                    reason="tool_use",
                ),
            ),
            "G": changed(
                "as one text argument",
                candidate({"functionCall": {"id": "call_1", "name": "p", "args": {"input": "free"}}}),
            ),
        },
    ),
    Row(
        "thinking",
        {
            "C": choice(reasoning_content="hm, so", content="hi"),
            "R": output({**_REASONING, "encrypted_content": "encR"}, spoken("hi")),
            "A": blocks(_THOUGHT, text("hi")),
            "G": candidate({"text": "hm, so", "thought": True}, {"text": "hi"}, _LATE),
        },
        {
            "C": changed("its text", choice(reasoning_content="hm, so", content="hi"), "thinking.signature"),
            "R": _SEALED,
            "A": changed("unsigned, so never replayed", blocks(_UNSIGNED, text("hi")), "thinking.signature"),
            "G": changed("its text", _SHOWN, "thinking.signature"),
            **{f"{code}>{code}": carried for code in "CRAG"},
            "G>R": changed(
                "its signature sealed into encrypted_content",
                output(_REASONING, spoken("hi"), {"type": "reasoning", "encrypted_content": ANY}),
            ),
            "R>C": changed("its text", choice(reasoning_content="hm, so", content="hi"), "thinking.redacted"),
            "R>A": changed("unsigned, so never replayed", blocks(_UNSIGNED, text("hi")), "thinking.redacted"),
            "R>G": changed("its text", _SHOWN, "thinking.redacted"),
            "C>A": changed("unsigned, so never replayed", blocks(_UNSIGNED, text("hi"))),
            "C>G": changed("its text", _SHOWN),
        },
    ),
    Row(
        "redacted thinking",
        {"A": blocks({"type": "redacted_thinking", "data": "encA"}, text("hi"))},
        {
            **none_of("thinking.redacted"),
            "A": carried,
            "R": changed(
                "sealed into encrypted_content",
                output({"type": "reasoning", "summary": [], "encrypted_content": ANY}, spoken("hi")),
            ),
        },
    ),
    Row(
        "refusal in words",
        {
            "C": choice(refusal="No."),
            "R": output({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}),
        },
        {
            **ALL,
            "A": changed("as text", blocks(text("No."), reason="refusal"), "answer.refusal"),
            "G": changed("as text", candidate({"text": "No."}, reason="SAFETY"), "answer.refusal"),
        },
    ),
    Row(
        "citations of pages",
        {
            "C": choice(content="sun", annotations=[{"type": "url_citation", "url_citation": _LINK}]),
            "R": output(spoken("sun", annotations=[{"type": "url_citation", **_LINK}])),
            "A": blocks(text("sun", citations=[_FOUND])),
            "G": candidate({"text": "sun"}, citationMetadata={"citationSources": [_SOURCE]}),
        },
        {
            **ALL,
            "A": loss("answer.citations", fragment=SUN["A"]),
            "A>A": carried,
            "A>C": changed(
                "without the words cited",
                choice(content="sun", annotations=[{"type": "url_citation", "url_citation": _LINK}]),
                "opaque.citation.cited_text",
            ),
            "A>R": changed(
                "without the words cited",
                output(spoken("sun", annotations=[{"type": "url_citation", **_LINK}])),
                "opaque.citation.cited_text",
            ),
            "A>G": changed(
                "without the words cited",
                candidate(
                    {"text": "sun"},
                    citationMetadata={"citationSources": [{"uri": _LINK["url"], "title": "almanac"}]},
                ),
                "opaque.citation.cited_text",
            ),
        },
    ),
    Row(
        "citations of documents",
        {"A": blocks(text("sun", citations=[_PLACE]))},
        {**none_of("answer.citations", SUN), "A": carried},
    ),
    Row(
        "log probabilities",
        {
            "C": choice(content="hi", logprobs={"content": _PROBS}),
            "R": output(spoken("hi", logprobs=_PROBS)),
            "G": candidate({"text": "hi"}, logprobsResult=_RESULT),
        },
        {**ALL, "A": loss("answer.logprobs", fragment=HI["A"])},
    ),
    Row(
        "n > 1",
        {
            "C": {
                "choices": [
                    {"index": i, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
                    for i, words in enumerate(TWO)
                ]
            },
            "G": {
                "candidates": [
                    {
                        "index": i,
                        "content": {"role": "model", "parts": [{"text": words}]},
                        "finishReason": "STOP",
                    }
                    for i, words in enumerate(TWO)
                ]
            },
        },
        {
            **ALL,
            "R": loss("answer.choices", how="the first", fragment=HI["R"]),
            "A": loss("answer.choices", how="the first", fragment=HI["A"]),
        },
    ),
    Row(
        "steps of the vendor's own tools (of Responses)",
        {"R": output(_SEARCH, spoken("hi"))},
        none_of("opaque.web_search_call"),
    ),
    Row(
        "steps of the vendor's own tools (of Anthropic)",
        {
            "A": blocks(
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
                text("hi"),
            )
        },
        none_of("opaque.server_tool_use"),
    ),
    Row(
        "steps of the vendor's own tools (of Gemini)",
        {"G": candidate({"executableCode": {"language": "PYTHON", "code": "1"}}, {"text": "hi"})},
        none_of("opaque.executableCode"),
    ),
    Row(
        "images",
        {
            "C": choice(content="hi", images=[_URL]),
            "R": output(_PAINTED),
            "G": candidate(_BLOB),
        },
        {
            "R": carried,
            "A": loss("media.output", fragment={"content": []}),
            "G": carried,
            "C": changed("as OpenRouter's images", choice(images=[_URL])),
            "C>C": carried,
            **{f"C>{code}": loss("opaque.message.images", fragment=HI[code]) for code in "RAG"},
        },
    ),
]
ENDS = [
    Row(
        "ended: at the output limit",
        cut(C="length", R="max_output_tokens", A="max_tokens", G="MAX_TOKENS"),
        ALL,
    ),
    Row(
        "ended: refused or filtered",
        cut(C="content_filter", R="content_filter", A="refusal", G="SAFETY"),
        ALL,
    ),
    Row(
        "ended: by a stop sequence, and by which",
        {"A": blocks(text("hi"), reason="stop_sequence", stop_sequence="END")},
        {"A": carried, **{code: changed("as a plain end", HI[code], "stop.which") for code in "CRG"}},
    ),
    Row(
        "ended: paused",
        cut(A="pause_turn"),
        {"A": carried, **{code: changed("as a plain end", HI[code], "stop.reason") for code in "CRG"}},
    ),
    Row(
        "ended: context full",
        cut(A="model_context_window_exceeded"),
        {
            "A": carried,
            **{
                code: changed("as the output limit", fragment)
                for code, fragment in cut(C="length", R="max_output_tokens", G="MAX_TOKENS").items()
            },
        },
    ),
    Row(
        "ended: by the provider's fault",
        cut(G="MALFORMED_FUNCTION_CALL"),
        {
            "C": changed("as cut short", cut(C="length")["C"], "stop.reason"),
            "R": changed("as failed", {"status": "failed"}),
            "A": changed("as a plain end", HI["A"], "stop.reason"),
            "G>G": changed("as OTHER", candidate({"text": "hi"}, reason="OTHER"), "stop.reason"),
        },
    ),
]


def chat_usage(prompt: int, completion: int, details: Wire | None = None, more: Wire | None = None) -> Wire:
    """OpenAI chat's usage."""
    total = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    inner = {"prompt_tokens_details": details} if details else {}
    return {"usage": {**total, **inner, **({"completion_tokens_details": more} if more else {})}}


def response_usage(
    prompt: int, completion: int, details: Wire | None = None, more: Wire | None = None
) -> Wire:
    """OpenAI responses' usage."""
    total = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    inner = {"input_tokens_details": details} if details else {}
    return {"usage": {**total, **inner, **({"output_tokens_details": more} if more else {})}}


def gemini_usage(prompt: int, said: int, thought: int = 0, **more: int) -> Wire:
    """Gemini's usageMetadata."""
    counts = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": said,
        "totalTokenCount": prompt + said + thought,
    }
    return {"usageMetadata": {**counts, **({"thoughtsTokenCount": thought} if thought else {}), **more}}


def claude_usage(fresh: int, completion: int, **more: Any) -> Wire:
    """Anthropic's usage."""
    return {"usage": {"input_tokens": fresh, "output_tokens": completion, **more}}


def _split(five: int, hour: int) -> Wire:
    return {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}


USAGE = [
    Row(
        "usage: fresh and output",
        {
            "C": chat_usage(11, 6),
            "R": response_usage(11, 6),
            "A": claude_usage(11, 6),
            "G": gemini_usage(11, 6),
        },
        ALL,
    ),
    Row(
        "usage: cached",
        {
            "C": chat_usage(100, 5, {"cached_tokens": 60}),
            "R": response_usage(100, 5, {"cached_tokens": 60}),
            "A": claude_usage(40, 5, cache_read_input_tokens=60),
            "G": gemini_usage(100, 5, cachedContentTokenCount=60),
        },
        ALL,
    ),
    Row(
        "usage: written, 5 or 30 minutes",
        {
            "C": chat_usage(100, 5, {"cached_tokens": 0, "cache_write_tokens": 30}),
            "R": response_usage(100, 5, {"cached_tokens": 0, "cache_write_tokens": 30}),
            "A": claude_usage(70, 5, cache_creation_input_tokens=30, cache_creation=_split(30, 0)),
        },
        {**ALL, "G": changed("in the total", gemini_usage(100, 5), "answer.usage")},
    ),
    Row(
        "usage: written, 1 hour",
        {"A": claude_usage(70, 5, cache_creation_input_tokens=30, cache_creation=_split(10, 20))},
        {
            "A": carried,
            "C": changed("as one number", chat_usage(100, 5, {"cache_write_tokens": 30})),
            "R": changed("as one number", response_usage(100, 5, {"cache_write_tokens": 30})),
            "G": changed("in the total", gemini_usage(100, 5), "answer.usage"),
        },
    ),
    Row(
        "usage: reasoning",
        {
            "C": chat_usage(10, 50, None, {"reasoning_tokens": 40}),
            "R": response_usage(10, 50, None, {"reasoning_tokens": 40}),
            "A": claude_usage(10, 50, output_tokens_details={"thinking_tokens": 40}),
            "G": gemini_usage(10, 10, 40),
        },
        ALL,
    ),
    Row(
        "service tier that billed: standard",
        {
            "C": {"service_tier": "default"},
            "R": {"service_tier": "default"},
            "A": claude_usage(10, 5, service_tier="standard"),
        },
        {**ALL, "G": changed("unsaid", gemini_usage(10, 5)), "A>G": changed("said", gemini_usage(10, 5))},
    ),
    Row(
        "service tier that billed: flex",
        {
            "C": {"service_tier": "flex"},
            "R": {"service_tier": "flex"},
            "G": {"usageMetadata": {**gemini_usage(10, 5)["usageMetadata"], "serviceTier": "flex"}},
        },
        {**ALL, "A": loss("answer.usage", fragment={"usage": {"service_tier": GONE}})},
    ),
]
ANSWERS = [*CONTENT, *ENDS, *USAGE]
