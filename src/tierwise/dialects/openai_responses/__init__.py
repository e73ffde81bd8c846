"""The OpenAI Responses dialect: `POST /v1/responses`.

Parts: `outline`; `read`, `items`, `parts`, `tools` (request → Ask); `write`, `turns`, `tools` (Ask →
request); `answer` and `reader` (what a provider says); `writer`, `assembly`, `response` (what a caller is
told); `replay` (other vendors' thinking); `tap`, `usage`, `errors`, `names`; `from_chat` (shared with the
chat dialect).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import Answer, Ask, Model, Outline, Usage
from .. import spans
from ..base import Dialect, Written
from . import errors, from_chat, usage
from .answer import read_answer
from .outline import outline
from .read import read_request
from .reader import Reader
from .tap import Tap
from .write import write_request
from .writer import Writer, write_answer


class OpenAIResponses:
    """Holds no state: one object serves every call."""

    @property
    def name(self) -> Literal["openai_responses"]:
        return "openai_responses"

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
        response = usage.decode(body)
        return None if response is None else usage.usage_of(response)

    def served_model(self, body: bytes) -> str | None:
        response = usage.decode(body)
        return None if response is None else response.model

    def reader(self) -> Reader:
        return Reader()

    def writer(self, ask: Ask) -> Writer:
        return Writer(ask)

    def tap(self) -> Tap:
        return Tap()

    def write_error(
        self, error: TierwiseError, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return from_chat.write_error(error, request_id)

    def write_stream_error(self, error: TierwiseError) -> bytes:
        return errors.write_stream_error(error)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
        return from_chat.read_error(status, headers, body)

    def path(self, model_id: str, stream: bool) -> str:
        return "/responses"

    def credentials(self, secret: str) -> list[tuple[bytes, bytes]]:
        return [(b"authorization", b"Bearer " + secret.encode())]


DIALECT: Dialect = OpenAIResponses()
