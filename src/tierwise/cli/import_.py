"""`tierwise import`: another gateway's configuration as a tierwise.toml."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from ..config.imports import Imported
from ..config.imports_litellm import import_litellm
from ..config.imports_portkey import import_portkey
from ..config.strict import read_text
from ..errors import ConfigError

_FILE = click.Path(path_type=Path, dir_okay=False)
LITELLM = """\b
Example:
  printf 'model_list:\\n- model_name: fast\\n  litellm_params: {model: openai/gpt-5.4-mini}\\n' > config.yaml
  tierwise import litellm config.yaml
"""
PORTKEY = """\b
Example:
  echo '{"targets": [{"provider": "openai", "override_params": {"model": "gpt-5.4"}}]}' > portkey.json
  tierwise import portkey portkey.json
"""


@click.group()
def command() -> None:
    """Turn another gateway's configuration into a tierwise.toml, and list what has no equivalent."""


@command.command("litellm", epilog=LITELLM)
@click.argument("file", type=_FILE)
@click.option("--output", type=_FILE, metavar="FILE", help="Write there, not to stdout; never over a file.")
@click.option("--json", "as_json", is_flag=True, help='Print {"toml", "lost", "todo"}.')
def litellm(file: Path, output: Path | None, as_json: bool) -> None:
    """Convert a LiteLLM config.yaml: models, prices, fallbacks, keys' limits, budgets.

    Keys themselves are not copied: the result names the variables they are to be in. What has no equivalent
    is listed on stderr and at the top of the result.
    """
    _give(import_litellm(_tables(file), os.environ), output, as_json)


@command.command("portkey", epilog=PORTKEY)
@click.argument("file", type=_FILE)
@click.option("--output", type=_FILE, metavar="FILE", help="Write there, not to stdout; never over a file.")
@click.option("--json", "as_json", is_flag=True, help='Print {"toml", "lost", "todo"}.')
def portkey(file: Path, output: Path | None, as_json: bool) -> None:
    """Convert a Portkey config: targets, fallbacks, limits. Weights, guardrails and caches are listed."""
    _give(import_portkey(_tables(file), file.stem), output, as_json)


def _give(made: Imported, output: Path | None, as_json: bool) -> None:
    if output is not None:
        try:
            with output.open("x", encoding="utf-8") as file:
                file.write(made.toml)
        except FileExistsError:
            raise ConfigError(f"{output} is already there.", "Give --output another name.") from None
        except OSError as error:
            raise ConfigError(f"{output} cannot be written: {error.strerror}.", "Check the path.") from None
    if as_json:
        click.echo(json.dumps({"toml": made.toml, "lost": made.lost, "todo": made.todo}, indent=2))
    elif output is None:
        click.echo(made.toml, nl=False)
    for heading, notes in (("no equivalent", made.lost), ("to do", made.todo)):
        for note in notes:
            click.echo(f"{heading}: {note}", err=True)


def _tables(path: Path) -> dict[str, Any]:
    """The file's tables, JSON or YAML. Raises ConfigError: unreadable, malformed, or no YAML reader here."""
    text = read_text(path, "Give the path of the file to import.")
    try:
        found = json.loads(text)
    except ValueError:
        if path.suffix == ".json":
            raise ConfigError(f"{path} is not JSON.", "Check that it is the right file.") from None
        found = _yaml(text, path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path} holds no tables.", "Give the gateway's whole configuration file.")
    return found


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            "YAML files need pyyaml, which is not installed.", "Install it: pip install 'tierwise[yaml]'."
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        what = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path} is not YAML: {what}.", "Check that it is the right file.") from None
