"""What the tests of the response cache share: a gateway before a provider of every dialect."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import live
import provider
from conformance.matrix import BASES, CODES
from conformance.matrix_replies import HELLO_REPLY
from conformance.matrix_streams import assembled, streamed

CHAT = "/v1/chat/completions"
PATHS = {"C": CHAT, "R": "/v1/responses", "A": "/anthropic/v1/messages", "G": "/gemini/v1beta/models/"}
ON = "[cache]\non = true\n"
PARTS = {"C": "/chat/", "R": "/responses", "A": "/messages", "G": ""}
SAVED = 10 * 10**6 + 5 * 2 * 10**6
"""Pico-dollars of one reply: 10 tokens in at $1, 5 out at $2 per million."""


def answer(sent: provider.Sent) -> Iterator[Any]:
    """The dialect's hello, whole or streamed, of whatever path was called."""
    code = next(code for code, part in PARTS.items() if part in sent.path)
    asked = json.loads(sent.body)
    if asked.get("stream") or ":stream" in sent.path:
        yield provider.stream_head()
        for frame in streamed(code, HELLO_REPLY[code]):
            if b'"choices": []' in frame and not (asked.get("stream_options") or {}).get("include_usage"):
                continue
            yield provider.piece(frame)
        yield provider.piece(b"")
    else:
        yield provider.whole(200, HELLO_REPLY[code])


def toml(port: int, cache: str) -> str:
    rows = [
        f'[[provider]]\nname = "{code}"\ndialect = "{dialect}"\nbase_url = "http://127.0.0.1:{port}'
        f'{live.BASES[dialect]}"\nkey = "env:UPSTREAM_KEY"\nmodels = ["served"]\n'
        for code, dialect in CODES.items()
    ]
    return "".join([*rows, '[[price]]\nmodel = "served"\ninput = 1\noutput = 2\n', cache])


class World:
    """A gateway with a provider of each dialect, and a key to it."""

    def __init__(self, folder: Path, cache: str = ON, *options: str, of: World | None = None) -> None:
        """`of`: another replica of that one."""
        self.provider = of.provider if of else provider.Provider(answer)
        self.gateway = live.Gateway(folder, toml(self.provider.port, cache), None, *options)
        self.key = of.key if of else self.gateway.key("--project", "blue")

    def ask(self, direction: str, stream: bool = False, **fields: Any) -> live.Got:
        """The reply to `hello` asked in one dialect of a provider of another."""
        surface, served = direction.split(">")
        headers, key = fields.pop("headers", {}), fields.pop("key", self.key)
        body = {**BASES[surface], **fields}
        path, model = PATHS[surface], f"{served}/served"
        if surface == "G":
            body["generationConfig"] = {"temperature": 0, **body.get("generationConfig", {})}
            path += f"{model}:streamGenerateContent?alt=sse" if stream else f"{model}:generateContent"
        else:
            body = {"temperature": 0, **body, "model": model, **({"stream": True} if stream else {})}
        if surface == "A":
            headers = {"anthropic-version": "2023-06-01", **headers}
        return live.post(self.gateway.port, path, body, key, headers)

    def chat(self, words: str, **fields: Any) -> live.Got:
        """The reply to `words` in the chat dialect."""
        return self.ask("C>C", messages=[{"role": "user", "content": words}], **fields)

    def calls(self) -> int:
        """How many requests the provider had."""
        return len(self.provider.sent)


def told(code: str, stream: bool, body: bytes) -> Any:
    """A reply as one object, whichever way it came, without what names this reply only."""
    return assembled(code, body) if stream else json.loads(body)


def text(code: str, reply: Any) -> str:
    """The words of a reply."""
    if code == "C":
        return str(reply["choices"][0]["message"]["content"])
    if code == "R":
        return str(reply["output"][0]["content"][0]["text"])
    if code == "A":
        return str(reply["content"][0]["text"])
    return "".join(part["text"] for part in reply["candidates"][0]["content"]["parts"])


def counts(code: str, reply: Any) -> tuple[int, int]:
    """Tokens in and out, as the reply tells them."""
    usage = reply["usageMetadata"] if code == "G" else reply["usage"]
    names = {"C": ("prompt_tokens", "completion_tokens"), "G": ("promptTokenCount", "candidatesTokenCount")}
    first, second = names.get(code, ("input_tokens", "output_tokens"))
    return usage[first], usage[second]


def apart(code: str, n: int) -> dict[str, Any]:
    """What makes a request another one, and changes nothing else."""
    share = 0.5 + n / 1000
    return {"generationConfig": {"topP": share}} if code == "G" else {"top_p": share}


def cached(got: live.Got) -> str:
    """What the reply says of the cache."""
    assert got.status == 200, got.body
    return got.headers["x-tierwise-cache"]


def cut(sent: provider.Sent) -> Iterator[Any]:
    """Answers that may not be kept: cut at a length, an error, a stream that breaks off."""
    asked = sent.body.decode()
    body = provider.chat()
    if "length" in asked:
        body["choices"][0]["finish_reason"] = "length"
        yield provider.whole(200, body)
    elif "error" in asked:
        yield provider.whole(400, {"error": {"message": "no", "type": "invalid_request_error"}})
    else:
        yield provider.stream_head()
        yield provider.piece(provider.chat_frames("half")[1])
        yield provider.RESET


class Held:
    """A script that holds every answer back until `release`."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def __call__(self, sent: provider.Sent) -> Iterator[Any]:
        while not self.release.is_set():
            yield 0.01
        yield from answer(sent)


def metric(world: World, name: str) -> float:
    """What the gateway's metrics say of `name`, 0 when nothing."""
    said = live.request(world.gateway.admin, "GET", "/metrics").body.decode()
    return float(next((line.split()[1] for line in said.splitlines() if line.startswith(f"{name} ")), 0))


def in_flight(world: World) -> float:
    """Requests the gateway is serving now."""
    return metric(world, "tierwise_in_flight")
