"""`tierwise cache advise --file`: where the beginnings of requests in a file part."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from ..clock import now_us
from ..costing import PricedModel, estimate_tokens
from ..costing.edits import WORDS, Change, changes
from ..errors import BadRequest
from ..money import usd_text

_LINE = msgspec.json.Decoder(dict[str, Any])
_SHOWN = 20
Find = Callable[[str], PricedModel | None]


def advise_file(file: Path, find: Find, as_json: bool) -> None:
    """Prints each way in which the beginning changed: where, to what, how often, and what it cost at most.

    A line is a request's body, or an object with it as `body` or `request`. Raises BadRequest with the line's
    number.
    """
    numbers, bodies = read_bodies(file)
    found = changes(bodies)
    lost = [_lost_pico(change, bodies, find) for change in found]
    if as_json:
        rows = [
            {
                **msgspec.to_builtins(change), "lines": [numbers[at] for at in change.shown],
                "lost_tokens": estimate_tokens(change.lost_bytes), "lost_pico": pico,
            }
            for change, pico in zip(found, lost, strict=True)
        ]  # fmt: skip
        click.echo(msgspec.json.encode({"requests": len(bodies), "changes": rows}).decode())
        return
    models = Counter(str(body.get("model", "(none)")) for body in bodies)
    click.echo(f"{len(bodies)} requests: {', '.join(f'{model} {count}' for model, count in models.items())}")
    if not found:
        click.echo("tools and system text are the same in all of them: nothing breaks a prefix")
    for change, pico in list(zip(found, lost, strict=True))[:_SHOWN]:
        _show(change, pico, numbers)


def read_bodies(file: Path) -> tuple[list[int], list[dict[str, Any]]]:
    """The bodies in a JSONL file, and the line that each stands in. Raises BadRequest."""
    numbers, bodies = [], []
    try:
        lines = file.read_bytes().removeprefix(BOM_UTF8).splitlines()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read: {error.strerror}.", "Give a JSONL file.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            body = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(
                f"{file}, line {number}: {error}.", "Write one request's body, as JSON, a line."
            ) from None
        inner = body.get("body", body.get("request"))
        numbers.append(number)
        bodies.append(inner if isinstance(inner, dict) else body)
    if not bodies:
        raise BadRequest(f"{file} holds no requests.", "Write one request's body, as JSON, a line.")
    return numbers, bodies


def _show(change: Change, pico: int | None, numbers: Sequence[int]) -> None:
    edit, (one, other) = change.edit, change.shown
    tokens = estimate_tokens(change.lost_bytes)
    cost = "" if pico is None else f", {usd_text(pico, 4)} more than cached"
    click.echo(f"{edit.where}, character {edit.at}: {WORDS[edit.kind]}, {change.times} times")
    click.echo(f"  line {numbers[one]}: {edit.before!r}")
    click.echo(f"  line {numbers[other]}: {edit.after!r}")
    click.echo(f"  about {tokens:,} tokens behind it were sent as new{cost}")


def _lost_pico(change: Change, bodies: Sequence[Mapping[str, Any]], find: Find) -> int | None:
    """What the tokens behind the edit cost more as fresh input than as cache reads, by estimate; None: the
    model of the request shown has no known price."""
    priced = find(str(bodies[change.shown[1]].get("model", "")))
    price = priced.price(now_us()) if priced is not None else None
    if price is None or price.input is None or price.cache_read is None:
        return None
    return estimate_tokens(change.lost_bytes) * (price.input - price.cache_read)
