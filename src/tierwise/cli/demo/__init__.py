"""`tierwise demo`: the main job on this machine, with nothing configured and no network."""

from __future__ import annotations

from .story import command

__all__ = ["command"]
