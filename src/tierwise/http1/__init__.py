"""HTTP/1.1 of the data plane: a strict server and a pooled client. The only room that touches sockets."""

from tierwise.nouns.origin import Origin

from .client import UNSENT, Call, Pool
from .head import Block, Headers, header_block
from .inbound import Limits
from .multipart import Part, form
from .reply import Reply
from .request import Request
from .response import Response
from .server import Handler, Server, WriteError, plain_error

__all__ = [
    "UNSENT", "Block", "Call", "Handler", "Headers", "Limits", "Origin", "Part", "Pool", "Reply",
    "Request", "Response", "Server", "WriteError", "form", "header_block", "plain_error",
]  # fmt: skip
