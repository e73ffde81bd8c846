"""The Anthropic Messages dialect: `POST /v1/messages`, API versions 2023-06-01 and 2026-10-21.

Decisions that are the dialect's own:
- Unsigned thinking in a history is another vendor's: it is dropped on the way to a provider, never sent as
  text.
- `metadata.task` and the `provider` extension speak to the gateway and go no further.
- Vendor blocks (server tools, MCP, search results …) travel whole as Opaque parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import Answer, Ask, Model, Outline, Usage
from .. import spans
from ..base import Dialect, Written
from . import answer as answers
from . import errors as errors
from .outline import outline
from .read import read_request
from .reader import Reader
from .tap import Tap
from .usage import usage_in
from .write import write_request
from .writer import Writer


class _Named(Struct):
    model: str | None = None


_NAMED = msgspec.json.Decoder(_Named)


class AnthropicMessages:
    """Holds no state: one object serves every call."""

    @property
    def name(self) -> Literal["anthropic_messages"]:
        return "anthropic_messages"

    def outline(self, body: bytes) -> Outline:
        return outline(body)

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> Ask:
        return read_request(body, headers)

    def write_request(self, ask: Ask, model: Model) -> Written:
        return write_request(ask, model)

    def replace_model(self, body: bytes, model_id: str) -> bytes:
        return spans.replace_text(body, "model", model_id)

    def read_answer(self, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, ask: Ask) -> Written:
        return answers.write_answer(answer, ask)

    def usage(self, body: bytes) -> Usage | None:
        return usage_in(body)

    def served_model(self, body: bytes) -> str | None:
        """The reply's `model`; None when it names none or is no JSON object."""
        try:
            return _NAMED.decode(body).model
        except msgspec.DecodeError:
            return None

    def reader(self) -> Reader:
        return Reader()

    def writer(self, ask: Ask) -> Writer:
        return Writer(ask)

    def tap(self) -> Tap:
        return Tap()

    def write_error(
        self, error: TierwiseError, request_id: str
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        return errors.write_error(error, request_id)

    def write_stream_error(self, error: TierwiseError) -> bytes:
        return errors.write_stream_error(error)

    def read_error(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamStatus:
        return errors.read_error(status, headers, body)

    def path(self, model_id: str, stream: bool) -> str:
        return "/v1/messages"

    def credentials(self, secret: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-api-key", secret.encode())]


DIALECT: Dialect = AnthropicMessages()
