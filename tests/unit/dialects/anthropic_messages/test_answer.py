"""Anthropic's whole replies, their usage, and errors both ways."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.errors import (
    BadRequest,
    BudgetRefused,
    DeadlineMissed,
    Forbidden,
    LimitRefused,
    NoTier,
    Overloaded,
    StoreError,
    TierwiseError,
    TooLarge,
    Unauthenticated,
    UnknownModel,
    UpstreamBroke,
    UpstreamStatus,
)
from tierwise.nouns import (
    Answer,
    Ask,
    Choice,
    Citation,
    Message,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from tierwise.routing import failure_of

SCHEMAS = Path(__file__).parents[5] / "shared" / "data" / "schemas"
DIALECT = registry.get("anthropic_messages")
ASK = Ask("anthropic_messages", "claude-x", (Message("user", (Text("hi"),)),), raw=b"")


@cache
def schema(name: str) -> Any:
    """A validator of one of the SDK's types; None where the schemas are not beside the checkout."""
    jsonschema = pytest.importorskip("jsonschema")
    path = SCHEMAS / f"anthropic-2.12.0-{name}.schema.json"
    return jsonschema.Draft202012Validator(json.loads(path.read_text())) if path.exists() else None


def validate(value: dict[str, Any], name: str) -> None:
    if (check := schema(name)) is not None:
        check.validate(value)


def reply(*content: dict[str, Any], **fields: Any) -> bytes:
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
        **fields,
    }
    return json.dumps(whole).encode()


def write(*parts: Any, ask: Ask = ASK, **choice: Any) -> tuple[dict[str, Any], list[str]]:
    answer = Answer("msg_1", "claude-x", (Choice(parts, **choice),), Usage(input=3, output=5))
    out = DIALECT.write_answer(answer, ask)
    body = json.loads(out.body)
    validate(body, "Message")
    return body, [loss.name for loss in out.losses]


def test_every_block_is_read_and_written_back() -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "zz"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        {
            "type": "text",
            "text": "so",
            "citations": [
                {"type": "char_location", "cited_text": "c", "document_index": 0, "start_char_index": 0,
                 "end_char_index": 1, "document_title": None, "file_id": None}
            ],
        },
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, 2.5]},
         "caller": {"type": "direct"}},
    ]  # fmt: skip
    answer = DIALECT.read_answer(reply(*content, stop_reason="tool_use"))
    (choice,) = answer.choices
    assert choice.finish == "tool_calls"
    assert [type(part).__name__ for part in choice.parts] == [
        "Thinking", "Thinking", "Opaque", "Opaque", "Text", "ToolCall",
    ]  # fmt: skip
    assert choice.parts[-1] == ToolCall("toolu_1", "f", '{"a":[1,2.5]}')
    out = json.loads(DIALECT.write_answer(answer, ASK).body)
    del content[-1]["caller"]
    assert out["content"] == content
    assert out["stop_reason"] == "tool_use"
    assert DIALECT.write_answer(answer, ASK).losses == ()


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("end_turn", "stop"), ("max_tokens", "length"), ("stop_sequence", "stop_sequence"),
        ("pause_turn", "pause"), ("refusal", "refusal"), ("model_context_window_exceeded", "context"),
        (None, "stop"), ("novel", "stop"),
    ],
)  # fmt: skip
def test_stop_reasons(word: str | None, finish: str) -> None:
    answer = DIALECT.read_answer(reply(stop_reason=word, stop_sequence="END"))
    assert (answer.choices[0].finish, answer.choices[0].stop_sequence) == (finish, "END")
    back = json.loads(DIALECT.write_answer(answer, ASK).body)["stop_reason"]
    assert back == ("end_turn" if word in ("novel", None) else word)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"id":1,"content":[]}', b'{"id":"m","content":[{}]}', b"\xff"]
)
def test_a_malformed_reply_is_the_providers_fault(body: bytes) -> None:
    with pytest.raises(UpstreamBroke):
        DIALECT.read_answer(body)


