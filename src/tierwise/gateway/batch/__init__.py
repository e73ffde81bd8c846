"""Batches: files of requests that are answered at leisure, or by a provider's own batch at its price."""

from .desk import Desk
from .runner import Runner

__all__ = ["Desk", "Runner"]
