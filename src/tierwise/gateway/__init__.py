"""The data plane: what answers on the model port."""

from .admission import Admission
from .app import App
from .batch import Desk, Runner
from .calling import Caller
from .exchange import Gate
from .metrics import Metrics
from .recording import Book
from .snapshot import Snapshot

__all__ = ["Admission", "App", "Book", "Caller", "Desk", "Gate", "Metrics", "Runner", "Snapshot"]