FULL = {
    "input_tokens": 7,
    "cache_creation_input_tokens": 30,
    "cache_read_input_tokens": 100,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 40},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1},
    "service_tier": "standard",
}


def test_usage_is_read_into_disjoint_buckets() -> None:
    expected = Usage(7, 100, 10, 20, 50, 40, {"web_search": 2})
    answer = DIALECT.read_answer(reply(usage=FULL))
    assert answer.usage == expected
    assert answer.usage.prompt == 137
    assert answer.service_tier == "standard"
    assert DIALECT.usage(reply(usage=FULL)) == expected
    out = json.loads(DIALECT.write_answer(answer, ASK).body)
    assert out["usage"] == {**FULL, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0}}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": 9}, Usage(1, 0, 9, 0, 2)),
        ({"input_tokens": 1, "output_tokens": 2, "cache_creation_input_tokens": None}, Usage(1, 0, 0, 0, 2)),
        ({"input_tokens": 1, "output_tokens": 2, "iterations": [
            {"type": "message", "input_tokens": 1, "output_tokens": 2},
            {"type": "compaction", "input_tokens": 50, "cache_creation_input_tokens": 5, "output_tokens": 7,
             "cache_read_input_tokens": 20, "cache_creation": {"ephemeral_1h_input_tokens": 5}},
            {"type": "advisor_message", "model": "other", "input_tokens": 30, "output_tokens": 3},
        ]}, Usage(51, 20, 0, 5, 9, extra={"advisor_tokens": 33}, others=(("other", Usage(30, output=3)),))),
        ({"input_tokens": 2, "cache_read_input_tokens": 9, "output_tokens": 50, "iterations": [
            {"type": "message", "model": "asked", "input_tokens": 2, "cache_creation_input_tokens": 9,
             "output_tokens": 4},
            {"type": "message", "model": "second", "input_tokens": 11, "output_tokens": 0},
            {"type": "fallback_message", "model": "third", "input_tokens": 2, "cache_read_input_tokens": 9,
             "output_tokens": 50},
        ]}, Usage(2, 0, 9, 0, 4, extra={"fallback_tokens": 61}, others=(("third", Usage(2, 9, output=50)),))),
        ({**FULL, "cache_creation_input_tokens": 35}, Usage(7, 100, 15, 20, 50, 40, {"web_search": 2})),
        ({**FULL, "cache_creation_input_tokens": None}, Usage(7, 100, 10, 20, 50, 40, {"web_search": 2})),
    ],
)  # fmt: skip
def test_everything_billed_is_counted_in_one_bucket(told: dict[str, Any], expected: Usage) -> None:
    assert DIALECT.usage(reply(usage=told)) == expected


def test_usage_is_found_wherever_it_stands() -> None:
    given = {"usage": {"input_tokens": 99, "output_tokens": 9}}
    decoy = {"type": "tool_use", "id": "t", "name": "n", "input": given}
    last = reply(decoy)
    whole = json.loads(last)
    first = json.dumps({"usage": whole.pop("usage"), **whole}, indent=1).encode()
    for body in (last, first, last + b"\n"):
        assert DIALECT.usage(body) == Usage(input=3, output=5)
        assert DIALECT.served_model(body) == "claude-x"
    for body in (b"", b"{}", b"not json", b'{"usage":', b'{"content":[{"usage":{"input_tokens":4}}]}'):
        assert DIALECT.usage(body) is None
        assert DIALECT.served_model(body) is None


def test_parts_of_other_vendors() -> None:
    body, losses = write(
        Thinking("theirs", origin="openai_chat"),
        Thinking(encrypted="x", origin="openai_responses"),
        Text(""),
        Text("so", citations=(Citation({"u": 1}, "gemini"),)),
        Opaque("openai_responses", "web_search_call", {"type": "web_search_call"}),
    )
    assert body["content"] == [
        {"type": "thinking", "thinking": "theirs", "signature": ""},
        {"type": "text", "text": "so"},
    ]
    assert losses == ["thinking.redacted", "answer.citations", "opaque.web_search_call"]
    quiet = Ask("anthropic_messages", "m", (), reasoning=Reasoning("disabled"))
    body, losses = write(Thinking("theirs"), Text("so"), ask=quiet)
    assert body["content"] == [{"type": "text", "text": "so"}]
    assert losses == ["thinking.text"]


