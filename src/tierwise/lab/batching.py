"""Batching: a tier's missing Trials handed in as batches (OpenAI's `/files` and `/batches`), and collected.

What was handed in is kept in the run's folder, so that --resume collects it and hands nothing in twice.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ..clock import now_us
from ..costing import estimate_tokens
from ..dialects import registry
from ..errors import SuiteError, UpstreamBroke, UpstreamError, UpstreamStatus
from ..http1 import Call, Pool, Response
from ..nouns import Answer, Case, Price, Refusal, Text, ToolCall, Usage
from ..upstream import read_refusal
from .asking import OUTCOMES, REJECTED, ChatTier
from .faults import final, wait_s
from .replies import Answering, Reply
from .runner import Runner
from .store import RunFolder

BATCHES = "batches.jsonl"
_OVER = ("completed", "failed", "expired", "cancelled")
_MOST_ROWS, _MOST_BYTES = 20_000, 50 << 20
_LARGEST = 1 << 30
_FIRST_POLL_S, _LONGEST_POLL_S = 0.5, 30.0
_TRIES = 6
_BOUNDARY = "tierwise-rows"
Missing = Sequence[tuple[Case, int]]
Tell = Callable[[str], None]


class HandedIn(Struct, frozen=True):
    """One line of batches.jsonl: a batch of a tier; `collected` once its rows are Trials."""

    tier: str
    batch: str
    rows: int
    collected: bool = False


class BatchTier:
    """A tier whose answers come by batch: `collect` first, then `answer` costs nothing more."""

    def __init__(self, tier: ChatTier, pool: Pool) -> None:
        self.card = tier.card
        self.free = False
        self._tier = tier
        self._pool = pool
        self._chat = registry.get("openai_chat")
        self._rows: dict[str, dict[str, Any]] = {}
        # A provider's own batch has a price of its own; behind a URL may be a gateway that asks row by row.
        self._own_price = tier.card.source == "provider"

    @property
    def price(self) -> Price | None:
        return self._tier.price

    async def collect(self, folder: RunFolder, missing: Missing, tell: Tell) -> None:
        """Waits for the batches that were handed in before, then hands in what is still missing and waits for
        that. Raises UpstreamError when the provider takes no batch.
        """
        before = [each for each in batches_of(folder) if each.tier == self.card.name and not each.collected]
        for each in before:
            await self._gather(folder, each, tell)
        for rows in _chunks(self._lines(missing)):
            await self._gather(folder, await self._hand_in(folder, rows), tell)
        self.free = True

    async def answer(self, case: Case, repeat: int) -> Reply:
        """The row of the batch. Raises UpstreamError where it failed or was not answered."""
        row = self._rows.get(_key(case, repeat))
        if row is None:
            raise UpstreamBroke("The batch ended without an answer to it.")
        response = row.get("response") or {}
        status, body = response.get("status_code") or 502, response.get("body") or {}
        if status == 200:
            return self._reply(self._chat.read_answer(msgspec.json.encode(body)), case)
        found = body.get("error") or row.get("error") or {}
        words = str(found.get("message") or found)[:300] if isinstance(found, dict) else str(found)[:300]
        if status in REJECTED:
            return Reply("", "rejected", Usage(), 0, 0, error=words)
        raise UpstreamStatus(status, words)

    def _reply(self, answer: Answer, case: Case) -> Reply:
        text, finish = _said(answer)
        usage = answer.usage or Usage(
            input=estimate_tokens(len(self._body(case))),
            output=estimate_tokens(len(text.encode())),
            source="estimated",
        )
        if self._own_price:
            cost = self._tier.deployment.priced.cost(usage, now_us(), batch=True).pico
        else:
            cost = self._tier.cost(usage, answer.model)
        # No times: nobody waited for it.
        return Reply(text, OUTCOMES.get(finish, "ok"), usage, cost, 0, served=answer.model)

    def _body(self, case: Case) -> bytes:
        found = json.loads(self._tier.written(case).body)
        for name in ("stream", "stream_options"):
            found.pop(name, None)
        return msgspec.json.encode(found)

    def _lines(self, missing: Missing) -> Iterator[bytes]:
        for case, repeat in missing:
            key = _key(case, repeat)
            if key not in self._rows:
                head = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions"}
                body = msgspec.Raw(self._body(case))
                yield msgspec.json.encode({**head, "body": body}) + b"\n"

    async def _hand_in(self, folder: RunFolder, rows: list[bytes]) -> HandedIn:
        head = (
            f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
            f"--{_BOUNDARY}\r\n"
            'Content-Disposition: form-data; name="file"; filename="rows.jsonl"\r\n'
            "Content-Type: application/jsonl\r\n\r\n"
        ).encode()
        body = b"".join([head, *rows, f"\r\n--{_BOUNDARY}--\r\n".encode()])
        file = await self._asked("POST", "/files", body, f"multipart/form-data; boundary={_BOUNDARY}")
        wish = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
        made = await self._asked("POST", "/batches", msgspec.json.encode(wish), "application/json")
        handed = HandedIn(self.card.name, made["id"], len(rows))
        folder.keep_other(BATCHES, msgspec.json.encode(handed))
        return handed

    async def _gather(self, folder: RunFolder, handed: HandedIn, tell: Tell) -> None:
        """Waits until a batch has ended, and takes its rows."""
        tell(f"{handed.tier}: batch {handed.batch} of {handed.rows:,} calls is under way")
        wait, shown = _FIRST_POLL_S, -1
        while (batch := await self._asked("GET", f"/batches/{handed.batch}"))["status"] not in _OVER:
            done = (batch.get("request_counts") or {}).get("completed", 0)
            if done != shown and wait == _LONGEST_POLL_S:
                tell(f"{handed.tier}: {done:,} of {handed.rows:,} answered")
                shown = done
            await asyncio.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_POLL_S)
        faults = (batch.get("errors") or {}).get("data") or []
        if batch["status"] == "failed":
            why = "; ".join(str(each.get("message")) for each in faults[:3]) or "no reason given"
            raise SuiteError(f"The batch {handed.batch} of {handed.tier} failed: {why}.", "Correct that.")
        for name in ("output_file_id", "error_file_id"):
            if batch.get(name):
                for line in (await self._sent("GET", f"/files/{batch[name]}/content")).splitlines():
                    row = json.loads(line)
                    self._rows[row["custom_id"]] = row
        tell(f"{handed.tier}: batch {handed.batch} is {batch['status']}")

    async def _asked(self, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, Any]:
        found = msgspec.json.decode(await self._sent(method, path, body, kind))
        if not isinstance(found, dict) or "id" not in found:
            raise UpstreamBroke(f"{path} answered with no object of its kind.")
        return found

    async def _sent(self, method: str, path: str, body: bytes = b"", kind: str = "") -> bytes:
        """The body of a reply, asked for again after passing failures. Raises UpstreamError."""
        for attempt in range(_TRIES):
            try:
                return await self._once(method, path, body, kind)
            except UpstreamError as error:
                # A batch that may have been made is not made twice.
                if final(error) or attempt == _TRIES - 1 or (method == "POST" and not _refused(error)):
                    raise
                await asyncio.sleep(wait_s(error, attempt, 0.5, 0.5))
        raise AssertionError

    async def _once(self, method: str, path: str, body: bytes, kind: str) -> bytes:
        deployment = self._tier.deployment
        headers = [pair for pair in deployment.headers(None) if pair[0] != b"content-type"]
        headers += [(b"content-type", kind.encode())] if kind else []
        call = Call(deployment.origin, method, deployment.other_path(path), headers, body)
        response: Response = await self._pool.send(call)
        if response.status >= 300:
            raise await read_refusal(deployment, response)
        try:
            return await response.read(_LARGEST)
        finally:
            response.close()


def by_batch(tiers: Iterable[Answering], pool: Pool) -> list[Answering]:
    """The tiers as ones that are asked by batch; recorded answers as they are. Raises SuiteError where no
    batch of OpenAI's kind is spoken.
    """
    found: list[Answering] = []
    for tier in tiers:
        if isinstance(tier, ChatTier):
            if tier.deployment.provider.dialect != "openai_chat":
                raise SuiteError(
                    f"{tier.card.name} is at a provider without OpenAI's batches.",
                    "Ask through a gateway: --base-url http://127.0.0.1:4000/v1 --key KEY.",
                )
            tier = BatchTier(tier, pool)
        found.append(tier)
    return found


def batches_of(folder: RunFolder) -> list[HandedIn]:
    """What was handed in in this run, each as it stands."""
    latest: dict[str, HandedIn] = {}
    for line in folder.other_lines(BATCHES):
        each = msgspec.json.decode(line, type=HandedIn)
        latest[each.batch] = each
    return list(latest.values())


def goes_by_batch(folder: RunFolder) -> bool:
    """Whether a run has handed in batches: then what is still missing is handed in, too."""
    return bool(batches_of(folder))


async def collect_all(runner: Runner, most_pico: int | None, tell: Tell | None) -> None:
    """Hands the missing Trials of every tier in, and waits. `most_pico` is what they may cost, None: not
    known. Raises SuiteError where a batch does not go with the terms of the run, UpstreamError.
    """
    if runner.looking is not None:
        raise SuiteError(
            "A batch cannot stop when the evidence suffices.", "Leave --sequential or --batch out."
        )
    limit = runner.work.limit_pico
    if limit is not None and (most_pico is None or runner.spent_pico + most_pico > limit):
        raise SuiteError(
            "A batch is paid as a whole, and this one may cost more than --cost-limit.",
            "Raise the limit, say --max-tokens, or ask fewer Cases with -n.",
        )
    waiting: list[Awaitable[None]] = [
        tier.collect(runner.folder, runner.wanted(name), tell or _unheard)
        for name, tier in runner.tiers.items()
        if isinstance(tier, BatchTier)
    ]
    await asyncio.gather(*waiting)


def _unheard(words: str) -> None:
    """Nobody watches."""


def mark_collected(folder: RunFolder) -> None:
    """To be called when the rows are Trials."""
    for each in batches_of(folder):
        if not each.collected:
            folder.keep_other(BATCHES, msgspec.json.encode(msgspec.structs.replace(each, collected=True)))


def _refused(error: UpstreamError) -> bool:
    return isinstance(error, UpstreamStatus) and error.status == 429


def _key(case: Case, repeat: int) -> str:
    return hashlib.sha256(f"{repeat}/{case.id}".encode()).hexdigest()[:32]


def _chunks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """As many lines at once as a batch may hold."""
    rows: list[bytes] = []
    size = 0
    for line in lines:
        if rows and (len(rows) == _MOST_ROWS or size + len(line) > _MOST_BYTES):
            yield rows
            rows, size = [], 0
        rows.append(line)
        size += len(line)
    if rows:
        yield rows


def _said(answer: Answer) -> tuple[str, str]:
    """(text of the first choice, its tool calls as JSON where there are any; why it ended)."""
    if not answer.choices:
        return "", "error"
    choice = answer.choices[0]
    calls = [
        {"name": part.name, "arguments": part.arguments}
        for part in choice.parts
        if isinstance(part, ToolCall)
    ]
    if calls:
        return json.dumps(calls, ensure_ascii=False), choice.finish
    text = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    refused = any(isinstance(part, Refusal) for part in choice.parts)
    return text, "refusal" if refused else choice.finish
