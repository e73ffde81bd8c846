"""HTTP/1.1 of the data plane: a strict server and a pooled client. The only room that touches sockets.

`server` and `inbound` face callers, `client` and `outbound` face providers; `head`, `intake` and
`multipart` read.
"""

from tierwise.nouns.origin import Origin

from .client import UNSENT, Call, Pool
from .files import Files, most_connections
from .head import Block, Headers, header_block
from .limits import Limits
from .line import Line, Spread
from .multipart import Part, form
from .reply import Handler, Reply
from .request import Request
from .response import Response
from .server import Server, WriteError, plain_error

__all__ = [
    "UNSENT", "Block", "Call", "Files", "Handler", "Headers", "Limits", "Line", "Origin", "Part", "Pool",
    "Reply", "Request", "Response", "Server", "Spread", "WriteError", "form", "header_block",
    "most_connections", "plain_error",
]  # fmt: skip
