"""A prompt longer than the model's context, in each vendor's words.

Clients shorten the conversation and go on, but only when they are told in their own vendor's words: Claude
Code looks for Anthropic's message, Codex for OpenAI's code, LangChain for the message of each.
"""

from __future__ import annotations

import re

from ..errors import TierwiseError, Unfit, UpstreamStatus

OPENAI_CODE = "context_length_exceeded"
ANTHROPIC_WORDS = "prompt is too long"
GOOGLE_WORDS = "exceeds the maximum number of tokens allowed"
OPENAI_WORDS = "Input tokens exceed the configured limit"
# Anthropic, OpenAI and those like it, Google, and `routing.fit`.
_WORDS = re.compile(
    rf"{ANTHROPIC_WORDS}|{OPENAI_WORDS}|maximum context length|exceeds? (?:the |this )?(?:model's )?context"
    r"|exceeds the maximum number of tokens|the prompt needs about \d+ tokens",
    re.IGNORECASE,
)


def too_long(error: TierwiseError) -> bool:
    """Whether `error` says so: a refusal by a provider, or by every tier's own limit."""
    if not isinstance(error, Unfit | UpstreamStatus) or error.status != 400:
        return False
    code = error.code if isinstance(error, UpstreamStatus) else ""
    return code == OPENAI_CODE or _WORDS.search(error.message) is not None


def worded(error: TierwiseError, message: str, words: str) -> str:
    """`message`, with the vendor's `words` before it where it tells that the prompt is too long without
    them.
    """
    return f"{words}: {message}" if too_long(error) and words.lower() not in message.lower() else message
