"""The matrix: what each dialect carries of every feature, from every dialect to every other.

A Row holds one feature as each dialect says it (`said`), and for each direction what must come of it
(`cells`). A direction is written `A>C`: a caller of A, a provider of C; a bare `C` stands for every caller
that has no cell of its own. Within one dialect everything is carried unless a cell says otherwise.

Four kinds of cell: `carried` (the target's body holds what the row says in the target's own words, and
nothing is lost), `changed(how, …)` (the body holds the fragment given here), `loss(names, …)`,
`refused(how, …)` (a Loss that the gateway does not let come to it). The names of Losses are compared exactly.
The tables are in matrix_talk, matrix_media, matrix_settings and matrix_answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from tierwise.config.facts import family_of
from tierwise.dialects import registry
from tierwise.nouns import Ask, Model

CODES = {"C": "openai_chat", "R": "openai_responses", "A": "anthropic_messages", "G": "gemini"}
SERVED = {"C": "gpt-5.6", "R": "gpt-5.6", "A": "claude-sonnet-4-6", "G": "gemini-3-pro"}
"""The model behind each dialect: the one of its vendor that takes most of what the dialect can say."""
DIRECTIONS = [f"{source}>{target}" for source in CODES for target in CODES]

Fragment = dict[str, Any]


class Cell(Struct, frozen=True):
    """What must come of a feature in one direction. `fragment` None: what the row says in the target's words
    for `carried`, nothing for a loss.
    """

    kind: str
    how: str = ""
    losses: tuple[str, ...] = ()
    fragment: Fragment | None = None

    def words(self) -> str:
        """The cell as the documentation shows it."""
        names = ", ".join(f"`{name}`" for name in self.losses)
        if self.kind == "carried":
            return "carried"
        if self.kind == "refused":
            return self.how
        if self.kind == "loss":
            return f"Loss {names}" + (f": {self.how}" if self.how else "")
        return f"changed: {self.how}" + (f" (Loss {names})" if names else "")


carried = Cell("carried")


def changed(how: str, fragment: Fragment, *losses: str) -> Cell:
    """Carried in another form, with the Losses that name what the form cannot say."""
    return Cell("changed", how, losses, fragment)


def loss(*names: str, how: str = "", fragment: Fragment | None = None) -> Cell:
    """Not carried, and named."""
    return Cell("loss", how, names, fragment)


def refused(how: str, *losses: str) -> Cell:
    """Not carried, and so not sent: the gateway chooses another model or refuses."""
    return Cell("refused", how, losses)


class Row(Struct, frozen=True):
    """One feature. `said` by dialect code; a code that is missing cannot say it."""

    feature: str
    said: Mapping[str, Fragment]
    cells: Mapping[str, Cell]
    headers: Mapping[str, str] = {}

    def cell(self, direction: str) -> Cell | None:
        """The cell, None when the caller's dialect cannot say the feature."""
        source, target = direction.split(">")
        if source not in self.said:
            return None
        if direction in self.cells:
            return self.cells[direction]
        return carried if source == target else self.cells[target]


class ANY:
    """In a fragment: any value, but one must be there."""


class GONE:
    """In a fragment: the member must not be there."""


HELLO: Fragment = {"role": "user", "content": "hello"}
BASES: dict[str, Fragment] = {
    "C": {"model": "m", "messages": [HELLO], "max_completion_tokens": 4000},
    "R": {"model": "m", "input": [{"type": "message", **HELLO}], "max_output_tokens": 4000},
    "A": {"model": "m", "messages": [HELLO], "max_tokens": 4000},
    "G": {
        "contents": [{"role": "user", "parts": [{"text": "hello"}]}],
        "generationConfig": {"maxOutputTokens": 4000},
    },
}


def laid_over(base: Any, fragment: Any) -> Any:
    """`base` with `fragment` over it: objects are merged, None takes a member away."""
    if not isinstance(base, dict) or not isinstance(fragment, dict):
        return fragment
    merged = {**base, **{name: laid_over(base.get(name), value) for name, value in fragment.items()}}
    return {name: value for name, value in merged.items() if value is not None}


def model(code: str, model_id: str = "") -> Model:
    """The served model with the abilities the shipped table knows of it."""
    model_id = model_id or SERVED[code]
    known = family_of(model_id)
    return Model(f"p/{model_id}", "p", model_id, **({"abilities": known.abilities} if known else {}))


def request(row: Row, source: str) -> Fragment:
    """The whole request of a caller of `source` that says the row's feature."""
    body: Fragment = laid_over(BASES[source], row.said[source])
    return body


