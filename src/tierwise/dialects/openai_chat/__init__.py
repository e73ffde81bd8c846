"""OpenAI chat completions, spoken by OpenAI and by everything compatible with it.

Parts: `read` and `messages` (request → Ask), `write` and `write_messages` (Ask → request),
`answer` and `reply` (whole replies), `stream` and `stream_write` (streams), `tap`, `outline`, `usage`,
`errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import Answer, Ask, DialectName, Model, Outline, Usage
from .. import spans
from ..base import Dialect, Written
from . import errors, usage
from .answer import read_answer
from .outline import outline
from .read import read_request
from .reply import write_answer
from .stream import ChatReader
from .stream_write import ChatWriter
from .tap import ChatTap
from .write import write_request

_MODEL = re.compile(rb'"model"\s*:\s*("[^"\\]*(?:\\.[^"\\]*)*")')


class _Named(Struct):
    model: str | None = None


_NAMED = msgspec.json.Decoder(_Named)
_TEXT = msgspec.json.Decoder(str)


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

    def read_answer(self, body: bytes) -> Answer:
        return read_answer(body)

    def write_answer(self, answer: Answer, ask: Ask) -> Written:
        return write_answer(answer, ask)

    def usage(self, body: bytes) -> Usage | None:
        return usage.find(body)

    def served_model(self, body: bytes) -> str | None:
        # Nearly every server names the model before the choices; elsewhere the key may be the answer's own.
        match = _MODEL.search(body, 0, max(body.find(b'"choices"'), 0))
        try:
            return _TEXT.decode(match[1]) if match else _NAMED.decode(body).model
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def reader(self) -> ChatReader:
        return ChatReader()

    def writer(self, ask: Ask) -> ChatWriter:
        return ChatWriter(ask)

    def tap(self) -> ChatTap:
        return ChatTap()

    def write_error(
        self, error: TierwiseError, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return errors.write_error(error, request_id)

    def write_stream_error(self, error: TierwiseError) -> bytes:
        return errors.write_stream_error(error)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
        return errors.read_error(status, headers, body)

    def path(self, model_id: str, stream: bool) -> str:
        return "/chat/completions"

    def credentials(self, secret: str) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", b"Bearer " + secret.encode())]


DIALECT: Dialect = OpenAIChat()
