"""Accounting vectors: what a provider reports, into which buckets it belongs, and what it costs to the
pico-dollar.

Prices are those of the price library on the day of the run; each is written out, so that a vector fails when
the library's figure changes and somebody must look. `bug` names what other gateways got wrong.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from tierwise.nouns import Usage

M = 10**6


class Vector(Struct):
    """`usage` is the wire object of a plain reply; `start` and `delta` those of a stream's first and last
    event (None: `usage` comes at the end alone). `pico` None: unpriced, with `unpriced` in its reason.
    """

    name: str
    bug: str
    provider: str
    model: str
    usage: dict[str, Any]
    expected: Usage
    pico: int | None
    unpriced: str = ""
    start: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None
    tier: str | None = None
    items: list[dict[str, Any]] = []
    """Items of a responses reply beside its message."""


DIALECTS = {
    "openai": "openai_chat", "anthropic": "anthropic_messages", "moonshotai": "anthropic_messages",
    "google": "gemini", "codex": "openai_responses",
}  # fmt: skip


def chat_usage(prompt: int, output: int, prompt_details: Any = None, output_details: Any = None) -> Any:
    """OpenAI's usage object."""
    return {
        "prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
        "prompt_tokens_details": prompt_details or {}, "completion_tokens_details": output_details or {},
    }  # fmt: skip


def split(five: int, hour: int) -> dict[str, int]:
    """Anthropic's `cache_creation`."""
    return {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour}


def claude_usage(
    fresh: int, output: int, read: int = 0, writes: tuple[int, int] = (0, 0), **more: Any
) -> dict[str, Any]:
    """Anthropic's usage object."""
    return {
        "input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": sum(writes),
        "cache_creation": split(*writes), "output_tokens": output, **more,
    }  # fmt: skip


HAIKU, OPUS, CHEAP_LONG = "claude-haiku-4-5", "claude-opus-5-5", "claude-haiku-5-5"

