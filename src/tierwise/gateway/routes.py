"""Routes: `choose`, with its answer remembered where it depends on names alone.

Most requests name the same few models, tiers and tasks and have nothing special about them, so that choosing
would come to the same Route each time. One Routes belongs to one Snapshot; a reload begins another.
"""

from __future__ import annotations

from collections.abc import Iterable

from tierwise.nouns import Outline, Route
from tierwise.routing import Question, Table, choose
from tierwise.upstream import Health

# Names come from requests: how many are kept, and how long each may be together.
_MOST = 1024
_LONGEST = 400


class Routes:
    """Route of a Question, by `table`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._kept: dict[tuple[str, str | None, str | None], Route] = {}
        abilities = [rung.able for rung in (*table.models.values(), *table.rungs.values())]
        # Below both, no model's size can speak for or against it.
        self._least_context = _least(able.context for able in abilities)
        self._least_output = _least(able.max_output for able in abilities)

    def choose(self, question: Question, health: Health) -> Route:
        """What `routing.choose` gives, and raises."""
        outline, tokens = question.outline, question.tokens()
        output = outline.max_output or 0
        if (
            not health.calm
            or question.pinned_tier is not None
            or output > self._least_output
            or tokens + output > self._least_context
            or not _featureless(outline)
        ):
            return choose(question, self._table, health.view())
        names = (outline.model, question.task, outline.task)
        route = self._kept.get(names)
        if route is None:
            route = choose(question, self._table, health.view())
            if sum(len(name) for name in names if name) <= _LONGEST:
                if len(self._kept) >= _MOST:
                    self._kept.clear()
                self._kept[names] = route
        return route


def _featureless(outline: Outline) -> bool:
    """Whether nothing but names and sizes can decide: every other field that choosing looks at is unset."""
    return not (
        outline.tools
        or outline.images
        or outline.documents
        or outline.audio
        or outline.tool_loop
        or outline.forced_tool
        or outline.thinking
        or outline.thinking_history
        or outline.json
        or outline.output_schema is not None
        or outline.fallback
        or outline.stored
        or outline.preference
    )


def _least(figures: Iterable[int | None]) -> float:
    return min((figure for figure in figures if figure is not None), default=float("inf"))
