"""A provider of the tests' own: what it answers is a script, what it was sent is kept as bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct


class Sent(Struct):
    """One request as it arrived; `aborted` once its connection was lost before the script's end."""

    path: str
    headers: dict[str, str]
    body: bytes
    aborted: bool = False


RESET = object()
"""In a script: reset the connection here."""
HANG = object()
"""In a script: say nothing more, until the client goes away."""

Script = Callable[[Sent], Iterable[Any]]
"""What to send for a request: bytes, seconds to wait (float), RESET or HANG."""


class Provider:
    """A loopback server in a thread of its own. `script` may be exchanged at any time."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.sent: list[Sent] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        server = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(60)
        self.port: int = server.sockets[0].getsockname()[1]

    async def _open(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26, backlog=512)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                sent = await _read(reader)
                self.sent.append(sent)
                if not await self._play(sent, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            with contextlib.suppress(ConnectionError):
                writer.close()

    async def _play(self, sent: Sent, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        gone = asyncio.ensure_future(reader.read(1))
        try:
            for step in self.script(sent):
                if step is RESET:
                    writer.transport.abort()
                    return False
                if step is HANG or isinstance(step, float):
                    done, _ = await asyncio.wait({gone}, timeout=step if isinstance(step, float) else 60)
                    if done:
                        sent.aborted = True
                        return False
                    continue
                writer.write(step)
                await writer.drain()
        except ConnectionError:
            sent.aborted = True
            return False
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone
        return True

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Stops serving, and ends what is open."""
        with contextlib.suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


async def _read(reader: asyncio.StreamReader) -> Sent:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
    pairs = (line.partition(":") for line in lines[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Sent(lines[0].split()[1], headers, body)


def whole(status: int, body: Any, *headers: str) -> bytes:
    """A whole reply with its length."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(raw)}", *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin1") + raw


def stream_head(*headers: str) -> bytes:
    """The head of an event stream."""
    head = ["HTTP/1.1 200 OK", "content-type: text/event-stream", "transfer-encoding: chunked", *headers]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin1")


def piece(data: bytes) -> bytes:
    """One HTTP chunk; b"" is the last."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def chat(
    text: str = "Billing", model: str = "m", prompt: int = 800, output: int = 50, **usage: Any
) -> dict[str, Any]:
    """An OpenAI chat completion."""
    message = {"role": "assistant", "content": text, "refusal": None}
    total = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output, **usage}
    choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": total,
    }


def chat_frames(*texts: str, usage: bool = True, done: bool = True) -> list[bytes]:
    """An OpenAI chat stream as SSE frames."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def frame(choices: list[Any], **more: Any) -> bytes:
        return b"data: " + json.dumps({**base, "choices": choices, **more}).encode() + b"\n\n"

    def delta(content: dict[str, Any], finish: str | None = None) -> list[Any]:
        return [{"index": 0, "delta": content, "finish_reason": finish}]

    frames = [frame(delta({"role": "assistant", "content": ""}))]
    frames += [frame(delta({"content": text})) for text in texts]
    frames.append(frame(delta({}, "stop")))
    if usage:
        frames.append(frame([], usage={"prompt_tokens": 800, "completion_tokens": 50, "total_tokens": 850}))
    return [*frames, b"data: [DONE]\n\n"] if done else frames


def message(text: str = "Billing", model: str = "m", **usage: Any) -> dict[str, Any]:
    """An Anthropic message."""
    counts = {"input_tokens": 800, "output_tokens": 50, **usage}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": text}], "usage": counts,
    }  # fmt: skip


def message_frames(*texts: str, usage: dict[str, Any] | None = None, stop: bool = True) -> list[bytes]:
    """An Anthropic stream as SSE frames."""

    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    begun = {
        **message(),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 800, "output_tokens": 1, **(usage or {})},
    }
    frames = [
        event("message_start", message=begun),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    ]
    frames += [
        event("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in texts
    ]
    frames.append(event("content_block_stop", index=0))
    frames.append(
        event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 50},
        )
    )
    return [*frames, event("message_stop")] if stop else frames
