"""`tierwise simulator`: a provider of every dialect, on this machine, that costs nothing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import click
import msgspec
import uvloop

from .. import simulator
from ..errors import ConfigError
from .finite import FiniteRange

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(epilog="Example: tierwise simulator --port 4100 --speed 0 --log simulator.jsonl")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=4100,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), help="Append one JSON line per request."
)
@click.option("--profile", type=_FILE, help="TOML or JSON: accuracy, speed, caching and faults by model.")
@click.option(
    "--labels", type=_FILE, help="CSV with columns text, category and, if wanted, task: right answers."
)
@click.option(
    "--speed", type=FiniteRange(min=0), help="Times the published speed; 0 is instant.  [default: 1]"
)
@click.option("--seed", type=int, help="Decides every draw.  [default: 0]")
@click.option("--key", default="", help="The only API key taken.  [default: any]")
def command(**options: Any) -> None:
    """Run a simulated provider.

    It speaks OpenAI chat, responses and embeddings, Anthropic messages, and Gemini, with per-model accuracy,
    speed, prompt caching and faults. Nothing it says comes from a model. Prints `ready http://HOST:PORT` when
    it accepts; ends on SIGTERM.

    A word of the model id asks for a fault, as in claude-haiku-4-e529: e400 to e529, quota, slow, cut, stall,
    hang, badjson, badsse, garbage, wronglength, nodone, late, first, empty, refuse, nousage, redirect. POST a
    profile to /simulator/profile to change it while it runs.
    """
    profile = simulator.load_profile(options["profile"]) if options["profile"] else simulator.Profile()
    if profile.speed is None:
        profile = msgspec.structs.replace(profile, speed=1.0)
    for name in ("speed", "seed"):
        if options[name] is not None:
            profile = msgspec.structs.replace(profile, **{name: options[name]})
    profile = simulator.build_profile(msgspec.to_builtins(profile))
    truth = simulator.load_labels(options["labels"]) if options["labels"] else None
    setup = simulator.Setup(profile, truth, options["log"], options["key"])
    uvloop.run(_serve(options["host"], options["port"], setup))


async def _serve(host: str, port: int, setup: simulator.Setup) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        running = await simulator.start(port, host, setup)
    except OSError as error:
        raise ConfigError(
            f"Cannot listen on {host}:{port}: {error.strerror}.", "Choose another --port."
        ) from error
    click.echo("simulated provider: nothing here comes from a real model", err=True)
    click.echo(f"ready http://{f'[{host}]' if ':' in host else host}:{running.port}")
    await stop.wait()
    await running.drain(2.0)
    await running.close()
