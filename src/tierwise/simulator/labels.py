"""Classification: which labels a prompt offers, and which one is right for a text."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from ..errors import ConfigError
from .prompt import draw

SUPPORT = ("Billing", "Technical", "Account", "General")

# In this order: the first rule that finds its words decides.
_SUPPORT_WORDS = (
    ("Billing", re.compile(r"charg|refund|invoice|subscription|payment|\bbill", re.I)),
    ("Technical", re.compile(r"error|crash|\bbugs?\b|broken|not working", re.I)),
    ("Account", re.compile(r"password|log ?in|e-?mail|username|account", re.I)),
)

_NAMED = r"\b(?:labels?|categories|intents|classes)\b[^:\n.]{0,40}[:=]"
_LISTS = (
    re.compile(_NAMED + r"\s*(\[[^\]]+\])", re.I),
    re.compile(r"\bclassif\w*\b[^:\n]{0,120}?\b(?:into|as)\b[^:\n]{0,60}:\s*(.+?)(?:\.(?=\s|$)|\n|$)", re.I),
    re.compile(_NAMED + r"\s*\n((?:\s*[-*•]\s*[^\n]+\n?)+)", re.I),
    re.compile(_NAMED + r"[ \t]*([^\n]+?)(?:\.(?=\s|$)|\n|$)", re.I),
    re.compile(r"\b(?:one|any) of\b[^:\n]{0,60}:\s*(.+?)(?:\.(?=\s|$)|\n|$)", re.I),
)  # fmt: skip
_SEPARATORS = re.compile(r"\s*(?:[,;|\n]|\s+or\s+)\s*(?:or\s+|and\s+)?", re.I)
_TICKETS = re.compile(r"\bclassif\w+\b[^.\n]{0,40}\bticket", re.I)


def offered(text: str) -> tuple[str, ...]:
    """The labels `text` tells to choose from, () when it lists none.

    `Classify the support ticket into: Billing, Technical, Account, or General.` → the four words.
    """
    for pattern in _LISTS:
        found = pattern.search(text)
        if found is None:
            continue
        listed = re.sub(r"(?m)^\s*[-*•]\s*", "", found[1].strip().strip("[]"))
        labels = [item.strip(" \t\"'`*.()") for item in _SEPARATORS.split(listed)]
        kept = tuple(dict.fromkeys(item for item in labels if item))
        if len(kept) >= 2 and all(len(item) <= 60 for item in kept):
            return kept
    return SUPPORT if _TICKETS.search(text) else ()


def enumerated(schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The labels of the first property of `schema` that is an enumeration of strings, () for none."""
    properties = schema.get("properties") if schema else None
    for prop in properties.values() if isinstance(properties, dict) else ():
        values = prop.get("enum") if isinstance(prop, dict) else None
        if isinstance(values, list) and len(values) >= 2 and all(isinstance(v, str) for v in values):
            return tuple(values)
    return ()


def same(label: str) -> str:
    """`label` without what spelling varies: case, underscores, spaces at the ends."""
    return label.strip().casefold().replace("_", " ").replace("-", " ")


class Known(Struct, frozen=True):
    """The right answer to a known text, and the task whose accuracy decides whether a model finds it."""

    answer: str
    task: str


class Truth:
    """Known texts and their right answers. `answers` are all answers there are, for wrong ones."""

    def __init__(self, rows: Iterable[tuple[str, str, str]] = ()) -> None:
        self._known = {text.strip(): Known(answer, task) for text, answer, task in rows}
        self.answers = tuple(sorted({known.answer for known in self._known.values()}))

    def find(self, question: str) -> Known | None:
        """What is known of `question`:

        of the whole, of one of its lines, or of what follows a line's first colon.
        """
        if not self._known:
            return None
        found = self._known.get(question.strip())
        if found is not None:
            return found
        for line in question.splitlines():
            for piece in (line, line.partition(":")[2]):
                found = self._known.get(piece.strip().strip("\"'`"))
                if found is not None:
                    return found
        return None


def load(path: Path) -> Truth:
    """The labelled texts of a CSV file with columns text, category and, if wanted, task.

    ConfigError when it is not one.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"text", "category"} <= set(reader.fieldnames or ()):
                raise ConfigError(
                    f"{path} lacks the columns text and category.", "Its first line names them."
                )
            return Truth([(row["text"], row["category"], row.get("task") or "") for row in reader])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"The labelled texts {path} cannot be read: {error}.") from error


def right_label(text: str, labels: tuple[str, ...], known: Known | None, seed: int) -> str:
    """The label that counts as right for `text`:

    the known one, a support label by keyword, the one `text` names, or a drawn one.
    """
    if known is not None:
        for label in labels:
            if same(label) == same(known.answer):
                return label
    if {same(label) for label in labels} == {same(label) for label in SUPPORT}:
        wanted = next((name for name, words in _SUPPORT_WORDS if words.search(text)), "General")
        return next(label for label in labels if same(label) == same(wanted))
    lowered = same(text)
    named = [label for label in labels if same(label) in lowered]
    if len(named) == 1:
        return named[0]
    return labels[draw(seed, "truth", text) % len(labels)]
