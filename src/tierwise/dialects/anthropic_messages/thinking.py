"""How much to think: the field's words → Anthropic's `thinking` and `output_config.effort`.

A model that takes efforts gets the nearest one it has; a model known to take only a budget gets one from the
table, which must be at least 1024 and less than `max_tokens`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from ...nouns import Abilities, Reasoning
from ..losses import Losses

EFFORTS = ("minimal", "low", "medium", "high", "xhigh", "max")
ANTHROPIC_EFFORTS = ("low", "medium", "high", "xhigh", "max")
BUDGETS = MappingProxyType(
    {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32000}
)
"""Tokens of thinking that an effort stands for on models that know only budgets."""
LEAST_BUDGET = 1024

Body = dict[str, Any]


def write_thinking(body: Body, asked: Reasoning, abilities: Abilities, same: bool, losses: Losses) -> None:
    """Sets `thinking` and `output_config.effort` in `body`, whose `max_tokens` is already there."""
    modes = abilities.thinking
    effort = asked.effort
    if effort == "none":
        asked, effort = Reasoning(mode="disabled"), None
    thinking = _mode(asked, modes, body["max_tokens"], same, losses)
    if effort is not None:
        thinking = _effort(body, effort, thinking, abilities, losses)
    if thinking is None:
        if asked.summary:
            losses.add("thinking.summary", "the model was not asked to think")
        return
    if asked.summary and thinking["type"] != "disabled":
        if asked.summary not in ("auto", "concise", "detailed"):
            losses.add("thinking.summary", asked.summary)
        else:
            thinking["display"] = "summarized"
            if asked.summary != "auto":
                losses.add("thinking.summary", f"{asked.summary} was sent as summarized")
    body["thinking"] = thinking


def _mode(
    asked: Reasoning, modes: tuple[str, ...] | None, max_tokens: int, same: bool, losses: Losses
) -> Body | None:
    """The `thinking` object that the mode and budget ask for, as far as the model's modes are known to allow
    it.
    """
    mode, budget = asked.mode, asked.budget
    if mode is None and budget is not None:  # a budget alone, as Gemini asks: 0 is none, -1 is as needed
        mode = "disabled" if budget == 0 else "adaptive" if budget < 0 else "enabled"
    if mode is None:
        return None
    if mode == "enabled" and budget is None and not same:
        mode = "adaptive"
    if modes is not None and mode not in modes:
        if mode == "disabled" or not {"adaptive", "enabled"} & set(modes):
            losses.add("thinking.mode", f"{mode} is not taken")
            return None
        if mode == "enabled":
            losses.add("thinking.budget", "sent as adaptive")
            return {"type": "adaptive"}
        losses.add("thinking.mode", "adaptive was sent as a budget")
        return _budget(BUDGETS.get(asked.effort or "", BUDGETS["medium"]), max_tokens, losses)
    if mode != "enabled":
        return {"type": mode}
    if same:
        return {"type": "enabled"} if budget is None else {"type": "enabled", "budget_tokens": budget}
    return _budget(budget or LEAST_BUDGET, max_tokens, losses)


def _budget(budget: int, max_tokens: int, losses: Losses) -> Body | None:
    fitting = min(max(budget, LEAST_BUDGET), max_tokens - 1)
    if fitting < LEAST_BUDGET:
        losses.add("thinking.budget", f"max_tokens {max_tokens} leaves no room for thinking")
        return None
    if fitting != budget:
        losses.add("thinking.budget", f"{budget} was sent as {fitting}")
    return {"type": "enabled", "budget_tokens": fitting}


def _effort(
    body: Body, effort: str, thinking: Body | None, abilities: Abilities, losses: Losses
) -> Body | None:
    """Sets the effort, and gives back `thinking` with what the effort adds to it."""
    modes, efforts = abilities.thinking, abilities.efforts
    if efforts is None and modes is not None and "adaptive" not in modes:
        efforts = ()  # models that know budgets only, as far as the catalog tells
    nearest = _nearest(effort, ANTHROPIC_EFFORTS if efforts is None else efforts)
    if nearest is not None:
        if nearest != effort:
            losses.add("thinking.effort", f"{effort} was sent as {nearest}")
        body.setdefault("output_config", {})["effort"] = nearest
        if thinking is None and modes is not None and "adaptive" in modes:
            return {"type": "adaptive"}
        return thinking
    losses.add(
        "thinking.effort", f"{effort} was sent as a budget" if modes and "enabled" in modes else effort
    )
    if thinking is None and modes and "enabled" in modes:
        return _budget(BUDGETS.get(effort, BUDGETS["medium"]), body["max_tokens"], losses)
    return thinking


def _nearest(effort: str, taken: tuple[str, ...]) -> str | None:
    """`effort` if taken, else the highest taken one below it, else the lowest above; an unknown word as it
    is.
    """
    if effort in taken or (effort not in EFFORTS and taken):
        return effort
    known = [word for word in EFFORTS if word in taken]
    below = [word for word in known if EFFORTS.index(word) < EFFORTS.index(effort)] if known else []
    return below[-1] if below else (known[0] if known else None)


def drop_unfounded(body: Body, losses: Losses) -> None:
    """Takes thinking by budget out of `body` in the middle of a tool loop that began without thinking:
    Anthropic refuses that. It thinks again in the next turn of the user's.
    """
    thinking = body.get("thinking")
    if thinking is None or thinking["type"] != "enabled" or began_thinking(body["messages"]):
        return
    del body["thinking"]
    losses.add("thinking.mode", "the calls being answered came without thinking that Anthropic signed")


def began_thinking(messages: list[Body]) -> bool:
    """Whether the calls that the last message answers began with thinking; True when it answers none."""
    began, turns = True, [message for message in messages if message["role"] != "system"]
    for answers, calls in zip(turns[::-2], turns[-2::-2], strict=False):
        if answers["role"] != "user" or calls["role"] != "assistant" or _first(answers) != "tool_result":
            break
        began = _first(calls) in ("thinking", "redacted_thinking")
    return began


def _first(message: Body) -> str | None:
    """The type of a message's first block."""
    content = message["content"]
    return content[0]["type"] if content and isinstance(content, list) else None
