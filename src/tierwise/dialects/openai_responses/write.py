"""OpenAI responses: Ask → a request's bytes for one model.

Decisions that are the dialect's own:
- The API stores every response for 30 days unless told not to. A caller of another dialect never asked for
  that, so `store: false` is sent unless it said otherwise; a caller of this dialect gets what it wrote.
- Encrypted reasoning is asked for when the caller can hand it back: a caller of this dialect that asked, or a
  history that holds some. Other dialects have no place for it.
- An Ask read in this dialect goes back as it came, member by member, wherever its nouns were not changed, so
  that ids, statuses and unknown members stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from ...nouns import Ask, Model, Thinking
from ..base import Written
from ..ids import OPENAI_LONGEST, within
from ..in_effect import in_effect
from ..losses import Losses
from ..tool_names import with_plain_names
from .from_chat import (
    can_be_strict,
    can_stop_thinking,
    completed,
    decode_object,
    openai_model,
    ours,
    say_json,
    unsampled,
)
from .names import NAME, Wire
from .read import ENCRYPTED, LOGPROBS, read_request
from .tools import write_choice, write_tools
from .turns import TurnWriter

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
LEAST_OUTPUT = 16
"""The smallest `max_output_tokens` the API takes, in tokens (OpenAI's OpenAPI document)."""
# Top-level fields of the chat dialect that mean the same here.
_SHARED = frozenset(("safety_identifier", "prompt_cache_retention", "prompt_cache_options", "moderation"))
# Nouns → the members of the body that they were read from.
_CAME_AS: Mapping[tuple[str, ...], tuple[str, ...]] = MappingProxyType(
    {
        ("messages", "tools"): ("instructions", "input", "tools"),
        ("tools", "tool_choice"): ("tool_choice", "parallel_tool_calls"),
        ("output", "verbosity", "extras"): ("text",),
        ("reasoning", "sampling", "extras"): ("reasoning", "include"),
    }
)


def write_request(ask: Ask, model: Model) -> Written:
    """The request for `model.id`. What another dialect asked for and this one, or the model, lacks is a
    Loss.
    """
    ask, losses = in_effect(with_plain_names(ask)), Losses()
    own = ask.dialect == NAME
    store = ask.store if ask.store is not None or own else False
    body: Wire = {"model": model.id}
    instructions, items = TurnWriter(ask, model, store is not False, losses).write()
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = items
    if tools := write_tools(ask, model, losses):
        body["tools"] = tools
    write_choice(body, ask, model, losses)
    _sampling(body, ask, model, losses)
    _reasoning(body, ask, model, losses)
    effort = body.get("reasoning", {}).get("effort")
    if unsampled(body, effort, model.id, losses) and LOGPROBS in body.get("include", ()):
        losses.add("sampling.logprobs", "the model reasons")
        body["include"] = [each for each in body["include"] if each != LOGPROBS]
    _output(body, ask, model, losses)
    if not ours(ask) and body.get("text", {}).get("format") == {"type": "json_object"}:
        say_json(body["input"], losses)
    if ask.max_output is not None:
        body["max_output_tokens"] = _limit(ask.max_output, own, losses)
    _account(body, ask, model, losses)
    if store is not None:
        body["store"] = store
    if ask.stream:
        body["stream"] = True
    if own:
        body = _merged(body, ask.extras)
        if ask.raw and not losses:
            _restore(body, ask)
    else:
        for name, value in ask.extras.items():
            if ask.dialect == "openai_chat" and name in _SHARED:
                body[name] = value
            else:
                losses.extras({name: value})
    return Written(msgspec.json.encode(body), losses=losses.tuple())


def _restore(body: Wire, ask: Ask) -> None:
    """Puts back what came from the caller, as far as the Ask was not changed since it was read."""
    before, came = read_request(ask.raw), decode_object(ask.raw)
    for nouns, members in _CAME_AS.items():
        if all(getattr(before, noun) == getattr(ask, noun) for noun in nouns):
            for name in members:
                body.pop(name, None)
                if came.get(name) is not None:
                    body[name] = came[name]


def _merged(body: Wire, extras: Mapping[str, Any]) -> Wire:
    """`body` with the caller's members these words do not cover, inside objects and arrays too."""
    merged = dict(body)
    for name, value in extras.items():
        known = merged.get(name)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[name] = _merged(known, value)
        elif isinstance(known, list) and isinstance(value, list):
            merged[name] = known + value
        else:
            merged[name] = value
    return merged


def _limit(asked: int, own: bool, losses: Losses) -> int:
    if asked >= LEAST_OUTPUT or own:
        return asked
    losses.add("max_output.least", f"{asked} as {LEAST_OUTPUT}")
    return LEAST_OUTPUT


def _sampling(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    sampling = ask.sampling
    for name in ("temperature", "top_p"):
        value = getattr(sampling, name)
        if value is None:
            continue
        if model.abilities.sampling is False:
            losses.add(f"sampling.{name}")
        else:
            body[name] = value
    for name in ("top_k", "seed"):
        if getattr(sampling, name) is not None:
            losses.add(f"sampling.{name}")
    for name in ("frequency_penalty", "presence_penalty", "logit_bias"):
        if getattr(sampling, name):  # 0 is what is done anyway
            losses.add(f"sampling.{name}")
    if sampling.n is not None and sampling.n > 1:
        losses.add("sampling.n", str(sampling.n))
    if sampling.stop:
        losses.add("stop.sequences", str(len(sampling.stop)))
    if model.abilities.sampling is False and openai_model(model.id):
        for name in ("logprobs", "top_logprobs"):
            if getattr(sampling, name):
                losses.add(f"sampling.{name}")
        return
    if sampling.top_logprobs is not None:
        body["top_logprobs"] = sampling.top_logprobs
    if sampling.logprobs:
        body["include"] = [LOGPROBS]


def _reasoning(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    asked = ask.reasoning
    wire: Wire = {}
    effort = _effort(ask, model, losses)
    if effort is not None:
        wire["effort"] = effort
    if asked.summary is not None and (ask.dialect == NAME or model.abilities.efforts != ()):
        wire["summary"] = asked.summary
    elif asked.summary is not None:
        losses.add("thinking.summary", "the model does not reason")
    if wire:
        body["reasoning"] = wire
    held = any(
        isinstance(part, Thinking) and part.origin == NAME and part.encrypted
        for message in ask.messages
        for part in message.parts
    )
    if asked.include_encrypted or (held and ask.dialect != NAME):
        body["include"] = [*body.get("include", []), ENCRYPTED]


def _effort(ask: Ask, model: Model, losses: Losses) -> str | None:
    """The effort to send, None for none."""
    asked, known = ask.reasoning, model.abilities.efforts
    effort = asked.effort
    if effort is None and asked.mode == "disabled":
        effort = "none"
        if known is None and not can_stop_thinking(model.id):
            losses.add("thinking.mode", "disabled")
            return None
    elif effort is None and asked.budget is not None:
        losses.add("thinking.budget", str(asked.budget))
        effort = "low" if asked.budget <= 2048 else "medium" if asked.budget <= 8192 else "high"
    if effort is None or ask.dialect == NAME:
        return effort
    if known is None and not openai_model(model.id):
        # Such servers may answer 400 to a field they do not know.
        losses.add("thinking.mode" if effort == "none" else "thinking.effort", effort)
        return None
    if known is None or effort in known:
        return effort
    nearest = _nearest(effort, known)
    if not (effort == "none" and nearest is None):  # a model that cannot think is not thinking
        losses.add("thinking.effort", f"{effort} as {nearest}" if nearest else effort)
    return nearest


def _nearest(effort: str, known: tuple[str, ...]) -> str | None:
    """The known effort closest to `effort`, the lower of two; None when there is none."""
    ranked = [name for name in EFFORTS if name in known and (name != "none" or effort == "none")]
    if not ranked or effort not in EFFORTS:
        return None
    at = EFFORTS.index(effort)
    return min(ranked, key=lambda name: (abs(EFFORTS.index(name) - at), EFFORTS.index(name)))


def _output(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    wanted = ask.output
    text: Wire = {}
    if wanted is not None and wanted.kind == "json_schema":
        if model.abilities.structured_output is False:
            losses.add("output.json_schema")
            text["format"] = {"type": "json_object"}
        else:
            form: Wire = {"type": "json_schema", "name": wanted.name or "answer"}
            form["schema"] = completed(ask, wanted.schema or {})
            for name in ("description", "strict"):
                if (value := getattr(wanted, name)) is not None:
                    form[name] = value
            if wanted.strict and not can_be_strict(ask, wanted.schema):
                losses.add("output.strict")
                form["strict"] = False
            text["format"] = form
    elif wanted is not None:
        text["format"] = {"type": wanted.kind}
    if ask.verbosity is not None:
        text["verbosity"] = ask.verbosity
    if text:
        body["text"] = text
    if ask.prediction is not None:
        losses.add("output.prediction")
    for spoken in ask.modalities:
        if spoken.lower() != "text":
            losses.add("output.modalities", spoken.lower())


# Other vendors' words for a service tier: Anthropic's, then Gemini's. `auto` is asked when nothing is.
_TIERS = {
    "auto": None,
    "standard_only": "default",
    "standard": "default",
    "flex": "flex",
    "priority": "priority",
}


def _account(body: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    """Fields about who asks, how it is billed and what came before."""
    if ask.user is not None:
        body["user"] = ask.user if ours(ask) else within(ask.user, OPENAI_LONGEST)
    if ask.metadata and ours(ask):
        body["metadata"] = ask.metadata
    elif ask.metadata:
        losses.add("metadata", ", ".join(ask.metadata))
    if ask.cache_key is not None and (ask.dialect == NAME or openai_model(model.id)):
        body["prompt_cache_key"] = ask.cache_key if ours(ask) else within(ask.cache_key, OPENAI_LONGEST)
    elif ask.cache_key is not None and ours(ask):
        losses.add("cache.key")  # one made of a session id was never asked for
    tier: str | None = ask.service_tier
    if tier is not None and not ours(ask):
        tier = _TIERS.get(tier, "")
    if tier:
        body["service_tier"] = tier
    elif tier == "":
        losses.add("service_tier", str(ask.service_tier))
    if ask.previous_id is not None:
        body["previous_response_id"] = ask.previous_id
