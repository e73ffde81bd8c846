"""One Valkey (or Redis) asked in batches: what is asked in one tick of the loop is one round trip. Where the
connection breaks, it is asked once more: scripts must bear that.

Whoever asks waits 50 ms at most. A server that is away or slower is not asked again until a probe, once a
second, finds it well: meanwhile `away` is true and nobody waits at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from tierwise.errors import ConfigError

log = logging.getLogger("tierwise")

ANSWER_S = 0.05
PROBE_S = 1.0
CONNECT_S = 2.0
_BATCH = 128
_PROBE = "tierwise:probe"

Argument = int | float | str | bytes
Question = tuple[str, tuple[str, ...], tuple[Argument, ...]]
"""A script's name, its keys, its arguments."""


class Away(Exception):
    """The server did not answer in time, or not at all."""


class Valkey:
    """A connection with Lua scripts, given by name. Belongs to one event loop."""

    def __init__(self, url: str, scripts: dict[str, str], lost: str, found: str) -> None:
        """`lost` and `found` are what the log says of the server's going and coming back. Raises ConfigError
        when the client library is missing or the URL cannot be read."""
        try:
            import redis.asyncio as client
        except ImportError:
            raise ConfigError(
                "Sharing between replicas needs the redis client library, which is not installed.",
                "Install it: pip install 'tierwise[redis]'.",
            ) from None
        try:
            # No retries of its own: they would outlast the 50 ms.
            self._client: Any = client.Redis.from_url(
                url, socket_connect_timeout=CONNECT_S, retry=None, max_connections=4, client_name="tierwise"
            )
        except ValueError:
            raise ConfigError(
                "The redis URL cannot be read.", "Write it as redis://HOST:6379/0 or rediss://…."
            ) from None
        self.away = True
        self.lost_count = 0
        """How often the server was lost."""
        self._scripts = scripts
        self._digests: dict[str, str] = {}
        self._queue: list[tuple[Question, asyncio.Future[Any]]] = []
        self._asking: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._said = False
        self._words = (lost, found)

    async def start(self) -> None:
        """Connects, within two seconds; goes on trying afterwards if that fails."""
        try:
            await self._connect()
        except self._faults() as error:
            self._lose(error)

    def ask(self, name: str, keys: tuple[str, ...], *arguments: Argument) -> Awaitable[Any]:
        """What the script answers. Raises Away."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self.away:
            future.set_exception(Away())
            return future
        self._queue.append(((name, keys, arguments), future))
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask_all())
        return future

    async def close(self) -> None:
        """Lets go of the server."""
        self.away = True
        for task in (self._probing, self._asking):
            if task is not None:
                task.cancel()
        self._reject(self._queue)
        await self._client.aclose()

    async def _ask_all(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue[:_BATCH], self._queue[_BATCH:]
                try:
                    answers = await self._in_time(partial(self._send, batch), ANSWER_S)
                except self._faults() as error:
                    self._reject(batch)
                    self._lose(error)
                    return
                for (_, future), answer in zip(batch, answers, strict=True):
                    if future.done():
                        continue
                    if isinstance(answer, Exception):
                        future.set_exception(Away())
                    else:
                        future.set_result(answer)
                broken = next((answer for answer in answers if isinstance(answer, Exception)), None)
                if broken is not None:
                    # Scripts forgotten by a restart, a read-only replica, no memory: a probe finds out.
                    self._lose(broken)
        finally:
            self._asking = None

    async def _send(self, batch: list[tuple[Question, asyncio.Future[Any]]]) -> list[Any]:
        from redis.exceptions import ConnectionError as Closed

        try:
            return await self._sent(batch)
        except Closed:
            # A server closes connections that are idle; it is away only where it takes no new one either.
            await self._client.connection_pool.disconnect(inuse_connections=False)
            return await self._sent(batch)

    async def _sent(self, batch: list[tuple[Question, asyncio.Future[Any]]]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for (name, keys, arguments), _ in batch:
            pipe.execute_command("EVALSHA", self._digests[name], len(keys), *keys, *arguments)
        return list(await pipe.execute(raise_on_error=False))

    async def _in_time(self, ask: Callable[[], Awaitable[Any]], seconds: float) -> Any:
        """Like asyncio.timeout, but an answer that is there already is taken: the loop was slow, not it."""
        task = asyncio.ensure_future(ask())
        try:
            done, _ = await asyncio.wait((task,), timeout=seconds)
            for _ in range(3):
                if not done and not task.done():
                    await asyncio.sleep(0)
            if task.done():
                return task.result()
            raise TimeoutError(f"no answer within {seconds * 1000:.0f} ms")
        finally:
            task.cancel()

    async def _connect(self) -> None:
        async with asyncio.timeout(CONNECT_S):
            for name, script in self._scripts.items():
                self._digests[name] = str(await self._client.script_load(script))
        # Connected is not well: it must also be quick, and take what is written (a replica and a full server
        # do not).
        await self._in_time(partial(self._client.set, _PROBE, b"", px=1000), ANSWER_S)
        self.away = False
        if self._said:
            log.warning("valkey answers again: %s", self._words[1])
        self._said = False

    def _lose(self, error: BaseException) -> None:
        if self._probing is not None:
            return
        self.away = True
        self.lost_count += 1
        waiting, self._queue = self._queue, []
        self._reject(waiting)
        if not self._said:
            self._said = True
            log.warning(
                "valkey is away or slow (%s): %s",
                str(error).partition("\n")[0] or type(error).__name__,
                self._words[0],
            )
        self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        try:
            while self.away:
                await asyncio.sleep(PROBE_S)
                try:
                    await self._connect()
                except self._faults():
                    # Its connections may be half dead: the next probe makes others.
                    await self._client.connection_pool.disconnect(inuse_connections=True)
        finally:
            self._probing = None

    @staticmethod
    def _reject(batch: list[tuple[Question, asyncio.Future[Any]]]) -> None:
        for _, future in batch:
            if not future.done():
                future.set_exception(Away())

    @staticmethod
    def _faults() -> tuple[type[BaseException], ...]:
        from redis.exceptions import RedisError

        return (RedisError, OSError, TimeoutError)
