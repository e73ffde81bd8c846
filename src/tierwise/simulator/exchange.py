"""One call from request to bill:

read, decide the fault, think, look into the cache, wait as long as a model would, write, bill.
"""

from __future__ import annotations

import asyncio
import re
from hashlib import blake2b
from typing import Any

import msgspec

from ..errors import TierwiseError
from ..http1 import Reply, Request
from .bill import Line, masked, now_s, sha256
from .cache import Looked
from .faces.face import Face, Head
from .faults import NAMES, STATUSES, Frame, asked_by, drawn, message, spoil
from .profile import Resolved
from .prompt import Answering, Buckets, Prompt, Rejected, Said, count
from .published import bills_writes
from .seal import seal
from .speed import SLOW, Pace, pace
from .world import World

SIMULATED = (b"x-simulated", b"tierwise simulator")
_JSON = (b"content-type", b"application/json")
_STREAM = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"), SIMULATED)
_LEAST_NAP_S = 0.002
_QUERY_KEY = re.compile(r"(?:^|&)key=([^&]*)")


def decoded(raw: bytes) -> dict[str, Any]:
    """The JSON object in `raw`. Rejected 400 when it is none."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise Rejected(400, f"The request body is not valid JSON: {error}") from error
    if not isinstance(body, dict):
        raise Rejected(400, "The request body must be a JSON object.")
    return body


def head_of(request: Request, model: str = "", stream: bool = False) -> Head:
    return Head({k.decode("latin-1"): v.decode("latin-1") for k, v in request.headers}, model, stream)


def credential(request: Request) -> bytes:
    """The API key sent by any of the vendors' headers, b"" for none."""
    bearer = request.header(b"authorization") or b""
    if bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip()
    for name in (b"x-api-key", b"x-goog-api-key", b"api-key"):
        value = request.header(name)
        if value:
            return value
    found = _QUERY_KEY.search(request.query)
    return found[1].encode() if found else b""