def test_what_the_blocks_show_outranks_a_vague_stop() -> None:
    assert write(ToolCall("t", "f", "{}"), finish="stop")[0]["stop_reason"] == "tool_use"
    assert write(Text("x"), finish="tool_calls")[0]["stop_reason"] == "end_turn"
    body, losses = write(Refusal("no"), finish="stop")
    assert (body["stop_reason"], losses) == ("refusal", ["answer.refusal"])
    body, losses = write(Text("x"), finish="error")
    assert (body["stop_reason"], losses) == ("end_turn", ["stop.reason"])


def test_arguments_that_are_no_object() -> None:
    body, losses = write(
        ToolCall("", "f", "{oops"), ToolCall("b", "f", ""), ToolCall("c", "f", "free", custom=True)
    )
    assert [block["input"] for block in body["content"]] == [
        {"raw_arguments": "{oops"},
        {},
        {"input": "free"},
    ]
    assert body["content"][0]["id"]
    assert losses == ["tool_call.arguments"]


def test_a_reply_without_usage_or_with_more_choices() -> None:
    asked = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 700}]}
    ask = DIALECT.read_request(json.dumps(asked).encode(), {})
    answer = Answer("chatcmpl-1", "gpt", (Choice((Text("a"),)), Choice((Text("b"),))), extras={"odd": 1})
    out = DIALECT.write_answer(answer, ask)
    body = json.loads(out.body)
    assert (body["id"], body["model"]) == ("msg_chatcmpl-1", "gpt")
    assert 200 <= body["usage"]["input_tokens"] <= 240
    assert body["usage"]["output_tokens"] >= 1
    assert [loss.name for loss in out.losses] == ["answer.choices", "answer_extra.odd"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "retry"),
    [
        (BadRequest("x", "do y"), 400, "invalid_request_error", "false"),
        (Unauthenticated("x"), 401, "authentication_error", "false"),
        (BudgetRefused("x"), 402, "billing_error", "false"),
        (Forbidden("x"), 403, "permission_error", "false"),
        (UnknownModel("x"), 404, "not_found_error", "false"),
        (TooLarge("x"), 413, "request_too_large", "false"),
        (LimitRefused("x", retry_after_s=2.2), 429, "rate_limit_error", "true"),
        (NoTier("x"), 503, "api_error", "false"),
        (Overloaded("x"), 529, "overloaded_error", "true"),
        (DeadlineMissed("x"), 504, "timeout_error", "false"),
        (StoreError("x"), 503, "api_error", "true"),
        (UpstreamBroke("x"), 502, "api_error", "false"),
        (UpstreamStatus(529, "x"), 529, "overloaded_error", "false"),
        (UpstreamStatus(503, "x", "server_is_overloaded"), 529, "overloaded_error", "false"),
        (UpstreamStatus(429, "x", "insufficient_quota"), 429, "rate_limit_error", "false"),
        (UpstreamStatus(418, "x"), 418, "invalid_request_error", "false"),
        (TierwiseError("x"), 500, "api_error", "false"),
    ],
)
def test_errors_are_told_in_anthropics_words(
    error: TierwiseError, status: int, kind: str, retry: str
) -> None:
    told, headers, raw = DIALECT.write_error(error, "req_1")
    body = json.loads(raw)
    if kind != "request_too_large":  # known to the API, absent from the SDK's types
        validate(body, "ErrorResponse")
    assert (told, body["error"]["type"], body["request_id"]) == (status, kind, "req_1")
    assert body["error"]["message"] == error.sentence()
    assert dict(headers)[b"x-should-retry"] == retry.encode()
    assert dict(headers)[b"request-id"] == b"req_1"
    stream = DIALECT.write_stream_error(error).decode()
    assert stream.startswith("event: error\ndata: ")
    assert json.loads(stream.split("data: ")[1])["error"]["type"] == kind


