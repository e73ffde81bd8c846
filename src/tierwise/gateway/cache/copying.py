"""Copying: stands before a Reply and keeps a copy of what goes by; and whether the copy may be kept."""

from __future__ import annotations

from tierwise.dialects.base import Dialect
from tierwise.dialects.whole import answer_of
from tierwise.errors import TierwiseError
from tierwise.http1 import Block, Reply
from tierwise.nouns import Answer, Choice, FinishReason, Text, Thinking
from tierwise.upstream import Header

from ..passing import Passing

# Ends that the same request would reach again. A length, a filter or a pause is no whole answer.
_WHOLE: frozenset[FinishReason] = frozenset(("stop", "stop_sequence", "tool_calls"))


class Copying(Passing):
    """Has a Reply's methods. `body` is the copy, None once it is longer than `most` bytes."""

    def __init__(self, reply: Reply, most: int) -> None:
        super().__init__(reply)
        self._left = most
        self._pieces: list[bytes] = []

    @property
    def body(self) -> bytes | None:
        return b"".join(self._pieces) if self._left >= 0 else None

    def send(self, status: int, headers: list[Header] | Block, body: bytes = b"") -> None:
        """As the Reply's."""
        self._take(body)
        self._reply.send(status, headers, body)

    async def write(self, data: bytes) -> None:
        """As the Reply's."""
        self._take(data)
        await self._reply.write(data)

    def end(self, last: bytes = b"") -> None:
        """As the Reply's."""
        self._take(last)
        self._reply.end(last)

    def _take(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._pieces.append(data)
        else:
            self._pieces.clear()


def read_whole(dialect: Dialect, body: bytes, streamed: bool) -> Answer | None:
    """The Answer that `body` tells; None when it tells none, or one that was cut short."""
    try:
        if streamed:
            reader = dialect.reader()
            answer = answer_of([*reader.feed(body), *reader.finish()])
        else:
            answer = dialect.read_answer(body)
    except TierwiseError:
        return None
    if answer is None or not answer.choices:
        return None
    return answer if all(choice.finish in _WHOLE and _says(choice) for choice in answer.choices) else None


def _says(choice: Choice) -> bool:
    """Whether it is more than thoughts and empty text: a model that said nothing may say something when it is
    asked again."""
    return any(
        part.text.strip() if isinstance(part, Text) else not isinstance(part, Thinking)
        for part in choice.parts
    )
