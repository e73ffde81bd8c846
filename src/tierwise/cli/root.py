"""The command group: which subcommands exist and where each is written, loaded only when called."""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import os
import sys

import click

from .. import __version__
from ..errors import TierwiseError

# name → module in this package; the command object in it is called `command`.
COMMANDS = {
    "budgets": "budgets",
    "batch": "batch",
    "cache": "cache",
    "check": "check",
    "dashboard": "dashboard",
    "demo": "demo",
    "estimate": "estimate",
    "eval": "eval",
    "import": "import_",
    "keys": "keys",
    "latency": "latency",
    "ledger": "ledger",
    "models": "models",
    "policy": "policy",
    "route": "route",
    "serve": "serve",
    "simulator": "simulator",
    "top": "top",
    "verdict": "verdict",
}


class Lazy(click.Group):
    """A group that imports a subcommand's module only when it is wanted, so that `--help` and start-up stay
    quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            near = difflib.get_close_matches(cmd_name, COMMANDS, 1)
            if near:
                ctx.fail(f"No such command {cmd_name!r}. Did you mean {near[0]!r}?")
            return None
        command = importlib.import_module(f"{__package__}.{module}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tierwise")
def root() -> None:
    """A self-hosted LLM gateway: the cheapest tier measured good enough, every token priced exactly."""


def main() -> None:
    """Runs the command line. Expected failures print one sentence to stderr and exit 1, never a traceback;
    Ctrl-C exits 130.
    """
    try:
        _standard_streams()
        sys.exit(root(prog_name="tierwise", standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as left:
        click.echo("Aborted!", err=True)
        sys.exit(130 if KeyboardInterrupt in (type(left), type(left.__context__)) else 1)
    except TierwiseError as error:
        click.echo(f"tierwise: {error.sentence()}", err=True)
        sys.exit(1)
    except RecursionError:
        click.echo("tierwise: A file is nested too deep to be read. Look at its brackets.", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(141)
    except OSError as error:
        if error.errno == errno.ENOENT and not _here():
            click.echo("tierwise: The folder you are in is gone. Go to one that is there.", err=True)
            sys.exit(1)
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        click.echo(
            f"tierwise: Nothing more can be written: {error.strerror}. Make room on the disk.", err=True
        )
        _drop_unwritten()
        sys.exit(1)


def _standard_streams() -> None:
    """Makes the standard streams fit to be written to, whatever they were left as."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # Closed: a socket would get its number, and uvloop abort.
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")  # A terminal that is not UTF-8 ends no command.


def _drop_unwritten() -> None:
    """Lets go of what standard output does not take: Python would try again at its exit, and tell of it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _here() -> bool:
    """Whether the working folder still exists."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True
