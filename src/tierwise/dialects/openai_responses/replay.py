"""Other vendors' thinking on its way through callers of this dialect.

Such a caller hands reasoning items back as it got them, `encrypted_content` included. So what another vendor
must see again (a signature, an encrypted block, or only whose thinking it was) travels in that field,
recognisable by a prefix, and is taken out when the item comes back. It is never sent to OpenAI: a writer
replays thinking only to its origin.
"""

from __future__ import annotations

import base64
import binascii

import msgspec
from msgspec import Struct

from ...nouns import Thinking

_PREFIX = "tierwise.1."


class _Kept(Struct, array_like=True):
    origin: str
    signature: str = ""
    encrypted: str = ""


_DECODER = msgspec.json.Decoder(_Kept)


def seal(origin: str, signature: str, encrypted: str) -> str:
    """The `encrypted_content` that carries another vendor's thinking."""
    kept = msgspec.json.encode(_Kept(origin, signature, encrypted))
    return _PREFIX + base64.urlsafe_b64encode(kept).decode()


def unseal(item_id: str, text: str, content: str) -> Thinking | None:
    """The other vendor's thinking that `content` carries, None when it is OpenAI's own encrypted content."""
    if not content.startswith(_PREFIX):
        return None
    try:
        kept = _DECODER.decode(base64.urlsafe_b64decode(content[len(_PREFIX) :]))
    except (msgspec.DecodeError, binascii.Error, ValueError):
        return Thinking(text, id=item_id, summary=True)
    return Thinking(text, kept.signature, kept.encrypted, origin=kept.origin)