VECTORS = [
    # OpenAI chat: gpt-5.4 at $2.50 in, $0.25 cached, $15 out; twice, twice and 1.5 times above 272,000 tokens
    Vector(
        "plain tokens", "", "openai", "gpt-5.4", chat_usage(800, 50), Usage(800, output=50),
        800 * 2_500_000 + 50 * 15 * M,
    ),
    Vector(
        "cached tokens", "cached tokens priced as fresh", "openai", "gpt-5.4",
        chat_usage(1000, 10, {"cached_tokens": 900}), Usage(100, 900, output=10),
        100 * 2_500_000 + 900 * 250_000 + 10 * 15 * M,
    ),
    Vector(
        "reasoning", "reasoning charged beside the output it is a part of", "openai", "gpt-5.4",
        chat_usage(10, 500, None, {"reasoning_tokens": 450}), Usage(10, output=500, reasoning=450),
        10 * 2_500_000 + 500 * 15 * M,
    ),
    Vector(
        "at the long-context step", "", "openai", "gpt-5.4", chat_usage(272_000, 10),
        Usage(272_000, output=10), 272_000 * 2_500_000 + 10 * 15 * M,
    ),
    Vector(
        "above the long-context step", "long prompts at the short price", "openai", "gpt-5.4",
        chat_usage(272_001, 10, {"cached_tokens": 272_000}), Usage(1, 272_000, output=10),
        5 * M + 272_000 * 500_000 + 10 * 22_500_000,
    ),
    Vector(
        "flex", "flex doubled", "openai", "gpt-5.4", chat_usage(800, 50), Usage(800, output=50,
        service_tier="flex"), (800 * 2_500_000 + 50 * 15 * M) // 2, tier="flex",
    ),
    Vector(
        "flex with cached tokens", "", "openai", "gpt-5.4", chat_usage(1000, 10, {"cached_tokens": 900}),
        Usage(100, 900, output=10, service_tier="flex"),
        100 * 1_250_000 + 900 * 130_000 + 10 * 7_500_000, tier="flex",
    ),
    Vector(
        "priority", "priority at list price", "openai", "gpt-5.4", chat_usage(800, 50),
        Usage(800, output=50, service_tier="priority"), 2 * (800 * 2_500_000 + 50 * 15 * M), tier="priority",
    ),
    Vector(
        "asked for flex, billed as default", "the tier asked for decides the price", "openai", "gpt-5.4",
        chat_usage(800, 50), Usage(800, output=50), 800 * 2_500_000 + 50 * 15 * M, tier="default",
    ),
    Vector(
        "a tier without a price", "an unknown tier at list price", "openai", "gpt-5.4", chat_usage(800, 50),
        Usage(800, output=50, service_tier="scale"), None, "'scale'", tier="scale",
    ),
    Vector(
        "cache writes", "cache writes dropped", "openai", "gpt-5.6-sol",
        chat_usage(2000, 10, {"cached_tokens": 500, "cache_write_tokens": 1400}),
        Usage(100, 500, 1400, output=10), 100 * 4 * M + 500 * 400_000 + 1400 * 5 * M + 10 * 20 * M,
    ),
    Vector(
        "audio", "audio tokens at the price of text", "openai", "gpt-4o-audio-preview",
        chat_usage(100, 60, {"audio_tokens": 80}, {"audio_tokens": 50}),
        Usage(20, output=10, extra={"input_audio": 80, "output_audio": 50}), None, "input_audio",
    ),
    Vector(
        "a model without a price", "missing price key silently default", "openai", "gpt-nobody-knows",
        chat_usage(800, 50), Usage(800, output=50), None, "no price is known",
    ),
    # Anthropic: haiku 4.5 at $1 in, $0.10 read, $1.25 and $2 written, $5 out
    Vector(
        "every bucket", "1h TTL dropped", "anthropic", HAIKU, claude_usage(7, 50, 100, (10, 20)),
        Usage(7, 100, 10, 20, 50), 7 * M + 100 * 100_000 + 10 * 1_250_000 + 20 * 2 * M + 50 * 5 * M,
        start=claude_usage(7, 1, 100, (10, 20)), delta={"output_tokens": 50},
    ),
    Vector(
        "split only at the end", "streamed 5m/1h split taken from message_start only", "anthropic", HAIKU,
        claude_usage(7, 50, 0, (10, 20)), Usage(7, 0, 10, 20, 50),
        7 * M + 10 * 1_250_000 + 20 * 2 * M + 50 * 5 * M,
        start={"input_tokens": 7, "cache_creation_input_tokens": 30, "output_tokens": 1},
        delta={"output_tokens": 50, "cache_creation_input_tokens": 30, "cache_creation": split(10, 20)},
    ),
    Vector(
        "everything told twice", "cache creation double-charged", "anthropic", HAIKU,
        claude_usage(7, 50, 100, (30, 0)), Usage(7, 100, 30, 0, 50),
        7 * M + 100 * 100_000 + 30 * 1_250_000 + 50 * 5 * M,
        start=claude_usage(7, 4, 100, (30, 0)), delta=claude_usage(7, 50, 100, (30, 0)),
    ),
    Vector(
        "usage of the last event", "message_delta usage ignored", "anthropic", HAIKU,
        claude_usage(900, 50, 100), Usage(900, 100, output=50), 900 * M + 100 * 100_000 + 50 * 5 * M,
        start={"input_tokens": 0, "output_tokens": 0}, delta=claude_usage(900, 50, 100),
    ),
    Vector(
        "writes without a split", "", "anthropic", HAIKU,
        {"input_tokens": 1, "cache_creation_input_tokens": 30, "output_tokens": 2},
        Usage(1, 0, 30, 0, 2), M + 30 * 1_250_000 + 2 * 5 * M,
    ),
    Vector(
        "batch", "batch booked at $0", "anthropic", HAIKU,
        claude_usage(800, 50, 100, (10, 20), service_tier="batch"),
        Usage(800, 100, 10, 20, 50, service_tier="batch"),
        (800 * M + 100 * 100_000 + 10 * 1_250_000 + 20 * 2 * M + 50 * 5 * M) // 2,
    ),
    Vector(
        "standard tier", "", "anthropic", HAIKU,
        claude_usage(800, 50, service_tier="standard", speed="standard", inference_geo="global"),
        Usage(800, output=50), 800 * M + 50 * 5 * M,
    ),
    Vector(
        "fast mode", "fast mode at list price", "anthropic", OPUS,
        claude_usage(800, 50, service_tier="standard", speed="fast"),
        Usage(800, output=50, service_tier="fast"), 2 * (800 * 4 * M + 50 * 20 * M),
    ),
    Vector(
        "committed capacity", "priority at list price", "anthropic", HAIKU,
        claude_usage(800, 50, service_tier="priority"), Usage(800, output=50, service_tier="priority"),
        None, "'priority'",
    ),
    Vector(
        "a dearer place", "inference in one country at list price", "anthropic", OPUS,
        claude_usage(800, 50, inference_geo="us"), Usage(800, output=50, service_tier="geo-us"),
        None, "'geo-us'",
    ),
    Vector(
        "web searches", "server tools dropped", "anthropic", HAIKU,
        claude_usage(800, 50, server_tool_use={"web_search_requests": 2}),
        Usage(800, output=50, extra={"web_search": 2}), 800 * M + 50 * 5 * M + 2 * 10**10,
        start={"input_tokens": 800, "output_tokens": 1},
        delta={"output_tokens": 50, "server_tool_use": {"web_search_requests": 2}},
    ),
    Vector(
        "web searches without a price", "server tools at $0", "moonshotai", "kimi-k3",
        claude_usage(8, 5, server_tool_use={"web_search_requests": 1}),
        Usage(8, output=5, extra={"web_search": 1}), None, "web_search",
    ),
    Vector(
        "thinking", "reasoning charged beside the output it is a part of", "anthropic", HAIKU,
        claude_usage(8, 500, output_tokens_details={"thinking_tokens": 450}),
        Usage(8, output=500, reasoning=450), 8 * M + 500 * 5 * M,
    ),
    Vector(
        "a step counts cached tokens", "long prompts at the short price", "anthropic", CHEAP_LONG,
        claude_usage(1, 10, 100_000), Usage(1, 100_000, output=10),
        500_000 + 100_000 * 50_000 + 10 * 2_500_000,
    ),
    Vector(
        "total first, split last", "the total and its parts both charged", "moonshotai", "kimi-k3",
        claude_usage(100, 50, 900), Usage(100, 900, output=50), 100 * 3 * M + 900 * 300_000 + 50 * 15 * M,
        start={"input_tokens": 1000, "output_tokens": 0},
        delta={"cache_read_input_tokens": 900, "output_tokens": 50},
    ),
    Vector(
        "zeros at the end", "the prompt lost to zeros in message_delta", "moonshotai", "kimi-k3",
        claude_usage(1000, 50), Usage(1000, output=50), 1000 * 3 * M + 50 * 15 * M,
        start={"input_tokens": 1000, "output_tokens": 0},
        delta={"input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 50},
    ),
    # Gemini: 2.5-flash at $0.30 in, $0.03 cached, $2.50 out, $1 heard; its image model draws at $30
    Vector(
        "thoughts and cached tokens", "thoughts not charged at all", "google", "gemini-2.5-flash",
        {
            "promptTokenCount": 1000, "cachedContentTokenCount": 900, "candidatesTokenCount": 50,
            "thoughtsTokenCount": 30, "totalTokenCount": 1080,
        },
        Usage(100, 900, output=80, reasoning=30), 100 * 300_000 + 900 * 30_000 + 80 * 2_500_000,
    ),
    Vector(
        "audio with a price", "audio tokens at the price of text", "google", "gemini-2.5-flash",
        {
            "promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 20}, {"modality": "AUDIO", "tokenCount": 80},
            ],
        },
        Usage(20, output=10, extra={"input_audio": 80}), 20 * 300_000 + 80 * M + 10 * 2_500_000,
    ),
    Vector(
        "an image drawn", "image tokens at the price of text", "google", "gemini-2.5-flash-image",
        {
            "promptTokenCount": 10, "candidatesTokenCount": 1300, "totalTokenCount": 1310,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
        },
        Usage(10, output=10, extra={"output_image": 1290}), 10 * 300_000 + 1290 * 30 * M + 10 * 2_500_000,
    ),
    # OpenAI responses: gpt-5.4 as above, web searches $10 a thousand
    Vector(
        "a response", "cached tokens priced as fresh", "codex", "gpt-5.4",
        {
            "input_tokens": 1000, "input_tokens_details": {"cached_tokens": 900}, "output_tokens": 60,
            "output_tokens_details": {"reasoning_tokens": 40}, "total_tokens": 1060,
        },
        Usage(100, 900, output=60, reasoning=40), 100 * 2_500_000 + 900 * 250_000 + 60 * 15 * M,
    ),
    Vector(
        "a response that searched, at flex", "server tools dropped", "codex", "gpt-5.4",
        {"input_tokens": 1000, "output_tokens": 60, "total_tokens": 1060},
        Usage(1000, output=60, extra={"web_search": 1}, service_tier="flex"),
        1000 * 1_250_000 + 60 * 7_500_000 + 10**10, tier="flex",
        items=[{
            "type": "web_search_call", "id": "ws_1", "status": "completed",
            "action": {"type": "search", "query": "q"},
        }],
    ),
]  # fmt: skip


