"""How much to think: the field's words → Gemini's `thinkingConfig`.

Gemini 3 and later take a level (minimal, low, medium, high), 2.5 a budget in tokens. The table is Google's
own, of its OpenAI-compatible endpoint: minimal and low are 1,024 tokens, medium 8,192, high 24,576; none is
a budget of 0, which Gemini 3 and 2.5 Pro do not take: they get the least they have, named as a Loss.
"""

from __future__ import annotations

from types import MappingProxyType

from ...nouns import Ask, Model, Reasoning
from ..losses import Losses
from .fields import NAME, Wire, generation

LEVELS = ("minimal", "low", "medium", "high")
BUDGETS = MappingProxyType(
    {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
)
"""Tokens an effort stands for on models that take a budget."""
_ORDER = ("minimal", "low", "medium", "high", "xhigh", "max")
_LEAST_PRO = 128


def write_thinking(config: Wire, ask: Ask, model: Model, losses: Losses) -> None:
    """Sets `thinkingConfig` in `config`."""
    asked = ask.reasoning
    if asked.include_encrypted and ask.dialect != NAME:
        losses.add("thinking.encrypted", "signatures come with tool calls only")
    thinking: Wire = {}
    if ask.dialect == NAME:
        _own(thinking, asked)
    elif asked != Reasoning():
        version = generation(model.id)
        if (1, 0) <= version < (2, 5) or version == (0, 0):
            _unthinking(asked, losses)
            return
        if version < (3, 0):
            _budget(thinking, asked, model, losses)
        else:
            _level(thinking, asked, model, losses)
        if asked.summary or asked.mode == "enabled":
            # A caller that turns thinking on in Anthropic's words expects to see it.
            if asked.summary not in (None, "auto"):
                losses.add("thinking.summary", f"{asked.summary} was sent as includeThoughts")
            thinking["includeThoughts"] = True
    if thinking:
        config["thinkingConfig"] = thinking


def _own(thinking: Wire, asked: Reasoning) -> None:
    if asked.effort:
        thinking["thinkingLevel"] = asked.effort.upper()
    if asked.mode == "disabled":
        thinking["thinkingBudget"] = 0
    elif asked.mode == "adaptive":
        thinking["thinkingBudget"] = -1
    elif asked.budget is not None:
        thinking["thinkingBudget"] = asked.budget
    if asked.summary:
        thinking["includeThoughts"] = True


def _unthinking(asked: Reasoning, losses: Losses) -> None:
    """For a model that does not think."""
    if asked.effort not in (None, "none"):
        losses.add("thinking.effort", asked.effort or "")
    if asked.mode in ("enabled", "adaptive"):
        losses.add("thinking.mode", asked.mode)


def _stopped(asked: Reasoning) -> bool:
    return asked.mode == "disabled" or asked.effort == "none" or (asked.mode is None and asked.budget == 0)


def _budget(thinking: Wire, asked: Reasoning, model: Model, losses: Losses) -> None:
    pro = "pro" in model.id.lower()
    if _stopped(asked):
        if pro:
            losses.add("thinking.mode", f"it cannot be turned off: {_LEAST_PRO} tokens were sent")
        thinking["thinkingBudget"] = _LEAST_PRO if pro else 0
    elif asked.budget is not None:
        most = 32768 if pro else 24576
        if asked.budget > most:
            losses.add("thinking.budget", f"{asked.budget} was sent as {most}")
        thinking["thinkingBudget"] = min(asked.budget, most)
    elif asked.effort is not None:
        losses.add("thinking.effort", f"{asked.effort} was sent as a budget")
        thinking["thinkingBudget"] = BUDGETS.get(asked.effort, BUDGETS["medium"])
    elif asked.mode is not None:
        thinking["thinkingBudget"] = -1


def _level(thinking: Wire, asked: Reasoning, model: Model, losses: Losses) -> None:
    taken = _taken(model)
    if _stopped(asked):
        losses.add("thinking.mode", f"it cannot be turned off: {taken[0]} was sent")
        thinking["thinkingLevel"] = taken[0].upper()
        return
    effort = asked.effort
    if effort is None and asked.budget is not None and asked.budget > 0:
        effort = next((word for word in ("low", "medium") if asked.budget <= BUDGETS[word]), "high")
        losses.add("thinking.budget", f"{asked.budget} was sent as {effort}")
    if effort is None:
        return  # thinking as needed is what these models do unasked
    if effort not in taken:
        nearest = _nearest(effort, taken)
        losses.add("thinking.effort", f"{effort} was sent as {nearest}")
        effort = nearest
    thinking["thinkingLevel"] = effort.upper()


def _taken(model: Model) -> tuple[str, ...]:
    """The levels a model takes, ascending: the catalog's, else those of its generation."""
    known = model.abilities.efforts
    if known:
        listed = tuple(word for word in _ORDER if word in known)
        if listed:
            return listed
    return LEVELS[1:] if "pro" in model.id.lower() else LEVELS


def _nearest(effort: str, taken: tuple[str, ...]) -> str:
    """The highest level below `effort`, else the lowest; for an unknown word the middle."""
    if effort not in _ORDER:
        return taken[len(taken) // 2]
    below = [word for word in taken if _ORDER.index(word) < _ORDER.index(effort)]
    return below[-1] if below else taken[0]
