"""Embeddings of OpenAI and Gemini: hashed words, so that texts that share words lie close together."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import msgspec

from ..faults import Frame
from ..profile import Profile
from ..prompt import Answering, Block, Prompt, Rejected, count
from .face import Head, limit_of, list_of, table_of, text_of
from .gemini import Gemini
from .openai_chat import error_of, model_of, openai_headers


class OpenAIEmbeddings:
    name = "openai_embeddings"

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        prompt = Prompt(model=model_of(body), purpose="embed", asked=body)
        given = body.get("input")
        if not given and given != [0]:
            raise Rejected(400, "'$.input' is invalid: it must not be empty.", "input", "invalid_value")
        if isinstance(given, str) or (isinstance(given, list) and isinstance(given[0], int)):
            given = [given]
        for i, item in enumerate(list_of(given, "input")):
            if isinstance(item, list):
                text, tokens = " ".join(str(token) for token in item), len(item)
            else:
                text = text_of(item, f"input[{i}]")
                tokens = max(1, count(text))
            prompt.turns.append(text)
            prompt.blocks.append(Block(text.encode(errors="surrogatepass"), tokens))
        limit_of(body.get("dimensions"), "dimensions")
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        prompt = answering.prompt
        size = prompt.asked.get("dimensions") or (3072 if "large" in prompt.model else 1536)
        packed = prompt.asked.get("encoding_format") == "base64"
        rows = []
        for i, text in enumerate(prompt.turns):
            numbers = vector(text, size)
            value: Any = numbers
            if packed:
                value = base64.b64encode(struct.pack(f"<{size}f", *numbers)).decode()
            rows.append({"object": "embedding", "index": i, "embedding": value})
        reply: dict[str, Any] = {"object": "list", "data": rows, "model": prompt.model}
        if usage:
            total = answering.used.prompt()
            reply["usage"] = {"prompt_tokens": total, "total_tokens": total}
        return msgspec.json.encode(reply)

    def frames(self, answering: Answering, usage: bool) -> list[Frame]:
        return []

    def error(self, rejected: Rejected, request_id: str) -> bytes:
        return msgspec.json.encode({"error": error_of(rejected)})

    def error_frame(self, rejected: Rejected, answering: Answering) -> bytes:
        return b""

    def headers(self, request_id: str) -> list[tuple[bytes, bytes]]:
        return openai_headers(request_id)


class GeminiEmbeddings(Gemini):
    """POST …:embedContent and …:batchEmbedContents."""

    def read(self, body: dict[str, Any], head: Head, profile: Profile) -> Prompt:
        prompt = Prompt(model=head.model, purpose="embed", asked=body)
        for i, request in enumerate(list_of(body.get("requests"), "requests") or [body]):
            content = table_of(table_of(request, f"requests[{i}]").get("content"), "content")
            parts = list_of(content.get("parts"), "content.parts")
            text = "\n".join(text_of(table_of(part, "content.parts").get("text"), "text") for part in parts)
            if not text:
                raise Rejected(400, "* EmbedContentRequest.content: content is required", "content")
            prompt.turns.append(text)
            prompt.blocks.append(Block(text.encode(errors="surrogatepass"), max(1, count(text))))
        return prompt

    def plain(self, answering: Answering, usage: bool) -> bytes:
        prompt = answering.prompt
        requests = prompt.asked.get("requests")
        sizes = [each.get("outputDimensionality") or 3072 for each in requests or [prompt.asked]]
        found = [{"values": vector(text, size)} for text, size in zip(prompt.turns, sizes, strict=True)]
        reply: dict[str, Any] = {"embedding": found[0]} if requests is None else {"embeddings": found}
        if usage:
            reply["usageMetadata"] = {"promptTokenCount": answering.used.prompt()}
        return msgspec.json.encode(reply)


def vector(text: str, size: int) -> list[float]:
    """A vector of length 1 in `size` dimensions. Each word adds to four of them (feature hashing)."""
    sums = [0.0] * size
    for word in text.lower().split() or [text]:
        for salt in range(4):
            hashed = zlib.crc32(f"{salt}{word}".encode(errors="surrogatepass"))
            sums[hashed % size] += 1.0 if hashed & 0x40000000 else -1.0
    norm = sum(number * number for number in sums) ** 0.5
    if not norm:
        sums[0] = norm = 1.0
    return [number / norm for number in sums]
