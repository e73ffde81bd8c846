"""One webhook: JSON by POST, signed as Standard Webhooks describes, tried again with growing pauses.

Signature: HMAC-SHA-256 of `id.timestamp.body`, base64, in `webhook-signature` after `v1,`.
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
from urllib.parse import urlsplit

import msgspec

from tierwise.clock import now_us
from tierwise.errors import TierwiseError
from tierwise.http1 import Call, Origin, Pool

from ..metrics import Metrics

log = logging.getLogger("tierwise")

PAUSES_S = (1.0, 5.0, 25.0, 125.0, 600.0)
"""Before each further try."""
_TIMEOUT_S = 10.0
_MOST_WAITING = 100
_ANSWER = 1 << 16
# Answers after which another try may succeed; any other refusal is final.
_TRANSIENT = (408, 425, 429)


class Webhook:
    """Sends notices to `url`, signed with `secret` where there is one. Nothing waits for it."""

    def __init__(self, pool: Pool, url: str, secret: str | None, metrics: Metrics) -> None:
        self._pool = pool
        self._url = url
        self._secret = secret
        self._origin, _ = Origin.parse(url)
        self._path = urlsplit(url).path or "/"
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()

    def is_for(self, url: str, secret: str | None) -> bool:
        """Whether it sends there and signs so."""
        return (self._url, self._secret) == (url, secret)

    def send(self, id: str, notice: dict[str, object]) -> None:
        """Begins to send. With too many waiting it is dropped, and counted as failed."""
        if len(self._tasks) >= _MOST_WAITING:
            self._failed(id, "too many notices wait")
            return
        task = asyncio.get_running_loop().create_task(
            self._deliver(id, msgspec.json.encode({"id": id, **notice}))
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Gives up what is not delivered."""
        for task in self._tasks:
            task.cancel()

    async def _deliver(self, id: str, body: bytes) -> None:
        for pause in (*PAUSES_S, None):
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    status = await self._post(id, body)
                why = f"it answered {status}"
                if 200 <= status < 300:
                    self._metrics.webhooks["delivered"] += 1
                    return
                if status < 500 and status not in _TRANSIENT:
                    break
            except TimeoutError:
                why = f"no answer in {_TIMEOUT_S:.0f} s"
            except TierwiseError as error:
                why = error.message
            if pause is not None:
                await asyncio.sleep(pause)
        self._failed(id, why)

    async def _post(self, id: str, body: bytes) -> int:
        headers = [
            (b"content-type", b"application/json"),
            (b"user-agent", b"tierwise"),
            *self._signed(id, body),
        ]
        response = await self._pool.send(Call(self._origin, "POST", self._path, headers, body))
        try:
            await response.read(_ANSWER)
            return response.status
        finally:
            response.close()

    def _signed(self, id: str, body: bytes) -> list[tuple[bytes, bytes]]:
        seconds = now_us() // 1_000_000
        headers = [(b"webhook-id", id.encode()), (b"webhook-timestamp", b"%d" % seconds)]
        if self._secret is not None:
            headers.append((b"webhook-signature", signature(self._secret, id, seconds, body)))
        return headers

    def _failed(self, id: str, why: str) -> None:
        self._metrics.webhooks["failed"] += 1
        log.error("the alert %s was not delivered: %s", id, why)


def signature(secret: str, id: str, seconds: int, body: bytes) -> bytes:
    """`webhook-signature` of a body sent at `seconds` since 1970. A secret `whsec_…` is base64, any other is
    its own bytes."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = secret.encode()
    signed = b"%s.%d.%s" % (id.encode(), seconds, body)
    return b"v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
