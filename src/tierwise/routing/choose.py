"""Choose: one Question, the Table and what is known of the deployments' health → the Route. Pure, so it can
be replayed.

Steps, in this order:
1. What is named: a model (served as asked), `tier/NAME`, `task/NAME`; with `auto` the task comes from the
   header, else from `metadata.task`, else it is inferred from the request's shape. A task nobody configured
   is served by the safe middle.
2. Fit: tiers that cannot serve the request are left out. From a task's start on, only dearer tiers stand
   behind it.
3. A session stays on its tier; behind each choice stands the same model at other providers, where the
   provider was left open; the caller's own `provider.fallback` follows the first choice;
   `provider.routing` orders.
4. Deployments with an open circuit, and those whose Retry-After is not over, go to the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from msgspec import Struct

from ..errors import NoTier, ResponseUnknown, Unfit, UnknownModel
from ..nouns import Candidate, Outline, Route, Skipped, Stored, TierHealth
from .fit import NO_CHAT_TOOLS, doubt, misfit, refuses_tools
from .infer import UNKNOWN, infer
from .order import balanced, by_cost, by_latency, estimated_pico, expected_output, latency_ms
from .pinned import nearest_task, pinned, unknown
from .question import Question
from .reason import plain, plain_name
from .table import Line, Rung, Table

_UNKNOWN: Mapping[str, TierHealth] = MappingProxyType({})
How = Literal["pinned", "tier", "task", "inferred", "safe_middle"]


class Choice(Struct, frozen=True):
    """What was named: the policy line to serve by, the task to record, and the sentence's opening words."""

    line: Line
    task: str
    how: How
    opening: str


class Picked(Struct):
    """Rungs on the way to a Route: in order, those left out, and remarks for the reason."""

    rungs: list[Rung]
    skipped: list[Skipped]
    remarks: list[str]


def choose(question: Question, table: Table, health: Mapping[str, TierHealth] | None = None) -> Route:
    """The Route of one request. `health` is by Model name (`provider/model`); a missing name means nothing
    is known.

    Raises UnknownModel for a name that means nothing here (with the nearest that do), NoTier when no tier is
    served, Unfit when none can carry the request (with why for each).
    """
    outline = question.outline
    tokens = question.tokens()
    choice = _named(question, table)
    if choice.how == "pinned":
        picked = Picked(list(choice.line.rungs), [], [])
    else:
        picked = _fitting(choice.line, table, outline, tokens)
        if question.pinned_tier and choice.how != "tier":
            _stay(picked, question.pinned_tier, table, outline, tokens)
    if table.beside:
        _add_beside(picked, outline, table, tokens)
    if outline.fallback:
        _add_fallback(picked, question, table, tokens)
    if choice.how == "pinned" and (outline.stored is not None or outline.tools):
        _answerable(picked, outline, table)
    if not picked.rungs:
        raise _no_tier(picked, outline, table)
    if outline.preference not in (None, "priority") and len(picked.rungs) > 1:
        _prefer(picked, choice, question, table, health or _UNKNOWN)
    if health:
        _circuits_last(picked, health)
    return Route(
        candidates=tuple([rung.candidate for rung in picked.rungs]),
        task=choice.task,
        how=choice.how,
        reason=_reason(choice, picked),
        asked=outline.model,
        skipped=tuple(picked.skipped),
    )


def _no_tier(picked: Picked, outline: Outline, table: Table) -> NoTier | Unfit:
    if not table.models and not table.passing:
        return NoTier("No provider is configured: nothing is served.", "`tierwise check` says what to set.")
    if not picked.skipped:
        return NoTier(
            "There is no tier to serve this request: none is configured.",
            "Add a [[tier]], or name a provider/model.",
        )
    whys = "; ".join(f"{each.tier}: {each.why}" for each in picked.skipped)
    stored = outline.stored
    if stored is not None and any(each.why == _cannot(stored) for each in picked.skipped):
        return _not_found(stored, whys)
    hint = "Shorten it, add a [[tier]] whose model can serve it, or insist with provider/model."
    if any(each.why == NO_CHAT_TOOLS for each in picked.skipped):
        hint = 'Set `dialect = "openai_responses"` in that [[provider]] row: the model takes tools only so.'
    return (Unfit if table.rungs else NoTier)(f"No tier fits this request: {whys}.", hint)


def _cannot(stored: Stored) -> str:
    return f"cannot look up {stored.field}"


def _not_found(stored: Stored, whys: str) -> Unfit:
    """Without what is only named, a model would answer something else than was asked."""
    id_, hint = plain_name(stored.id), f"or route to a provider that speaks {stored.dialect} and keeps it."
    if stored.field == "previous_response_id":
        return ResponseUnknown(
            f"Previous response with id '{id_}' not found: it is not remembered here; {whys}.",
            f"Send the whole conversation as `input`, {hint}",
            stored.field,
        )
    return Unfit(
        f"The {stored.field} '{id_}' is kept by its vendor, and not to be had here: {whys}.",
        f"Send what it holds in the request, {hint}",
        "input" if stored.field == "item_reference" else stored.field,
    )


