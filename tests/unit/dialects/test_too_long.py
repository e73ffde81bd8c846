"""A prompt that is too long is told in the words that a vendor's clients look for."""

from __future__ import annotations

import json

import pytest

from tierwise.dialects import registry
from tierwise.errors import BadRequest, TierwiseError, Unfit, UpstreamStatus


def told(caller: str, error: TierwiseError) -> tuple[str | None, str]:
    """The code and the message that a caller of this dialect gets."""
    body = json.loads(registry.get(caller).write_error(error, "ex_1")[2])
    return body["error"].get("code"), body["error"]["message"]


@pytest.mark.parametrize(
    "error",
    [
        UpstreamStatus(400, "prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
        UpstreamStatus(400, "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"),
        UpstreamStatus(400, "Too much.", "context_length_exceeded"),
        UpstreamStatus(400, "This model's maximum context length is 4096 tokens. You requested 5000.", "400"),
        UpstreamStatus(400, "Your input exceeds the context window of this model."),
        UpstreamStatus(400, "Input tokens exceed the configured limit of 9 tokens. Yours resulted in 10."),
        UpstreamStatus(400, "The input token count (9) exceeds the maximum number of tokens allowed (8)."),
        Unfit("No tier fits. haiku: context 200000, the prompt needs about 300000 tokens."),
    ],
)
def test_every_vendors_words_are_told_in_the_callers(error: TierwiseError) -> None:
    for dialect, words in (
        ("openai_chat", "Input tokens exceed the configured limit"),
        ("openai_responses", "Input tokens exceed the configured limit"),
        ("anthropic_messages", "prompt is too long"),
        ("gemini", "exceeds the maximum number of tokens allowed"),
    ):
        code, message = told(dialect, error)
        assert "openai" not in dialect or code == "context_length_exceeded"
        assert message.count(words) == 1
        assert error.message in message


@pytest.mark.parametrize(
    "error",
    [
        UpstreamStatus(400, "max_tokens is too large"),
        UpstreamStatus(500, "maximum context length"),
        BadRequest("prompt is too long"),
        Unfit("No tier fits. haiku: no vision."),
    ],
)
def test_other_errors_stay_what_they_are(error: TierwiseError) -> None:
    assert told("openai_chat", error)[0] != "context_length_exceeded"
    assert told("anthropic_messages", error)[1] == error.message