def plain(vector: Vector) -> dict[str, Any]:
    """The whole reply."""
    tier = {} if vector.tier is None else {"service_tier": vector.tier}
    match DIALECTS[vector.provider]:
        case "openai_chat":
            message = {"role": "assistant", "content": "Billing", "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            return {
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": vector.model,
                "choices": [choice], "usage": vector.usage, **tier,
            }  # fmt: skip
        case "gemini":
            content = {"role": "model", "parts": [{"text": "Billing"}]}
            return {
                "candidates": [{"content": content, "finishReason": "STOP", "index": 0}],
                "usageMetadata": vector.usage, "modelVersion": vector.model, "responseId": "r1",
            }  # fmt: skip
        case "openai_responses":
            text = {"type": "output_text", "text": "Billing", "annotations": [], "logprobs": []}
            message = {
                "type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [text],
            }  # fmt: skip
            return {
                "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "error": None,
                "incomplete_details": None, "model": vector.model, "output": [*vector.items, message],
                "usage": vector.usage, **tier,
            }  # fmt: skip
        case _:
            return {
                "id": "msg_1", "type": "message", "role": "assistant", "model": vector.model,
                "content": [{"type": "text", "text": "Billing"}], "stop_reason": "end_turn",
                "stop_sequence": None, "usage": vector.usage,
            }  # fmt: skip


