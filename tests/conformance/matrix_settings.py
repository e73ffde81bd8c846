"""The matrix, third table: thinking, output, sampling, and the rest of a request."""

from __future__ import annotations

import hashlib

from conformance.matrix import ANY, GONE, Row, carried, changed, loss, refused
from conformance.matrix_sampling import ALL, SAMPLING, only
from conformance.matrix_words import SCHEMA, config, form, thinking, tools


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MAIL, LONG = "someone@example.com", "user_" + "d" * 64 + "_account_"
PACKED = '{"device_id":"' + "d" * 64 + '","account_uuid":"","session_id":"s-1"}'
OPTIONAL = {**SCHEMA, "required": []}
BOUNDED = {**SCHEMA, "properties": {"city": {"type": "string", "minLength": 1}}}
TOLD = {"city": {"type": "string", "minLength": GONE, "description": "{minLength: 1}"}}
NOT_FOUND = "the conversation, where the gateway remembers it; else 400 `previous_response_not_found`"
QUIET = changed(
    "without thinking: over chat completions the model takes tools only so",
    {"reasoning_effort": "none", **tools("C")},
    "thinking.effort",
)
_UNASKED = "what the model does unasked"
_LEAST_LEVEL = changed("as the least level", thinking(thinkingLevel="LOW"), "thinking.mode")