def _lacks(rung: Rung, table: Table, outline: Outline) -> str:
    """Why the rung is sure to refuse the request, or to answer something else, "" when it is not."""
    stored = outline.stored
    if stored is not None and table.dialect(rung) != stored.dialect:
        return _cannot(stored)
    return NO_CHAT_TOOLS if refuses_tools(rung.able, outline) else ""


def _misfit(rung: Rung, table: Table, outline: Outline, tokens: int) -> str:
    """Why the rung cannot serve the request, "" when nothing known speaks against it."""
    return _lacks(rung, table, outline) or misfit(rung.able, outline, tokens)


def _named(question: Question, table: Table) -> Choice:
    name = question.outline.model
    if name == "auto":
        return _auto(question, table)
    kind, _, rest = name.partition("/")
    if kind == "task" and rest:
        return _by_task(rest, "", table)
    if kind == "tier" and rest in table.tiers:
        return Choice(table.tiers[rest], _recorded_task(question, table), "tier", name)
    rung = pinned(table, name) if kind != "tier" else None
    if rung is None:
        raise unknown(table, name)
    line = Line("", rung.label, (rung,), evidence="served as asked")
    return Choice(line, _recorded_task(question, table), "pinned", "pinned")


def _auto(question: Question, table: Table) -> Choice:
    if plain_name(question.task):
        return _by_task(question.task or "", " (header)", table)
    if plain_name(question.outline.task):
        return _by_task(question.outline.task or "", " (metadata)", table)
    task, why = infer(question.outline)
    line = table.tasks.get(task)
    if line is not None:
        return Choice(
            line, task, "inferred" if task != UNKNOWN else "safe_middle", f"auto: {why}, task {task}"
        )
    if task == UNKNOWN:
        return Choice(table.middle, UNKNOWN, "safe_middle", f"auto: {why}, safe middle")
    return Choice(
        table.middle, task, "safe_middle", f"auto: {why}, task {task} is not configured, safe middle"
    )


def _by_task(name: str, where: str, table: Table) -> Choice:
    line = _configured(name, table)
    if line is not None:
        return Choice(line, line.task, "task", f"task {plain_name(line.task)}{where}")
    task = plain_name(name)
    near = nearest_task(task.lower(), table.task_names)
    said = f", nearest known {plain_name(near)}" if near else ""
    return Choice(
        table.middle, task or UNKNOWN, "safe_middle", f"task {task} is not configured{said}, safe middle"
    )


def _configured(name: str, table: Table) -> Line | None:
    return table.tasks.get(name) or table.tasks.get(name.strip().lower())


def _recorded_task(question: Question, table: Table) -> str:
    """The task to write down when it does not decide: as named, else by shape."""
    named = question.task or question.outline.task
    if named and plain_name(named):
        line = _configured(named, table)
        return line.task if line else plain_name(named)
    return infer(question.outline)[0]


def _fitting(line: Line, table: Table, outline: Outline, tokens: int) -> Picked:
    """The line's rungs that fit; doubtful ones only when no other does."""
    picked = Picked([], list(line.skipped), [])
    doubtful: list[tuple[Rung, str]] = []
    for rung in line.rungs:
        why = _misfit(rung, table, outline, tokens)
        if why:
            picked.skipped.append(Skipped(rung.label, why))
            picked.remarks.append(f"{rung.label}: {why}")
        elif why := doubt(rung.able, outline, tokens):
            doubtful.append((rung, why))
        else:
            picked.rungs.append(rung)
    if doubtful:
        if picked.rungs:
            picked.skipped += [Skipped(rung.label, why) for rung, why in doubtful]
        else:
            picked.rungs += [rung for rung, _ in doubtful]
        picked.remarks += [f"{rung.label}: {why}" for rung, why in doubtful]
    return picked


def _stay(picked: Picked, tier: str, table: Table, outline: Outline, tokens: int) -> None:
    """Puts the session's tier first if it fits."""
    rung = table.rungs.get(tier)
    if rung is None:
        return
    why = _misfit(rung, table, outline, tokens)
    if why:
        picked.remarks.append(f"session leaves {tier}: {why}")
        return
    picked.rungs = [rung, *(each for each in picked.rungs if each is not rung)]
    picked.skipped = [each for each in picked.skipped if each.tier != tier]
    picked.remarks.insert(0, f"session tier {tier}")