def frames(vector: Vector) -> list[bytes]:
    """The stream's SSE frames."""
    writers = {"openai_chat": _chat, "gemini": _gemini, "openai_responses": _responses}
    return writers.get(DIALECTS[vector.provider], _claude)(vector)


def _gemini(vector: Vector) -> list[bytes]:
    whole = plain(vector)
    first = {**whole, "candidates": [{**whole["candidates"][0]}]}
    del first["candidates"][0]["finishReason"], first["usageMetadata"]
    content = {"role": "model", "parts": [{"text": ""}]}
    last = {**whole, "candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}
    return [b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in (first, last)]


def _responses(vector: Vector) -> list[bytes]:
    whole = plain(vector)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    message, at = whole["output"][-1], len(whole["output"]) - 1
    part = {**message["content"][0], "text": ""}
    place = {"item_id": "msg_1", "output_index": at, "content_index": 0}
    events: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for n, item in enumerate(whole["output"][:-1]):
        events += [
            {"type": f"response.output_item.{kind}", "output_index": n, "item": item}
            for kind in ("added", "done")
        ]
    empty = {**message, "status": "in_progress", "content": []}
    events += [
        {"type": "response.output_item.added", "output_index": at, "item": empty},
        {"type": "response.content_part.added", **place, "part": part},
        {"type": "response.output_text.delta", **place, "delta": "Billing", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "Billing", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": message["content"][0]},
        {"type": "response.output_item.done", "output_index": at, "item": message},
        {"type": "response.completed", "response": whole},
    ]
    return [
        f"event: {event['type']}\ndata: {json.dumps({**event, 'sequence_number': n})}\n\n".encode()
        for n, event in enumerate(events)
    ]


def _chat(vector: Vector) -> list[bytes]:
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": vector.model}
    if vector.tier is not None:
        base["service_tier"] = vector.tier
    delta = {"role": "assistant", "content": "Billing"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}], "usage": None},
        {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
        {**base, "choices": [], "usage": vector.usage},
    ]
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _claude(vector: Vector) -> list[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    start = vector.start if vector.start is not None else {**vector.usage, "output_tokens": 1}
    delta = vector.delta if vector.delta is not None else vector.usage
    begun = {**plain(vector), "content": [], "stop_reason": None, "usage": start}
    text = {"type": "text_delta", "text": "Billing"}
    return [
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta=text),
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=delta),
        event("message_stop"),
    ]