def test_only_short_waits_are_told() -> None:
    assert dict(DIALECT.write_error(LimitRefused("x", retry_after_s=2.2), "r")[1])[b"retry-after"] == b"3"
    assert dict(DIALECT.write_error(LimitRefused("x", retry_after_s=300), "r")[1])[b"retry-after"] == b"60"
    assert b"retry-after" not in dict(DIALECT.write_error(LimitRefused("x", retry_after_s=None), "r")[1])
    assert b"retry-after" not in dict(DIALECT.write_error(BudgetRefused("x"), "r")[1])


@pytest.mark.parametrize(
    ("status", "kind", "message", "details", "read", "told"),
    [
        (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", None,
         (402, "billing_error"), 402),
        (429, "rate_limit_error", "x", {"error_code": "contract_spend_limit_reached"},
         (429, "contract_spend_limit_reached"), 429),
        (429, "rate_limit_error", "This would exceed your account's monthly spend limit.", None,
         (429, "spend_limit_exceeded"), 429),
        (429, "rate_limit_error", "Slow down.", {"error_code": None}, (429, "rate_limit_error"), 429),
        (400, "invalid_request_error", "max_tokens: too low", None, (400, "invalid_request_error"), 400),
    ],
)  # fmt: skip
def test_an_account_that_is_out_of_money_is_told_from_a_wrong_request(
    status: int, kind: str, message: str, details: object, read: tuple[int, str], told: int
) -> None:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message, "details": details}})
    error = DIALECT.read_error(status, {}, body.encode())
    assert (error.status, error.code) == read
    assert failure_of(error, "sent").spent is (read[1] not in ("rate_limit_error", "invalid_request_error"))
    assert DIALECT.write_error(error, "r")[::2] == (told, body.encode())  # in its own words


def test_a_providers_error_is_read_and_passed_on_as_it_came() -> None:
    body = (
        b'{"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}, "request_id": "req_up"}'
    )
    error = DIALECT.read_error(429, {"retry-after": "7"}, body)
    assert (error.status, error.code, error.message) == (429, "rate_limit_error", "slow")
    assert (error.retry_after_s, error.retry) == (7.0, "next_tier")
    status, headers, out = DIALECT.write_error(error, "req_1")
    assert (status, out) == (429, body)
    assert dict(headers)[b"retry-after"] == b"7"


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected"),
    [
        (500, {}, b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', (500, "m", None)),
        (502, {}, b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', (529, "m", None)),
        (502, {}, b'{"type":"error","error":{"type":"api_error","message":"m"}}', (502, "m", None)),
        (500, {}, b'{"type":"error","error":{"type":"not_found_error","message":"m"}}', (404, "m", None)),
        (500, {"retry-after-ms": "1500"}, b'{"error":"plain"}', (500, "plain", 1.5)),
        (502, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"<p>bad</p>", (502, "<p>bad</p>", None)),
        (503, {"retry-after": "-1"}, b"", (503, "The provider answered 503.", None)),
        (400, {}, b'{"error":{"message":null}}', (400, '{"error":{"message":null}}', None)),
        (400, {}, b"[1]", (400, "[1]", None)),
    ],
)
def test_odd_provider_errors(status: int, headers: dict[str, str], body: bytes, expected: Any) -> None:
    error = DIALECT.read_error(status, headers, body)
    assert (error.status, error.message, error.retry_after_s) == expected


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_a_providers_status_outranks_its_words(status: int) -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}'
    told, _, raw = DIALECT.write_error(DIALECT.read_error(status, {}, body), "req_1")
    busy = status in (503, 529)
    assert (told, raw == body) == (529 if busy else status, status != 503)


def test_where_and_how_to_call() -> None:
    assert DIALECT.path("claude-x", True) == "/v1/messages"
    assert DIALECT.credentials("k") == [(b"x-api-key", b"k")]
    assert DIALECT.name == "anthropic_messages"