class Exchange:
    """Answers one request by one face. `run` raises nothing but cancellation, which is billed first."""

    def __init__(self, world: World, face: Face, request: Request, reply: Reply, batch: bool = False) -> None:
        self._batch = batch
        self._world = world
        self._face = face
        self._request = request
        self._reply = reply
        self._raw = b""
        self._number = world.number()
        self._id = f"{self._number:012x}"
        self._model = ""
        self._stream = False
        self._fault: str | None = None
        self._status = 0
        self._used = Buckets()
        self._billed = False
        self._looked = Looked(Buckets())

    async def run(self, path_model: str, path_stream: bool, key: bytes) -> None:
        """Sends the reply. `key`: the only credential taken, b"" for any."""
        try:
            try:
                if key and credential(self._request) != key:
                    raise Rejected(401, "Simulated: incorrect API key provided.")
                self._raw = await self._request.body()
                await self._answer(path_model, path_stream)
            except Rejected as rejected:
                self._reject(rejected)
            except TierwiseError as error:
                self._reject(Rejected(error.status, error.sentence()))
        except asyncio.CancelledError:
            self._bill("client_gone")
            raise

    async def _answer(self, path_model: str, path_stream: bool) -> None:
        head = head_of(self._request, path_model, path_stream)
        profile = self._world.profile
        body = decoded(self._raw)
        self._model = path_model or str(body.get("model", ""))
        prompt = self._face.read(body, head, profile)
        self._model, self._stream = prompt.model, prompt.stream
        if profile.only_listed and prompt.model not in profile.models:
            raise Rejected(404, f"Simulated: the model {prompt.model} does not exist.", "model")
        how = self._world.how(prompt.model)
        self._fault = self._which_fault(head, how)
        if self._fault in STATUSES:
            code = "insufficient_quota" if self._fault == "quota" else None
            rejected = Rejected(STATUSES[self._fault], message(self._fault), code=code)
            if rejected.status in (429, 503, 529):
                rejected.retry_after_s = None if code else profile.retry_after_s
            raise rejected
        answering = self._think(prompt, how)
        speed = pace(profile, how, prompt.model, prompt.question, self._fault)
        if self._fault == "hang":
            self._used.output = 0
            await asyncio.Event().wait()
        if self._fault == "redirect":
            self._status = 302
            self._bill("complete")
            self._reply.send(302, [(b"location", b"http://127.0.0.1:9/"), SIMULATED])
        elif prompt.stream:
            await self._send_stream(answering, speed)
        else:
            await self._send_plain(answering, speed)

    def _which_fault(self, head: Head, how: Resolved) -> str | None:
        asked = head.headers.get("x-simulator-fault")
        if asked is not None and asked not in NAMES:
            raise Rejected(400, f"Unknown x-simulator-fault {asked}. Known: {', '.join(NAMES)}.")
        found = asked_by(self._model, asked)
        if found is not None:
            return found
        number = self._world.call_number(self._model)
        return drawn(how.faults, self._world.profile.seed, self._model, number)

    def _think(self, prompt: Prompt, how: Resolved) -> Answering:
        """The answer with its usage; the prompt cache is read now and written when the reply begins."""
        world = self._world
        scope = blake2b(prompt.model.encode() + b"\x00" + credential(self._request), digest_size=16).digest()
        writes = bills_writes(prompt.model) and not prompt.writes_free
        if prompt.automatic:
            self._looked = world.cache.automatic(scope, prompt.blocks, how.cache_minimum, writes)
        else:
            self._looked = world.cache.explicit(scope, prompt.blocks, how.cache_minimum)
        self._used = self._looked.used
        if not self._used.prompt():
            self._used.input = 1
        if prompt.purpose != "answer":
            return self._without_mind(prompt)
        said = [world.mind.answer(prompt, how, i) for i in range(prompt.n)]
        piece = 16
        for one in said:
            self._alter(one, prompt)
            if prompt.prefix:
                one.signature = seal(world.profile.seed, prompt.model, prompt.prefix, one.thinking)
        if self._fault == "slow":
            piece = max(1, min(16, len(said[0].text) // 20))
        self._used.output = sum(one.output for one in said)
        self._used.reasoning = sum(one.reasoning for one in said)
        return Answering(self._id, int(now_s()), prompt, said, self._used, piece, writes)

    def _without_mind(self, prompt: Prompt) -> Answering:
        """Embeddings are billed by their input, counting is free; neither touches the cache."""
        counted = Buckets(input=prompt.tokens())
        self._looked = Looked(Buckets())
        self._used = counted if prompt.purpose == "embed" else Buckets()
        return Answering(self._id, int(now_s()), prompt, [], counted)

    def _alter(self, said: Said, prompt: Prompt) -> None:
        """What the faults `empty`, `refuse` and `slow` make of an answer."""
        if self._fault == "empty":
            said.text, said.calls, said.finish, said.output = "", [], "stop", said.reasoning + 1
        elif self._fault == "refuse":
            said.text, said.calls, said.finish = "Simulated: I cannot help with that.", [], "refusal"
            said.output = said.reasoning + count(said.text)
        elif self._fault == "slow" and not said.calls:
            room = 320 if prompt.max_tokens is None else min(320, 4 * (prompt.max_tokens - said.reasoning))
            if len(said.text) < room:
                said.text = (said.text + " simulated" * 40)[:room]
                said.output = said.reasoning + count(said.text)

    async def _send_plain(self, answering: Answering, speed: Pace) -> None:
        body = self._face.plain(answering, self._fault != "nousage")
        if not speed.instant:
            frames = 20 if speed is SLOW else 0
            await asyncio.sleep(speed.first_s + speed.token_s * self._used.output + speed.frame_s * frames)
        self._world.cache.keep(self._looked)
        if self._fault in ("badjson", "garbage"):
            body = body[: len(body) * 2 // 3] if self._fault == "badjson" else b"\xff\xfe\x00garbage\x9f"
        elif self._fault in ("late", "first"):
            body = self._face.error(self._failure(), f"req_sim{self._id}")
        self._status = 200
        headers = [_JSON, SIMULATED, *self._face.headers(f"req_sim{self._id}")]
        if self._fault in ("cut", "stall", "wronglength"):
            short = len(body) - 2 if self._fault == "wronglength" else len(body) // 2
            self._reply.start(200, headers)
            await self._reply.write(body[:short])
            await self._break_off()
            return
        self._bill("complete")
        self._reply.send(200, headers, body)

    async def _send_stream(self, answering: Answering, speed: Pace) -> None:
        frames = self._face.frames(answering, self._fault != "nousage")
        frames = spoil(self._fault, frames, self._face.error_frame(self._failure(), answering))
        breaks = self._fault in ("cut", "stall", "wronglength")
        whole, self._used.output = self._used.output, 0
        if speed.first_s:
            await asyncio.sleep(speed.first_s)
        self._world.cache.keep(self._looked)
        self._status = 200
        self._reply.start(200, [*_STREAM, *self._face.headers(f"req_sim{self._id}")])
        held = await self._write_paced(frames if breaks else frames[:-1], speed)
        await self._reply.write(held)
        if breaks:
            await self._break_off()
            return
        failed = self._fault in ("late", "first")
        if not failed:
            self._used.output = whole
        self._bill("failed" if failed else "complete")
        await self._reply.write(frames[-1][0])
        self._reply.end()

    async def _write_paced(self, frames: list[Frame], speed: Pace) -> bytes:
        """Writes frames when they are due; gives back what is due but not yet written.

        Counts their tokens as used.
        """
        held: list[bytes] = []
        if speed.instant:
            for data, tokens in frames:
                held.append(data)
                self._used.output += tokens
            return b"".join(held)
        clock = asyncio.get_running_loop().time
        due = clock()
        for data, tokens in frames:
            due += max(tokens * speed.token_s, speed.frame_s)
            nap = due - clock()
            if nap >= _LEAST_NAP_S:
                await self._reply.write(b"".join(held))
                held.clear()
                await asyncio.sleep(nap)
            held.append(data)
            self._used.output += tokens
        return b"".join(held)

    async def _break_off(self) -> None:
        if self._fault == "stall":
            await asyncio.Event().wait()
        self._bill("cut")
        self._reply.abort()

    def _failure(self) -> Rejected:
        return Rejected(529 if self._face.name == "anthropic_messages" else 503, "Simulated: overloaded.")

    def _reject(self, rejected: Rejected) -> None:
        request_id = f"req_sim{self._id}"
        headers = [_JSON, SIMULATED, *self._face.headers(request_id)]
        if rejected.retry_after_s is not None:
            headers.append((b"retry-after", str(rejected.retry_after_s).encode()))
        if self._fault is not None and self._face.name == "anthropic_messages":
            passing = rejected.status in (408, 409, 429) or rejected.status >= 500
            headers.append((b"x-should-retry", b"true" if passing and not rejected.code else b"false"))
        self._used, self._status = Buckets(), rejected.status
        self._bill("complete")
        self._reply.send(rejected.status, headers, self._face.error(rejected, request_id))

    def _bill(self, outcome: str) -> None:
        if self._billed:
            return
        self._billed = True
        wanted = self._world.bill.wanted
        line = Line(
            t=now_s(),
            path=self._request.path,
            dialect=self._face.name,
            model=self._model,
            stream=self._stream,
            usage=self._used,
            status=self._status,
            fault=self._fault,
            outcome=outcome,
            headers=masked(self._request.headers) if wanted else {},
            sha256=sha256(self._raw) if wanted else "",
            bytes=len(self._raw),
            batch=self._batch,
        )
        self._world.bill.write(line)
