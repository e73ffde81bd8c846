"""`tierwise route`: which tier a request in a file would be served by, and why. Nothing is sent."""

from __future__ import annotations

import json
from codecs import BOM_UTF8
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import click
import msgspec
from msgspec import Struct, structs

from ..clock import now_us, rfc3339
from ..config import model_for
from ..costing import TOKENS_PER_MEDIA, estimate_tokens
from ..dialects import registry
from ..errors import BadRequest
from ..money import pico_to_usd, usd_text
from ..nouns import Catalog, DialectName, Outline, Policy, Route
from ..routing import Question, Table, choose, estimated_pico, expected_output, model_of, refuse_longer
from ..routing.table import price_on
from .unkeyed import settings_to_read

DIALECTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")

# What only Anthropic's messages have: at the top of the body, and as a block in a message.
_ANTHROPIC_FIELDS = frozenset(
    {"system", "anthropic_version", "stop_sequences", "thinking", "top_k", "mcp_servers", "output_config"}
)
_ANTHROPIC_BLOCKS = frozenset(
    {"tool_use", "tool_result", "image", "document", "thinking", "redacted_thinking"}
)

EXAMPLE = """\b
Example:
  export ANTHROPIC_API_KEY=none  # or have a tierwise.toml here
  echo '{"model": "auto", "messages": [{"role": "user", "content": "hello"}]}' | tierwise route -
"""


class Priced(Struct, frozen=True):
    """One candidate with its estimate in pico-dollars, None: its price is not known."""

    tier: str
    model: str
    pico: int | None


class Explained(Struct, frozen=True):
    """A Route with what it was reckoned from: tokens of prompt and answer, by estimate."""

    route: Route
    dialect: DialectName
    candidates: tuple[Priced, ...]
    prompt_tokens: int
    output_tokens: int


@click.command(epilog=EXAMPLE)
@click.argument("file", type=click.File("rb"))
@click.option("--task", metavar="NAME", help="As the header x-tierwise-task would say it.")
@click.option("--model", metavar="NAME", help="Instead of the body's model (Gemini bodies have none).")
@click.option(
    "--dialect", type=click.Choice(DIALECTS), help="The body's dialect; guessed from its shape if not given."
)
@click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="tierwise.toml")
@click.option("--db", metavar="URL", help="Taken like every command does; not needed here.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: BinaryIO, as_json: bool, **options: Any) -> None:
    """Explain which tier would serve the request body in FILE (- for standard input), without sending it."""
    task: str | None = options["task"]
    model: str | None = options["model"]
    dialect: DialectName | None = options["dialect"]
    body = file.read().removeprefix(BOM_UTF8)
    settings = settings_to_read(options["config"])
    dialect = dialect or guess_dialect(body)
    outline = registry.get(dialect).outline(body)
    if model is not None or (dialect == "gemini" and not outline.model):
        outline = structs.replace(outline, model=model or "auto")
    explained = explain(outline, dialect, task, settings.catalog, settings.policy)
    click.echo(json.dumps(as_object(explained), indent=2) if as_json else as_text(explained))


def guess_dialect(body: bytes) -> DialectName:
    """The dialect a request body is most likely written in, by fields only one has; else openai_chat.

    Raises BadRequest when it is no JSON object.
    """
    try:
        fields = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The file is not a JSON object: {error}.", "Give the body of a request.") from None
    if "contents" in fields:
        return "gemini"
    if "input" in fields and "messages" not in fields:
        return "openai_responses"
    if not _ANTHROPIC_FIELDS.isdisjoint(fields) or _has_anthropic_blocks(fields):
        return "anthropic_messages"
    return "openai_chat"


def explain(
    outline: Outline, dialect: DialectName, task: str | None, catalog: Catalog, policy: Policy
) -> Explained:
    """The Route a request would take with nothing known of health, and today's cost at each candidate.

    Raises BadRequest where the gateway would refuse it.
    """
    day = rfc3339(now_us())[:10]
    prompt = estimate_tokens(outline.prompt_bytes) + TOKENS_PER_MEDIA * outline.media
    table = Table(catalog, policy, day, partial(model_for, catalog))
    route = choose(Question(outline, task=task, prompt_tokens=prompt), table)
    known = policy.tasks.get(route.task)
    if known is not None and route.how != "pinned":
        refuse_longer(known, outline)
    answer = expected_output(outline.max_output, known.default_output_tokens if known else None)
    candidates = []
    for candidate in route.candidates:
        model = model_of(catalog, candidate)
        price = price_on(model.prices, day) if model else None
        candidates.append(Priced(candidate.tier, candidate.model, estimated_pico(price, prompt, answer)))
    return Explained(route, dialect, tuple(candidates), prompt, answer)


def as_object(explained: Explained) -> dict[str, Any]:
    """For `--json`. Dollars are exact decimals in text, null: the price is not known."""
    route = explained.route
    first = route.candidates[0]
    return {
        "asked": route.asked,
        "dialect": explained.dialect,
        "task": route.task,
        "tier": first.tier or None,
        "model": first.model,
        "reason": route.reason,
        "how": route.how,
        "candidates": [
            {
                "tier": each.tier or None,
                "model": each.model,
                "estimated_pico": each.pico,
                "estimated_usd": None if each.pico is None else f"{pico_to_usd(each.pico):f}",
            }
            for each in explained.candidates
        ],
        "skipped": [{"tier": each.tier, "why": each.why} for each in route.skipped],
        "prompt_tokens": explained.prompt_tokens,
        "output_tokens": explained.output_tokens,
    }


def as_text(explained: Explained) -> str:
    """For people: the decision, then each candidate in order with its estimate, then what was left out."""
    route = explained.route
    first = route.candidates[0]
    lines = [
        f"task    {route.task}",
        f"tier    {first.tier or '(pinned)'}",
        f"model   {first.model}",
        f"reason  {route.reason}",
        "",
        f"Candidates in order, for about {explained.prompt_tokens:,} prompt tokens and"
        f" {explained.output_tokens:,} answer tokens ({explained.dialect}):",
    ]
    labels = [each.tier or "(pinned)" for each in explained.candidates]
    width = max(len(label) for label in labels)
    length = max(len(each.model) for each in explained.candidates)
    for i, (label, each) in enumerate(zip(labels, explained.candidates, strict=True), 1):
        cost = "price not known" if each.pico is None else usd_text(each.pico)
        lines.append(f"  {i}. {label:{width}}  {each.model:{length}}  {cost}")
    if route.skipped:
        lines += ["", "Left out:", *(f"  {each.tier}: {each.why}" for each in route.skipped)]
    return "\n".join(lines)


def _has_anthropic_blocks(fields: dict[str, Any]) -> bool:
    for tool in _objects(fields.get("tools")):
        if "input_schema" in tool:
            return True
    for message in _objects(fields.get("messages")):
        for block in _objects(message.get("content")):
            if "cache_control" in block or block.get("type") in _ANTHROPIC_BLOCKS:
                return True
    return False


def _objects(value: object) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
