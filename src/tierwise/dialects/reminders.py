"""System messages in mid-conversation, for models that take them only at the beginning."""

from __future__ import annotations

from msgspec.structs import replace

from ..nouns import Message, Text

_OPEN, _CLOSE = "<system-reminder>", "</system-reminder>"


def reminder(message: Message) -> Message:
    """`message` as the user's, its texts in the tags that Claude Code puts around reminders of its own: a
    model can tell them from the user's words.
    """
    parts = tuple(
        replace(part, text=f"{_OPEN}\n{part.text}\n{_CLOSE}")
        if isinstance(part, Text) and part.text and not part.text.startswith(_OPEN)
        else part
        for part in message.parts
    )
    return replace(message, role="user", parts=parts)