def asked(row: Row, source: str) -> Ask:
    """The same as an Ask."""
    raw = json.dumps(request(row, source)).encode()
    return registry.get(CODES[source]).read_request(raw, row.headers)


def written(row: Row, direction: str) -> tuple[Fragment, set[str]]:
    """What goes to a provider in `direction`, and the names of the Losses."""
    source, target = direction.split(">")
    out = registry.get(CODES[target]).write_request(asked(row, source), model(target))
    body: Fragment = json.loads(out.body)
    return body, {lost.name for lost in out.losses}


def missing(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    """Where `found` does not hold `expected`: members may be more, lists must have the same length."""
    if expected is ANY:
        return
    if isinstance(expected, dict) and isinstance(found, dict):
        for name, value in expected.items():
            if value is GONE:
                if name in found:
                    yield f"{path}.{name} is there: {found[name]!r}"
            elif name not in found:
                yield f"{path}.{name} is missing"
            else:
                yield from missing(value, found[name], f"{path}.{name}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for i, (left, right) in enumerate(zip(expected, found, strict=True)):
            yield from missing(left, right, f"{path}[{i}]")
    elif type(expected) is not type(found) or expected != found:
        yield f"{path} is {found!r}, not {expected!r}"


_TEXTS = ("text", "input_text", "output_text")


def plain(value: Any, key: str = "") -> Any:
    """One spelling of what has several: text as a list of one part, arguments as objects."""
    if isinstance(value, dict):
        kind = value.get("type")
        spelt = {name: plain(item, name) for name, item in value.items()}
        return {**spelt, "type": "text"} if isinstance(kind, str) and kind in _TEXTS else spelt
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str) and key in ("content", "system", "output"):
        return [{"type": "text", "text": value}]
    if isinstance(value, str) and key == "arguments":
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


# Words of the formats themselves: a vendor says the same with another one.
_VOCABULARY = frozenset(
    """
    auto none required any function tool custom allowed_tools assistant model user system developer ephemeral
    explicit enabled disabled adaptive text json_schema json_object message image_url input_text input_image
    input_file input_audio output_text file tool_use tool_result tool_calls function_call
    function_call_output image document base64 url stop end_turn object string summarized flex grammar
    application/json application/pdf text/plain default standard standard_only reasoning thinking
    """.split()  # noqa: SIM905
)
_STRUCTURE = frozenset(("type", "role", "model", "mode", "id", "status", "object", "mimeType", "media_type"))


def leaves(value: Any, key: str = "", path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar that says something, with its path: no flags, no words of the format."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from leaves(item, name, f"{path}.{name}")
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from leaves(item, key, f"{path}[{i}]")
    elif isinstance(value, str) and key == "arguments":
        yield from leaves(json.loads(value) if value.startswith("{") else value, "", path)
    elif isinstance(value, int | float | str) and not isinstance(value, bool) and key not in _STRUCTURE:
        spelt = str(value).lower()
        if spelt and spelt not in _VOCABULARY:
            yield path, value


def holds(body: Any, value: Any) -> bool:
    """Whether `value` stands anywhere in `body`: a text also inside a longer one (a data URL, say)."""
    if isinstance(body, dict):
        return any(holds(item, value) or holds(name, value) for name, item in body.items())
    if isinstance(body, list):
        return any(holds(item, value) for item in body)
    if isinstance(value, str) and isinstance(body, str):
        return any(piece in body.lower() for piece in _spellings(value.lower()))
    if isinstance(body, (bool, str)) or isinstance(value, str):
        return False
    return bool(body == value)


def _spellings(value: str) -> tuple[str, ...]:
    """A data URL is also its base64 alone."""
    return (value, value.partition(";base64,")[2]) if value.startswith("data:") else (value,)


def dropped(source: Fragment, target: Fragment) -> list[str]:
    """Paths of the source's scalars that the target does not hold."""
    return [path for path, value in leaves(source) if not holds(target, value)]


def difference(row: Row, direction: str, body: Fragment, names: set[str]) -> list[str]:
    """How `body` and `names` differ from what the row's cell demands."""
    cell = row.cell(direction)
    assert cell is not None
    expected = cell.fragment
    if cell.kind == "carried":
        expected = row.said[direction[-1]]
        expected = {name: value for name, value in expected.items() if value is not None}
    found = list(missing(plain(expected), plain(body))) if expected is not None else []
    if names != set(cell.losses):
        found.append(f"Losses are {sorted(names)}, not {sorted(cell.losses)}")
    if cell.kind == "carried":
        found += [f"dropped without a Loss: {path}" for path in dropped(request(row, direction[0]), body)]
    return found