def _add_beside(picked: Picked, outline: Outline, table: Table, tokens: int) -> None:
    """Right behind each choice the same model at other providers, as far as they fit."""
    rungs: list[Rung] = []
    for rung in picked.rungs:
        others = _beside(rung, outline, table)
        rungs += [rung, *(each for each in others if not _misfit(each, table, outline, tokens))]
    picked.rungs = rungs


def _beside(rung: Rung, outline: Outline, table: Table) -> tuple[Rung, ...]:
    tier = rung.candidate.tier
    return table.beside.get(f"tier/{tier}" if tier else outline.model, ())


def _add_fallback(picked: Picked, question: Question, table: Table, tokens: int) -> None:
    """The caller's own fallbacks stand right behind the first choice, as far as they fit."""
    own: list[Rung] = []
    for name in question.outline.fallback:
        for rung in _fallback_rungs(name, table):
            why = _misfit(rung, table, question.outline, tokens)
            if why:
                picked.skipped.append(Skipped(plain(rung.label), why))
                picked.remarks.append(f"fallback {rung.label}: {why}")
            else:
                own.append(rung)
    once: dict[Candidate, Rung] = {}
    for rung in (*picked.rungs[:1], *own, *picked.rungs[1:]):
        once.setdefault(rung.candidate, rung)
    picked.rungs = list(once.values())


def _answerable(picked: Picked, outline: Outline, table: Table) -> None:
    """Leaves out a model that was named outright where it lacks what the request only names, or is sure to
    refuse it."""
    rungs, picked.rungs = picked.rungs, []
    for rung in rungs:
        if why := _lacks(rung, table, outline):
            picked.skipped.append(Skipped(plain(rung.label), why))
            picked.remarks.append(f"{rung.label}: {why}")
        else:
            picked.rungs.append(rung)


def _fallback_rungs(name: str, table: Table) -> tuple[Rung, ...]:
    if name == "auto":
        raise UnknownModel("`auto` is no fallback.", "Name a model, a tier or a task.", "provider.fallback")
    kind, _, rest = name.partition("/")
    if kind == "tier" and rest in table.rungs:
        return (table.rungs[rest],)
    if kind == "task" and rest in table.tasks:
        return table.tasks[rest].rungs
    rung = pinned(table, name) if kind not in ("tier", "task") else None
    if rung is None:
        raise unknown(table, name, "provider.fallback")
    return (rung,)


def _prefer(
    picked: Picked, choice: Choice, question: Question, table: Table, health: Mapping[str, TierHealth]
) -> None:
    """Orders by `provider.routing`. What was named outright, or the session's tier, stays first, at whichever
    provider."""
    outline, first = question.outline, picked.rungs[0]
    named = choice.how in ("pinned", "tier") or first.candidate.tier == question.pinned_tier
    ahead = (first, *_beside(first, outline, table)) if named else ()
    answer = expected_output(outline.max_output, choice.line.output_tokens)

    def ordered(rungs: list[Rung]) -> list[Rung]:
        if outline.preference == "cost":
            return by_cost(rungs, question.tokens(), answer)
        if outline.preference == "latency":
            return by_latency(rungs, health, outline.stream)
        costs = [estimated_pico(rung.price, question.tokens(), answer) for rung in rungs]
        return balanced(rungs, costs, [latency_ms(health, rung, outline.stream) for rung in rungs])

    head, rest = ([each for each in picked.rungs if (each in ahead) is wanted] for wanted in (True, False))
    picked.rungs = ordered(head) + ordered(rest)
    picked.remarks.append(f"ordered by {outline.preference}")


def _circuits_last(picked: Picked, health: Mapping[str, TierHealth]) -> None:
    down = [
        rung
        for rung in picked.rungs
        if (seen := health.get(rung.candidate.model)) is not None and (seen.open or seen.waiting)
    ]
    if not down:
        return
    for rung in down:
        seen = health[rung.candidate.model]
        what = ["circuit open"] * seen.open + [seen.reason] * bool(seen.reason)
        shared = sum(each.label == rung.label for each in picked.rungs) > 1
        picked.remarks.append(f"{rung.candidate.model if shared else rung.label}: {', '.join(what)}")
    picked.rungs = [*(rung for rung in picked.rungs if not any(rung is each for each in down)), *down]


def _reason(choice: Choice, picked: Picked) -> str:
    """`task coding -> sonnet: unmeasured (prior); …`: the opening, who serves, the evidence if it is his,
    the remarks.
    """
    first, line = picked.rungs[0].label, choice.line
    own = line.evidence if first == line.start else ""
    if not own and not picked.remarks and line.start not in ("", first):
        own = f"{line.start} is not served here"
    remarks = "; ".join([own, *picked.remarks] if own else picked.remarks)
    text = f"{choice.opening} {first}" if choice.how == "pinned" else f"{choice.opening} -> {first}"
    return plain(f"{text}: {remarks}" if remarks else text)
