"""`tierwise dashboard`: a link that signs in to the running server's dashboard, once."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import click

from ..errors import StoreError
from ..ledger import announcement
from ..ledger.local import SIGN_IN
from ..ledger.location import is_shared
from .keys import ask_owner
from .ledger import database_options, database_url


@click.command(epilog="Example: tierwise dashboard --open")
@database_options
@click.option("--open", "in_browser", is_flag=True, help="Open it in a browser.")
@click.option("--json", "as_json", is_flag=True, help='Print {"url"}.')
def command(db: str | None, config: Path | None, in_browser: bool, as_json: bool) -> None:
    """Print a link to the running server's dashboard that signs in once, without the admin secret.

    Only this machine's user who runs the server can ask for it. A newer link takes the place of an older one.
    """
    url = database_url(db, config)
    if is_shared(url):
        raise StoreError(
            "A ledger in Postgres does not say where its servers are.",
            "Open the control port of one of them and sign in with the admin secret.",
        )
    owner = announcement(url)
    if owner is None or not owner.admin_url:
        raise StoreError(f"No server runs on {url}.", "Start it with `tierwise serve`, or give its --db.")
    link = str(ask_owner(owner, SIGN_IN, {})["url"])
    click.echo(json.dumps({"url": link}) if as_json else link)
    if in_browser and not webbrowser.open(link):
        click.echo("No browser could be opened: copy the link.", err=True)
