"""CPU per chunk of a translated stream against a passed-through one: `python -m benchmarks.streams`.

Two measurements. In process: a tap over the frames (what pass-through does to them) against reader and
writer, best of several rounds, without the sockets that both ways share. Whole gateway: CPU seconds of the
gateway's own process (/proc) while callers read the same stream, once in the provider's dialect and once in
another; it is what the target, at most 3 times, is about.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

CHUNKS = 400
ROUNDS = 7
CALLS = 60
TARGET = 3.0
PATHS = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/anthropic/v1/messages"}


def frames(dialect: str) -> list[bytes]:
    """A long answer, a few letters a chunk."""
    import provider

    texts = [f" word{i % 97}" for i in range(CHUNKS)]
    make = provider.chat_frames if dialect == "openai_chat" else provider.message_frames
    made: list[bytes] = make(*texts)
    return made


def ask(dialect: str) -> Any:
    """A caller's request in `dialect`, streamed."""
    from tierwise.dialects import registry

    hello = [{"role": "user", "content": "hello"}]
    body: dict[str, Any] = {"model": "m", "messages": hello, "stream": True}
    more: dict[str, Any] = {"stream_options": {"include_usage": True}}
    if dialect == "anthropic_messages":
        more = {"max_tokens": 4000}
    return registry.get(dialect).read_request(json.dumps({**body, **more}).encode(), {})


def best(run: Callable[[], None]) -> float:
    """Least CPU seconds of a round."""
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(20):
            run()
        took.append(time.process_time() - began)
    return min(took) / 20


def in_process(source: str, target: str) -> tuple[float, float]:
    """CPU seconds per chunk: tapped, and translated."""
    from tierwise.dialects import registry

    stream, wanted = frames(source), ask(target)

    def tapped() -> None:
        tap = registry.get(source).tap()
        for frame in stream:
            tap.feed(frame)

    def translated() -> None:
        reader, writer = registry.get(source).reader(), registry.get(target).writer(wanted)
        for frame in stream:
            for event in reader.feed(frame):
                writer.write(event)

    return best(tapped) / CHUNKS, best(translated) / CHUNKS


def cpu_of(pid: int) -> float:
    """CPU seconds a process has used (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def through_gateway(source: str) -> dict[str, float]:
    """CPU seconds of the gateway per chunk, by the caller's dialect."""
    import live
    import provider

    stream = frames(source)

    def script(_: provider.Sent) -> Iterator[Any]:
        yield provider.stream_head()
        for frame in stream:  # one write each, as a provider that says a word at a time
            yield provider.piece(frame)
            yield 0.0005
        yield provider.piece(b"")

    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        server = provider.Provider(script)
        gateway = live.Gateway(Path(folder) / "g", live.config(source, server.port))
        key = gateway.key()
        try:
            for caller, place in PATHS.items():
                body = json.loads(ask(caller).raw) | {"model": "tier/haiku"}

                def call(path: str = place, sent: dict[str, Any] = body) -> None:
                    got = live.post(gateway.port, path, sent, key)
                    assert got.status == 200, got.body[:300]

                with ThreadPoolExecutor(8) as pool:
                    list(pool.map(lambda _: call(), range(8)))  # warm
                    began = cpu_of(gateway.child.pid)
                    list(pool.map(lambda _: call(), range(CALLS)))
                    found[caller] = (cpu_of(gateway.child.pid) - began) / CALLS / CHUNKS
        finally:
            gateway.stop()
            server.close()
    return found


def main() -> int:
    """Prints both measurements; 1 when the whole gateway's ratio is above the target."""
    for source in PATHS:
        for target in PATHS:
            tap, translation = in_process(source, target)
            print(
                f"in process  {source:>18} → {target:<18} tap {tap * 1e6:5.2f} µs, translated "
                f"{translation * 1e6:5.2f} µs a chunk: {translation / tap:4.1f} times"
            )
    worst = 0.0
    for source in PATHS:
        took = through_gateway(source)
        other = next(name for name in PATHS if name != source)
        ratio = took[other] / took[source]
        worst = max(worst, ratio)
        print(
            f"gateway     {source:>18} → {other:<18} passed through {took[source] * 1e6:5.1f} µs, translated "
            f"{took[other] * 1e6:5.1f} µs a chunk: {ratio:4.2f} times"
        )
    print(f"worst {worst:.2f} times, target {TARGET:g}")
    return 0 if worst <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
