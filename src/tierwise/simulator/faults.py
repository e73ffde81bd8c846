"""Faults on request: which one a request gets, and what it does to a stream's frames.

A fault is asked for by a word of the model id (`claude-haiku-4-e529`), by the header `x-simulator-fault`,
or happens at a profile's rate, drawn by seed, model and how many requests that model has had.
"""

from __future__ import annotations

import re

from .prompt import uniform

STATUSES = {
    "e400": 400, "e401": 401, "e402": 402, "e403": 403, "e404": 404, "e408": 408, "e409": 409, "e413": 413,
    "e429": 429, "quota": 429, "e500": 500, "e502": 502, "e503": 503, "e504": 504, "e529": 529,
}  # fmt: skip

WAYS = {
    "slow": "at least 20 frames, 20 ms apart",
    "cut": "the connection is reset in the middle of the reply",
    "stall": "half of the reply, then nothing",
    "hang": "no reply at all",
    "badjson": "a reply, or one frame of a stream, whose JSON breaks off",
    "badsse": "two frames of a stream run together",
    "garbage": "bytes that are no UTF-8",
    "wronglength": "the reply ends just short of what its framing promises",
    "nodone": "the stream ends without its terminator",
    "late": "an error event in the middle of the stream",
    "first": "an error event before any content, after status 200",
    "empty": "an answer without content",
    "refuse": "the model declines",
    "nousage": "no usage is told",
    "redirect": "302 to elsewhere",
}

NAMES = tuple(STATUSES) + tuple(WAYS)

Frame = tuple[bytes, int]
"""Bytes of a stream, and how many output tokens they bring."""

_WORDS = re.compile(r"[a-z0-9]+")


def asked_by(model: str, header: str | None) -> str | None:
    """The fault that the request itself asks for, None for none."""
    if header is not None:
        return header if header in NAMES else None
    for word in _WORDS.findall(model.lower()):
        if word in STATUSES or word in WAYS:
            return str(word)
    return None


def drawn(rates: tuple[tuple[str, float], ...], seed: int, model: str, number: int) -> str | None:
    """The fault that befalls request `number` of `model`, None for none."""
    if not rates:
        return None
    left = uniform(seed, "fault", model, number)
    for name, rate in rates:
        left -= rate
        if left < 0:
            return name
    return None


def message(fault: str) -> str:
    """The words of a simulated error status."""
    return {
        "e429": "Simulated: rate limit reached.",
        "quota": "Simulated: you exceeded your current quota.",
        "e529": "Simulated: overloaded.",
        "e503": "Simulated: the server is overloaded or not ready yet.",
    }.get(fault, f"Simulated error {STATUSES[fault]}.")


def spoil(fault: str | None, frames: list[Frame], error_frame: bytes) -> list[Frame]:
    """`frames` as `fault` leaves them; those that only change the timing or the end are left as they are."""
    middle = len(frames) // 2
    half, token = frames[middle]
    if fault == "badjson":
        return [*frames[:middle], (half[: len(half) * 2 // 3] + b"\n\n", token), *frames[middle + 1 :]]
    if fault == "badsse" and len(frames) > 1:
        at = min(middle, len(frames) - 2)
        (one, tokens), (other, more) = frames[at : at + 2]
        return [*frames[:at], (one.rstrip(b"\r\n") + b"\n" + other, tokens + more), *frames[at + 2 :]]
    if fault == "garbage":
        return [*frames[:middle], (b"data: \xff\xfe\x00\x9f\n\n", 0), *frames[middle:]]
    if fault in ("nodone", "wronglength"):
        return frames[:-1]
    if fault == "late":
        return [*frames[:middle], (error_frame, 0)]
    if fault == "first":
        return [(error_frame, 0)]
    if fault in ("cut", "stall"):
        return frames[:middle]
    return frames
