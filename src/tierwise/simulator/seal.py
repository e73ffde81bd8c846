"""Signatures of simulated thinking blocks:

bound to model, prefix and text, as Claude 5.5 and Fable 5.1 bind theirs.
"""

from __future__ import annotations

import base64
import hmac
from hashlib import blake2b
from typing import Literal

_MARK = b"sim1"
_SIZE = len(_MARK) + 8 + 16 + 16

Finding = Literal["good", "other_model", "other_prefix", "forged"]


def seal(seed: int, model: str, prefix: bytes, text: str) -> str:
    """The signature of thinking `text` that `model` produced after `prefix`.

    Base64, the same for the same seed.
    """
    head = _MARK + _short(model) + prefix.ljust(16, b"\0")[:16]
    return base64.b64encode(head + _mac(seed, head, text)).decode()


def check(seed: int, signature: str, model: str, prefix: bytes, text: str) -> Finding:
    """What a replayed thinking block is: good, of another model, after another prefix, or forged."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return "forged"
    head, mac = raw[: _SIZE - 16], raw[_SIZE - 16 :]
    if len(raw) != _SIZE or not hmac.compare_digest(mac, _mac(seed, head, text)):
        return "forged"
    if head[len(_MARK) : len(_MARK) + 8] != _short(model):
        return "other_model"
    return "good" if head[len(_MARK) + 8 :] == prefix.ljust(16, b"\0")[:16] else "other_prefix"


def _short(model: str) -> bytes:
    return blake2b(model.encode(), digest_size=8).digest()


def _mac(seed: int, head: bytes, text: str) -> bytes:
    key = blake2b(str(seed).encode(), digest_size=32).digest()
    return blake2b(head + text.encode(errors="surrogatepass"), key=key, digest_size=16).digest()
