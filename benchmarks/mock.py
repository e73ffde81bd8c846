"""An instant upstream for benchmarks: one asyncio protocol that answers every POST without parsing its JSON.

`python -m benchmarks.mock PORT`: a body with `"stream": true` gets 100 SSE chunks, all at once; any other
one completion.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import cast

import uvloop

CHUNKS = 100
_USAGE = {
    "prompt_tokens": 180,
    "completion_tokens": 100,
    "total_tokens": 280,
    "prompt_tokens_details": {"cached_tokens": 0},
}
_BASE = {"id": "chatcmpl-bench", "created": 1, "model": "bench"}


def plain() -> bytes:
    """One whole completion with its head."""
    message = {"role": "assistant", "content": "Billing. " * 20, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    body = json.dumps({**_BASE, "object": "chat.completion", "choices": [choice], "usage": _USAGE}).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )


def stream() -> list[bytes]:
    """The head, CHUNKS content chunks, the finish, the usage and [DONE], each an HTTP chunk of its own."""

    def frame(**fields: object) -> bytes:
        data = json.dumps({**_BASE, "object": "chat.completion.chunk", **fields}).encode()
        return b"data: " + data + b"\n\n"

    def delta(content: dict[str, str], finish: str | None = None) -> list[object]:
        return [{"index": 0, "delta": content, "finish_reason": finish}]

    frames = [frame(choices=delta({"role": "assistant", "content": ""}), usage=None)]
    frames += [frame(choices=delta({"content": "token "}), usage=None) for _ in range(CHUNKS)]
    frames += [
        frame(choices=delta({}, "stop"), usage=None),
        frame(choices=[], usage=_USAGE),
        b"data: [DONE]\n\n",
    ]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head, *(b"%x\r\n%s\r\n" % (len(data), data) for data in frames), b"0\r\n\r\n"]


class Instant(asyncio.Protocol):
    """Answers as soon as a request's last byte is here; requests of one connection come one after another."""

    def __init__(self) -> None:
        self.buffer = b""
        self.need = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        while self.buffer:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            lower = self.buffer[:end].lower()
            at = lower.find(b"content-length:")
            length = int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self.buffer) < end + 4 + length:
                return
            body, self.buffer = self.buffer[end + 4 : end + 4 + length], self.buffer[end + 4 + length :]
            if b'"stream": true' in body[-200:]:
                self.send(0)
            else:
                self.transport.write(PLAIN)

    def send(self, number: int) -> None:
        """Writes one chunk a turn of the loop, as a provider that streams does: never all at once."""
        if self.transport.is_closing():
            return
        self.transport.write(STREAM[number])
        if number + 1 < len(STREAM):
            self.loop.call_soon(self.send, number + 1)


PLAIN = plain()
STREAM = stream()


async def main(port: int) -> None:
    """Serves until it is killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Instant, "127.0.0.1", port, backlog=1024)
    print(f"ready http://127.0.0.1:{port}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