THINKING = [
    Row(
        "reasoning effort beside tools",
        {
            "C": {"reasoning_effort": "high", **tools("C")},
            "R": {"reasoning": {"effort": "high"}, **tools("R")},
            "A": {"output_config": {"effort": "high"}, **tools("A")},
            "G": {**thinking(thinkingLevel="HIGH"), **tools("G")},
        },
        {**ALL, **dict.fromkeys(("C", "C>C"), QUIET)},
    ),
    Row(
        "reasoning effort",
        {
            "C": {"reasoning_effort": "high"},
            "R": {"reasoning": {"effort": "high"}},
            "A": {"output_config": {"effort": "high"}},
            "G": thinking(thinkingLevel="HIGH"),
        },
        ALL,
    ),
    Row(
        "an effort the target lacks",
        {"C": {"reasoning_effort": "xhigh"}, "R": {"reasoning": {"effort": "xhigh"}}},
        {
            **ALL,
            "A": changed("the next lower one", {"output_config": {"effort": "high"}}, "thinking.effort"),
            "G": changed("the next lower one", thinking(thinkingLevel="HIGH"), "thinking.effort"),
        },
    ),
    Row(
        "thinking off",
        {
            "C": {"reasoning_effort": "none"},
            "R": {"reasoning": {"effort": "none"}},
            "A": {"thinking": {"type": "disabled"}},
            "G": thinking(thinkingBudget=0),
        },
        {
            **ALL,
            "G": _LEAST_LEVEL,
            "G>G": carried,
            "G>C": changed("as an effort", {"reasoning_effort": "none"}),
            "G>R": changed("as an effort", {"reasoning": {"effort": "none"}}),
            "G>A": changed("as a mode", {"thinking": {"type": "disabled"}}),
        },
    ),
    Row(
        "thinking budget",
        {"A": {"thinking": {"type": "enabled", "budget_tokens": 2048}}, "G": thinking(thinkingBudget=2048)},
        {
            "C": changed("as an effort", {"reasoning_effort": "low"}, "thinking.budget"),
            "R": changed("as an effort", {"reasoning": {"effort": "low"}}, "thinking.budget"),
            "A": carried,
            "G": changed(
                "as a level, shown", thinking(thinkingLevel="MEDIUM", includeThoughts=True), "thinking.budget"
            ),
            "G>G": carried,
        },
    ),
    Row(
        "adaptive thinking",
        {"A": {"thinking": {"type": "adaptive"}}, "G": thinking(thinkingBudget=-1)},
        {
            "C": changed(_UNASKED, {"reasoning_effort": GONE}),
            "R": changed(_UNASKED, {"reasoning": GONE}),
            "G": changed(_UNASKED, config(thinkingConfig=GONE)),
            "A": changed("as a mode", {"thinking": {"type": "adaptive"}}),
            "A>A": carried,
            "G>G": carried,
        },
    ),
    Row(
        "a summary of the thinking",
        {
            "R": {"reasoning": {"effort": "low", "summary": "auto"}},
            "A": {"thinking": {"type": "adaptive", "display": "summarized"}},
            "G": thinking(includeThoughts=True),
        },
        {
            "C": loss("thinking.summary"),
            "R": changed("asked for", {"reasoning": {"summary": "auto"}}),
            "R>R": carried,
            "A": carried,
            "G": carried,
            "G>A": loss("thinking.summary", how="thinking was not turned on"),
            "R>G": changed("asked for", thinking(thinkingLevel="LOW", includeThoughts=True)),
            "R>A": changed(
                "asked for",
                {
                    "thinking": {"type": "adaptive", "display": "summarized"},
                    "output_config": {"effort": "low"},
                },
            ),
        },
    ),
    Row(
        "encrypted reasoning asked for",
        {"R": {"include": ["reasoning.encrypted_content"]}},
        {
            "C": loss("thinking.encrypted"),
            "R": carried,
            "A": changed("thinking is always signed; sealed into encrypted_content", {"include": GONE}),
            "G": loss("thinking.encrypted"),
        },
    ),
]
OUTPUT = [
    Row(
        "output: json_schema",
        {**{code: form(code, "forecast") for code in "CR"}, "A": form("A"), "G": form("G")},
        {
            **ALL,
            "A": changed("the name as its title", form("A", "forecast")),
            "G": changed("the name as its title", form("G", "forecast")),
            "A>A": carried,
            "G>G": carried,
            "A>G": carried,
            "G>A": carried,
            "A>C": changed("with a name, strict", form("C", "answer", True)),
            "A>R": changed("with a name, strict", form("R", "answer", True)),
            "G>C": changed("with a name", form("C", "answer")),
            "G>R": changed("with a name", form("R", "answer")),
        },
    ),
    Row(
        "output: strict json_schema",
        {code: form(code, "forecast", True) for code in "CR"},
        {
            "C": carried,
            "R": carried,
            "A": changed("always strict", form("A", "forecast")),
            "G": changed("always strict", form("G", "forecast")),
        },
    ),
    Row(
        "output: json_schema with open objects",
        {code: form(code, "t", schema={"type": "object", "properties": {}}) for code in "CR"}
        | {"G": form("G", schema={"type": "object", "properties": {}})},
        {
            **ALL,
            "A": changed(
                "objects are closed",
                {"output_config": {"format": {"schema": {"additionalProperties": False}}}},
                "output.schema",
            ),
            "G": changed(
                "the name as its title", form("G", "t", schema={"type": "object", "properties": {}})
            ),
            "G>G": carried,
            "G>C": changed("with a name", form("C", "answer", schema={"type": "object", "properties": {}})),
            "G>R": changed("with a name", form("R", "answer", schema={"type": "object", "properties": {}})),
        },
    ),
    Row(
        "output: json_schema with bounds",
        {code: form(code, "t", schema=BOUNDED) for code in "CR"} | {"G": form("G", schema=BOUNDED)},
        {
            **ALL,
            "A": changed(
                "told in the description",
                {"output_config": {"format": {"schema": {"properties": TOLD}}}},
                "output.schema",
            ),
            "G": changed("the name as its title", form("G", "t", schema=BOUNDED)),
            "G>G": carried,
            "G>C": changed("with a name", form("C", "answer", schema=BOUNDED)),
            "G>R": changed("with a name", form("R", "answer", schema=BOUNDED)),
        },
    ),
    Row(
        "output: json_schema with optional properties",
        {"A": form("A", schema=OPTIONAL), "G": form("G", schema=OPTIONAL)},
        {
            **ALL,
            "C": changed("not strict", form("C", "answer", False, OPTIONAL), "output.strict"),
            "R": changed("not strict", form("R", "answer", False, OPTIONAL), "output.strict"),
            "G>C": changed("with a name", form("C", "answer", schema=OPTIONAL)),
            "G>R": changed("with a name", form("R", "answer", schema=OPTIONAL)),
        },
    ),
    Row(
        "output: json_object",
        {
            "C": {"response_format": {"type": "json_object"}},
            "R": {"text": {"format": {"type": "json_object"}}},
            "G": config(responseMimeType="application/json"),
        },
        {
            **only("CRG", "output.json_object"),
            "G>C": changed("and in words, where none say so", {"messages": ANY}, "output.json_object"),
            "G>R": changed("and in words, where none say so", {"input": ANY}, "output.json_object"),
        },
    ),
    Row(
        "verbosity",
        {"C": {"verbosity": "low"}, "R": {"text": {"verbosity": "low"}}},
        only("CR", "output.verbosity"),
    ),
    Row(
        "predicted output",
        {"C": {"prediction": {"type": "content", "content": "guess"}}},
        only("C", "output.prediction"),
    ),
    Row(
        "output modalities",
        {
            "C": {"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "wav"}},
            "G": config(responseModalities=["TEXT", "IMAGE"]),
        },
        {
            **{code: loss("output.modalities") for code in "CRAG"},
            "C>C": carried,
            "G>G": carried,
            **{f"C>{code}": loss("output.modalities", "extra.audio") for code in "RAG"},
        },
    ),
]
REST = [
    Row(
        "metadata",
        {
            "C": {"metadata": {"team": "blue"}},
            "R": {"metadata": {"team": "blue"}},
            "A": {"metadata": {"team": "blue"}},
            "G": {"labels": {"team": "blue"}},
        },
        {
            **{code: loss("metadata") for code in "CRAG"},
            **{f"{code}>{code}": carried for code in "CRAG"},
            "C>R": carried,
            "R>C": carried,
        },
    ),
    Row(
        "end user's id",
        {"C": {"user": "u1"}, "R": {"user": "u1"}, "A": {"metadata": {"user_id": "u1"}}},
        only("CRA", "user"),
    ),
    Row(
        "end user's id: an e-mail address",
        {"C": {"user": MAIL}, "R": {"user": MAIL}},
        {
            **only("CR", "user"),
            "A": changed("as its SHA-256, as Anthropic asks", {"metadata": {"user_id": digest(MAIL)}}),
        },
    ),
    Row(
        "end user's id: over 64 characters",
        {"A": {"metadata": {"user_id": LONG}}},
        {
            **only("A", "user"),
            "C": changed("as its SHA-256", {"user": digest(LONG)}),
            "R": changed("as its SHA-256", {"user": digest(LONG)}),
        },
    ),
    Row(
        "end user's id and session, packed by Claude Code",
        {"A": {"metadata": {"user_id": PACKED}}},
        {
            **only("A", "user"),
            "C": changed("apart", {"user": "d" * 64, "prompt_cache_key": "s-1"}),
            "R": changed("apart", {"user": "d" * 64, "prompt_cache_key": "s-1"}),
        },
    ),
    Row(
        "safety_identifier",
        {"C": {"safety_identifier": "u1"}, "R": {"safety_identifier": "u1"}},
        only("CR", "extra.safety_identifier"),
    ),
    Row(
        "prompt_cache_key",
        {"C": {"prompt_cache_key": "s1"}, "R": {"prompt_cache_key": "s1"}},
        only("CR", "cache.key"),
    ),
    Row(
        "session header",
        {"A": {}},
        {
            "A": carried,
            "C": changed("as prompt_cache_key", {"prompt_cache_key": "s1"}),
            "R": changed("as prompt_cache_key", {"prompt_cache_key": "s1"}),
            "G": changed("caching there needs none", {"contents": ANY}),
        },
        {"x-claude-code-session-id": "s1"},
    ),
    Row(
        "service tier: flex",
        {"C": {"service_tier": "flex"}, "R": {"service_tier": "flex"}, "G": {"serviceTier": "flex"}},
        {**only("CRG", "service_tier")},
    ),
    Row(
        "service tier: priority",
        {
            "C": {"service_tier": "priority"},
            "R": {"service_tier": "priority"},
            "G": {"serviceTier": "priority"},
        },
        {**only("CRG", "service_tier")},
    ),
    Row(
        "service tier: the standard one",
        {
            "C": {"service_tier": "default"},
            "R": {"service_tier": "default"},
            "A": {"service_tier": "standard_only"},
            "G": {"serviceTier": "standard"},
        },
        ALL,
    ),
    Row(
        "service tier: auto",
        {"C": {"service_tier": "auto"}, "R": {"service_tier": "auto"}, "A": {"service_tier": "auto"}},
        {
            **ALL,
            "G": changed("unsaid", {"serviceTier": GONE}),
            "A>C": changed("unsaid, which means the same", {"service_tier": GONE}),
            "A>R": changed("unsaid, which means the same", {"service_tier": GONE}),
        },
    ),
    Row(
        "store",
        {"C": {"store": True}, "R": {"store": True}, "G": {"store": True}},
        {**only("CR", "store"), "G>G": carried, "G>C": loss("store")},
    ),
    Row(
        "store unsaid",
        {"C": {}, "A": {}, "G": {}},
        {
            "C": carried,
            "A": carried,
            "R": changed("false: OpenAI keeps answers unless told not to", {"store": False}),
            "G": changed("false: Google keeps requests unless told not to", {"store": False}),
            "G>G": carried,
        },
    ),
    Row(
        "store: false",
        {"C": {"store": False}, "R": {"store": False}, "G": {"store": False}},
        {
            **ALL,
            "A": changed("unsaid: nothing is kept for callers", {"store": GONE}),
            "G>C": changed("unsaid: nothing is kept for callers", {"store": GONE}),
        },
    ),
    Row(
        "previous_response_id",
        {"R": {"previous_response_id": "resp_1"}},
        {
            **dict.fromkeys("CAG", refused(NOT_FOUND, "previous_id")),
            "R": carried,
        },
    ),
    Row(
        "conversation",
        {"R": {"conversation": "conv_1"}},
        {**dict.fromkeys("CAG", refused("400 `unfit`", "extra.conversation")), "R": carried},
    ),
    Row(
        "prompt by id",
        {"R": {"prompt": {"id": "pmpt_1", "version": "2"}}},
        {**dict.fromkeys("CAG", refused("400 `unfit`", "extra.prompt")), "R": carried},
    ),
    Row(
        "cachedContent",
        {"G": {"cachedContent": "cachedContents/c1"}},
        {**dict.fromkeys("CRA", refused("400 `unfit`", "extra.cachedContent")), "G": carried},
    ),
]
SETTINGS = [*THINKING, *OUTPUT, *SAMPLING, *REST]
