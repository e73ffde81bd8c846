"""OpenAI chat completions, spoken by OpenAI and by everything compatible with it.

Parts: `openai_chat_read` and `_messages` (request → Ask), `_write` and `_write_messages` (Ask → request),
`_answer` and `_reply` (whole replies), `_stream` and `_stream_write` (streams), `_tap`, `_outline`, `_usage`,
`_errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ..errors import TierwiseError, UpstreamStatus
from ..nouns import Answer, Ask, DialectName, Model, Outline, Usage
from . import openai_chat_errors, openai_chat_usage, spans
from .base import Dialect, Written
from .openai_chat_answer import read_answer
from .openai_chat_outline import outline
from .openai_chat_read import read_request
from .openai_chat_reply import write_answer
from .openai_chat_stream import ChatReader
from .openai_chat_stream_write import ChatWriter
from .openai_chat_tap import ChatTap
from .openai_chat_write import write_request

_MODEL = re.compile(rb'"model"\s*:\s*("(?:[^"\\]|\\.)*")')


class _Named(Struct):
    model: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


class OpenAIChat:
    """The Dialect `openai_chat`."""

    name: DialectName = "openai_chat"

    def outline(self, body: bytes) -> Outline:
        return outline(body)

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> Ask:
        return read_request(body)

    def write_request(self, ask: Ask, model: Model) -> Written:
        return write_request(ask, model)

    def replace_model(self, body: bytes, model_id: str) -> bytes:
        return spans.replace_text(body, "model", model_id)

    def strip(self, body: bytes, names: tuple[str, ...]) -> bytes:
        return spans.strip(body, names)

    def read_answer(self, body: bytes) -> Answer:
        return read_answer(body)

    def write_answer(self, answer: Answer, ask: Ask) -> Written:
        return write_answer(answer, ask)

    def usage(self, body: bytes) -> Usage | None:
        return openai_chat_usage.find(body)

    def served_model(self, body: bytes) -> str | None:
        # Nearly every server names the model before the choices; elsewhere the key may be the answer's own.
        match = _MODEL.search(body, 0, max(body.find(b'"choices"'), 0))
        try:
            return msgspec.json.decode(match[1], type=str) if match else _NAMED.decode(body).model
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def reader(self) -> ChatReader:
        return ChatReader()

    def writer(self, ask: Ask) -> ChatWriter:
        return ChatWriter(ask)

    def tap(self, include_usage: bool) -> ChatTap:
        return ChatTap()  # it counts exactly either way: nothing is saved by knowing

    def write_error(
        self, error: TierwiseError, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return openai_chat_errors.write_error(error, request_id)

    def write_stream_error(self, error: TierwiseError) -> bytes:
        return openai_chat_errors.write_stream_error(error)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
        return openai_chat_errors.read_error(status, headers, body)

    def path(self, model_id: str, stream: bool) -> str:
        return "/chat/completions"

    def credentials(self, secret: str) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", b"Bearer " + secret.encode())]


DIALECT: Dialect = OpenAIChat()
