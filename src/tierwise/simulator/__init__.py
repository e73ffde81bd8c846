"""A provider that speaks every dialect, for the demo, tests and load.

Nothing it says comes from a model: it is simulated.

`start` runs one on the running event loop; `tierwise simulator` runs one as a process of its own.
"""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from ..clock import tick_us
from ..http1 import Server
from .app import App
from .bill import Bill
from .labels import Truth
from .labels import load as load_labels
from .profile import ModelProfile, Profile
from .profile import build as build_profile
from .profile import load as load_profile
from .world import World

__all__ = [
    "ModelProfile",
    "Profile",
    "Running",
    "Setup",
    "Truth",
    "build_profile",
    "load_labels",
    "load_profile",
    "start",
]


class Setup(Struct, frozen=True):
    """What a simulator starts with. `log`: a file for its bill; `key`: the only credential taken, "": any."""

    profile: Profile = Profile()
    truth: Truth | None = None
    log: Path | None = None
    key: str = ""


class Running:
    """A simulator that accepts on `port`."""

    def __init__(self, server: Server, world: World) -> None:
        self._server = server
        self._world = world
        self.port = server.port
        self.url = f"http://127.0.0.1:{server.port}"

    def use(self, profile: Profile) -> None:
        """From now on behaves as `profile` says; what is cached stays."""
        self._world.use(profile)

    @property
    def requests(self) -> int:
        """How many requests have been billed."""
        return self._world.bill.requests

    async def drain(self, timeout_s: float) -> int:
        """Stops accepting and waits for running replies; how many were cut."""
        return await self._server.drain(timeout_s)

    async def close(self) -> None:
        """Stops at once."""
        await self._server.close()
        self._world.bill.close()


async def start(port: int = 0, host: str = "127.0.0.1", setup: Setup | None = None) -> Running:
    """A running simulator.

    `port` 0 takes a free one. OSError if the address is in use, ConfigError if the log cannot be opened.
    """
    setup = setup or Setup()
    world = World(setup.profile, setup.truth or Truth(), Bill(setup.log), tick_us)
    server = Server(App(world, setup.key).handle)
    await server.start(host, port)
    return Running(server, world)
