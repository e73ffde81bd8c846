"""The control plane: dashboard, admin API and metrics, on a port and an event loop of their own."""

from .control import Control
from .listening import Listening, start

__all__ = ["Control", "Listening", "start"]
