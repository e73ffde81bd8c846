"""The Gemini dialect: `models/…:generateContent` and `:streamGenerateContent` of API version v1beta.

Decisions that are the dialect's own:
- The path says the model and whether to stream; both are left for the gateway to fill in.
- Names are read in camelCase and snake_case, and written in camelCase.
- A call without an id gets one; responses find their call by id, else by name and order.
- Thoughts and signatures are replayed to Gemini only. Calls that no Gemini model made carry the documented
  signature `skip_thought_signature_validator`, both to Gemini 3 and later and to callers, whose history may
  go there.
- Caching is implicit there, so cache breakpoints are Losses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from ...errors import TierwiseError, UpstreamStatus
from ...nouns import Answer, Ask, Model, Outline, Usage
from ..base import Dialect, Written
from . import answer as answers
from . import errors, reply, usage
from . import outline as outlines
from . import read as reading
from . import write as writing
from .array import ArrayForm
from .fields import NAME
from .reader import Reader
from .tap import Tap
from .writer import Writer

__all__ = ["DIALECT", "ArrayForm", "Gemini"]


class _Named(Struct):
    model: str | None = field(name="modelVersion", default=None)


_NAMED = msgspec.json.Decoder(_Named)


class Gemini:
    """Holds no state: one object serves every call."""

    @property
    def name(self) -> Literal["gemini"]:
        return NAME

    def outline(self, body: bytes) -> Outline:
        return outlines.outline(body)

    def read_request(self, body: bytes, headers: Mapping[str, str]) -> Ask:
        return reading.read_request(body)

    def write_request(self, ask: Ask, model: Model) -> Written:
        return writing.write_request(ask, model)

    def replace_model(self, body: bytes, model_id: str) -> bytes:
        """The body as it is: the path names the model."""
        return body

    def read_answer(self, body: bytes) -> Answer:
        return answers.read_answer(body)

    def write_answer(self, answer: Answer, ask: Ask) -> Written:
        return reply.write_answer(answer, ask)

    def usage(self, body: bytes) -> Usage | None:
        return usage.usage_in(body)

    def served_model(self, body: bytes) -> str | None:
        """The reply's `modelVersion`, read off its end where that can be; None when it names none."""
        at = body.rfind(b'"modelVersion"')
        for text in (b"{" + body[at:], body) if at >= 0 else ():
            try:
                return _NAMED.decode(text).model
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
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
        """Ids such as `google/gemini-3.1-flash-lite` keep their slash; what no path may hold is encoded."""
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{quote(model_id, safe='/@.:-_~')}:{verb}"

    def credentials(self, secret: str) -> list[tuple[bytes, bytes]]:
        return [(b"x-goog-api-key", secret.encode())]


DIALECT: Dialect = Gemini()
