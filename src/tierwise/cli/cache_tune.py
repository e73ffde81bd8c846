"""`tierwise cache tune`: the similarity from which another wording may be taken for the same question."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import structs

from ..config import Settings, model_for
from ..config.rows import EMBEDDING_DIALECTS
from ..errors import ConfigError, SuiteError
from ..gateway.cache.near import function_of, unit
from ..http1 import Pool
from ..judging.similar import Threshold, chosen, least_hits, thresholds
from ..upstream import Deployment
from ..upstream.embedding import cosine, embed
from .ledger_table import print_table

_BATCH = 32
_YES, _NO = frozenset(("yes", "true", "1", "same")), frozenset(("no", "false", "0", "different"))
_REFUSED = 4
_FAILURES = (
    ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
"""What a function of the user's may raise."""
Pair = tuple[str, str, bool]


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a CSV file with the columns first, second and same. Raises SuiteError with the row."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _pairs(csv.DictReader(file), path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SuiteError(f"{path} cannot be read: {error}.", "It must be CSV in UTF-8.") from None


def _pairs(rows: csv.DictReader[str], path: Path) -> list[Pair]:
    lacking = {"first", "second", "same"} - set(rows.fieldnames or ())
    if lacking:
        raise SuiteError(
            f"{path} has no column {', '.join(sorted(lacking))}.", "It needs first, second and same."
        )
    pairs: list[Pair] = []
    for number, row in enumerate(rows, 2):
        said = (row["same"] or "").strip().lower()
        if said not in _YES | _NO or not row["first"] or not row["second"]:
            raise SuiteError(f"{path}, line {number}: two texts, and yes or no, are expected.")
        pairs.append((row["first"], row["second"], said in _YES))
    return pairs


def similarities(settings: Settings, name: str, pairs: Sequence[Pair]) -> list[float]:
    """The cosine of each pair by the model or function called `name`. ConfigError, UpstreamError."""
    texts = list(dict.fromkeys(text for first, second, _ in pairs for text in (first, second)))
    function = function_of(name)
    if function is not None:
        made = [_made(function, name, text) for text in texts]
    else:
        made = list(map(unit, asyncio.run(_asked(settings, name, texts))))
    vectors = dict(zip(texts, made, strict=True))
    return [cosine(vectors[first], vectors[second]) or 0.0 for first, second, _ in pairs]


def _made(function: Callable[[str], Sequence[float]], name: str, text: str) -> Sequence[float]:
    try:
        return unit(function(text))
    except _FAILURES as error:
        raise ConfigError(
            f"cache.embedding {name!r} failed at {text[:60]!r}: {type(error).__name__}: {error}.",
            "It takes a text and gives numbers.",
        ) from None


async def _asked(settings: Settings, name: str, texts: Sequence[str]) -> list[Sequence[float]]:
    model = model_for(settings.catalog, name)
    if model is None or settings.catalog.providers[model.provider].dialect not in EMBEDDING_DIALECTS:
        raise ConfigError(
            f"No provider here makes vectors with {name!r}.",
            "Name an embedding model of an OpenAI-like provider.",
        )
    provider = settings.catalog.providers[model.provider]
    deployment, pool = Deployment(model, provider, settings.secrets.get(provider.name)), Pool()
    try:
        found: list[Sequence[float]] = []
        for first in range(0, len(texts), _BATCH):
            found += (await embed(pool, deployment, texts[first : first + _BATCH])).vectors
        return found
    finally:
        await pool.close()


class Asked(msgspec.Struct):
    """What `tune` was asked."""

    task: str
    most_false: float
    as_json: bool


def tune(pairs: Sequence[Pair], settings: Settings, embedding: str, asked: Asked) -> int:
    """Prints every threshold and the configuration of the best; exit status 4 where none is safe."""
    need = least_hits(asked.most_false)
    near = similarities(settings, embedding, pairs)
    tried = thresholds([(each, pair[2]) for each, pair in zip(near, pairs, strict=True)])
    best = chosen(tried, asked.most_false)
    if asked.as_json:
        told: dict[str, Any] = {"pairs": len(pairs), "most_false": asked.most_false, "least_hits": need}
        told["tried"] = [{**structs.asdict(each), "false_rate": each.false_rate} for each in tried]
        told["threshold"] = best.at if best else None
        click.echo(msgspec.json.encode(told).decode())
        return 0 if best else _REFUSED
    _table(tried)
    if best is None:
        click.echo(
            f"no threshold: a false-hit rate of at most {asked.most_false:.1%} takes at least {need} hits, "
            "all of them right.\nGive more pairs, above all pairs that look alike and mean something else."
        )
        return _REFUSED
    click.echo(
        f"{best.at:.2f}: {best.false} of {best.hits} hits were false, at most {best.upper:.1%} "
        "(95 %, over all\nthresholds tried). "
        f"{best.found} of {best.same} pairs that mean the same are found.\n"
    )
    click.echo(f'[cache]\nembedding = "{embedding}"\n\n[task.{asked.task}]\ncache_similarity = {best.at:.2f}')
    return 0


def _table(tried: Sequence[Threshold]) -> None:
    share: Callable[[float | None], str] = lambda rate: "n/a" if rate is None else f"{rate:.1%}"  # noqa: E731
    rows = [
        (f"{each.at:.2f}", str(each.hits), str(each.false), share(each.false_rate), share(each.upper),
         f"{each.found} of {each.same}")
        for each in tried[::3]
    ]  # fmt: skip
    print_table(("similarity", "hits", "false", "rate", "at most", "same found"), rows)
