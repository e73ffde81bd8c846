"""What a simulated model answers:

the same for the same seed, model and words, in whatever dialect they were said.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .instance import instance
from .labels import Known, Truth, enumerated, offered, right_label
from .profile import Resolved
from .prompt import Call, Prompt, Said, ToolSpec, count, draw, uniform
from .published import FALLBACK_TASK

_SENTENCES = (
    "The request names one clear goal and leaves the order of the steps open.",
    "A small first step shows early whether the plan holds.",
    "Most of the cost lies in the parts that repeat.",
    "Measure before and after, and keep both numbers.",
    "The simple way is enough until the load grows tenfold.",
    "Two cases differ from the rest and deserve a check of their own.",
    "What cannot be known in advance is better written down as a question.",
    "An example with real values says more than a rule.",
    "The limits are worth testing first, since faults gather there.",
    "Nothing here depends on the order in which the pieces arrive.",
    "A short name for each part makes the whole easier to discuss.",
    "If the result looks too good, look at the input again.",
    "The remaining risk is small and easy to undo.",
    "Later changes touch one place only.",
    "Both ways lead to the same result at different prices.",
    "It pays to stop when the next step no longer changes the answer.",
)
_SUMMARY = re.compile(r"\bsummar|\btl;?dr\b|\bin (?:one|a) sentence\b", re.I)
_CODE = re.compile(r"\b(?:code|function|implement|refactor|script|unit tests?|python|javascript|sql)\b", re.I)
_IN_WORDS = re.compile(r"\b(?:in|about|at most|exactly) (\d{1,5}) words\b", re.I)
_WRITE = re.compile(r"\b(?:write|create|save|edit)\b[^.\n]{0,60}\bfiles?\b", re.I)
_RUN = re.compile(r"\b(?:run|execute)\b|\bshell\b", re.I)
_WRITERS = (re.compile(r"write(?!_stdin)|create.*file|save", re.I), re.compile(r"patch|edit", re.I))
_RUNNERS = re.compile(r"bash|shell|exec|run|terminal|command", re.I)
_PATH = re.compile(r"(?<![\w/.-])(/?[\w.-]+(?:/[\w.-]+)*\.[A-Za-z]\w{0,5})\b")
_BACKTICKS = re.compile(r"`([^`\n]+)`")
_QUOTED = re.compile(r"\"([^\"\n]+)\"|'([^'\n]+)'")
_PLACE = re.compile(r"\bin ([A-Z][\w-]+(?: [A-Z][\w-]+)*)")
_CWD = re.compile(r"(?:working directory:\s*|<cwd>)([^\s<]+)")


class Mind:
    """Answers for every simulated model. `truth` knows right answers; `seed` decides every draw."""

    def __init__(self, truth: Truth, seed: int, correlation: float) -> None:
        self._truth = truth
        self._seed = seed
        self._correlation = correlation
        self._offered: dict[str, tuple[str, ...]] = {}

    def answer(self, prompt: Prompt, how: Resolved, variant: int = 0) -> Said:
        """What `prompt.model`, behaving as `how`, says to `prompt`.

        `variant` tells the n answers of one request apart.
        """
        said = Said()
        budget = prompt.max_tokens
        if prompt.thinking:
            most = min(prompt.thinking, 400, (budget or 100_000) // 2)
            said.thinking = self._think(prompt, most, variant)
            said.reasoning = count(said.thinking)
            budget = None if budget is None else budget - said.reasoning
        said.calls = self._calls(prompt, variant)
        if said.calls:
            said.finish = "tool_calls"
            if prompt.choice == "auto":
                said.text = f"Simulated: calling {', '.join(call.name for call in said.calls)}."
            if budget is not None and _size(said) > budget:
                said.calls, said.finish = [], "length"
        else:
            said.text = self._text(prompt, how, variant).removeprefix(prompt.prefill)
        self._bound(said, prompt.stops, budget)
        said.output = max(1, _size(said) + said.reasoning)
        return said

    def _bound(self, said: Said, stops: list[str], budget: int | None) -> None:
        """Cuts the text at the first stop sequence, then at the token budget."""
        found = [(said.text.find(stop), stop) for stop in stops if stop and stop in said.text]
        if found and not said.calls:
            at, stop = min(found)
            said.text, said.finish, said.stop_sequence = said.text[:at], "stop_sequence", stop
        if budget is not None and count(said.text) > budget and not said.calls:
            said.text = said.text.encode()[: max(0, budget) * 4].decode(errors="ignore")
            said.finish, said.stop_sequence = "length", None

    def _text(self, prompt: Prompt, how: Resolved, variant: int) -> str:
        if prompt.results and prompt.schema is None:
            return "Simulated reply. " + " ".join(
                f"The tool {result.name} {'failed' if result.error else 'returned'}: {result.text[:400]}"
                for result in prompt.results
            )
        known = self._truth.find(prompt.question)
        options = enumerated(prompt.schema) or self._labels(prompt)
        if options:
            label = self._label(prompt, how, options, known, variant)
            if prompt.schema is not None:
                return _json(self._structured(prompt, options, label))
            return _json({"label": label}) if prompt.wants_json else label
        if known is not None:
            return self._recalled(prompt, how, known, variant)
        if prompt.schema is not None:
            return _json(instance(prompt.schema, _Filler(prompt).fill))
        if prompt.wants_json:
            words = self._filler(prompt, how, variant)
            return _json({"simulated": True, "answer": words})
        return self._filler(prompt, how, variant)

    def _labels(self, prompt: Prompt) -> tuple[str, ...]:
        """The labels the system text or the question offers; the system's are remembered: it repeats."""
        known = self._offered.get(prompt.system)
        if known is None:
            known = offered(prompt.system) if prompt.system else ()
            if len(self._offered) > 1000:
                self._offered.clear()
            self._offered[prompt.system] = known
        return known or offered(prompt.question)

    def _label(
        self,
        prompt: Prompt,
        how: Resolved,
        options: tuple[str, ...],
        known: Known | None,
        variant: int,
    ) -> str:
        right = right_label(prompt.question, options, known, self._seed)
        task = (known.task if known else "") or "classification"
        if self._succeeds(prompt, how, task, variant):
            return right
        wrong = [label for label in options if label != right]
        return wrong[draw(self._seed, "wrong", prompt.model, prompt.question, variant) % len(wrong)]

    def _recalled(self, prompt: Prompt, how: Resolved, known: Known, variant: int) -> str:
        if self._succeeds(prompt, how, known.task or "qa", variant):
            return known.answer
        wrong = [answer for answer in self._truth.answers if answer != known.answer] or [
            "simulated wrong answer"
        ]
        return wrong[draw(self._seed, "wrong", prompt.model, prompt.question, variant) % len(wrong)]

    def _succeeds(self, prompt: Prompt, how: Resolved, task: str, variant: int) -> bool:
        """True with the model's accuracy at `task`.

        An item is drawn as a common one with probability `correlation`: then all models face the same
        difficulty, and a better model is right wherever a worse one is; otherwise each model draws for
        itself. Either way each model's accuracy is exact.
        """
        accuracy = how.accuracy.get(task, how.accuracy.get(FALLBACK_TASK, 0.8))
        item = prompt.question
        if variant == 0 and uniform(self._seed, "common", item) < self._correlation:
            return uniform(self._seed, "difficulty", item) < accuracy
        return uniform(self._seed, "own", prompt.model, item, variant) < accuracy

    def _structured(self, prompt: Prompt, options: tuple[str, ...], label: str) -> Any:
        value = instance(prompt.schema, _Filler(prompt).fill)
        properties = (prompt.schema or {}).get("properties") or {}
        if isinstance(value, dict):
            named = [key for key in value if (properties.get(key) or {}).get("enum") == list(options)]
            named = named or [key for key in ("label", "category", "intent", "class") if key in value]
            value |= dict.fromkeys(named[:1], label)
        return value

    def _filler(self, prompt: Prompt, how: Resolved, variant: int) -> str:
        """Text of plausible length:

        shorter for summaries, a code block where code is asked for, `answer_tokens` where set.
        """
        number = draw(self._seed, prompt.model, prompt.canonical().hex(), variant)
        if how.answer_tokens is not None:
            return ("simulated answer " * (how.answer_tokens // 4 + 1))[: how.answer_tokens * 4]
        seen = "".join(
            f"I was given a {medium.kind} of {medium.size} bytes. "
            if medium.size is not None
            else f"I was referred to a {medium.kind}. "
            for medium in prompt.media
        )
        wanted = _IN_WORDS.search(prompt.question)
        if wanted:
            words = f"Simulated reply. {' '.join(_SENTENCES)} ".split()
            return seen + " ".join((words * (int(wanted[1]) // len(words) + 1))[: int(wanted[1])])
        if _CODE.search(prompt.question):
            name = f"simulated_{number % 1000}"
            return f"{seen}Simulated code:\n\n```python\ndef {name}(value):\n    return value\n```\n"
        about = " ".join(prompt.question.split()[:8])[:60]
        lead = f"Simulated reply to “{about}”. " if about else "Simulated reply. "
        sentences = 2 if _SUMMARY.search(prompt.question + prompt.system) else 3 + number % 5
        chosen = [_SENTENCES[(number >> (8 + 5 * i)) % len(_SENTENCES)] for i in range(sentences)]
        return seen + lead + " ".join(chosen)

    def _think(self, prompt: Prompt, most: int, variant: int) -> str:
        number = draw(self._seed, "think", prompt.model, prompt.question, variant)
        sentences = [_SENTENCES[(number >> (5 * i)) % len(_SENTENCES)] for i in range(12)]
        wanted = 20 + number % max(1, min(most, 150))
        return f"Simulated thinking. {' '.join(sentences)}"[: 4 * max(1, min(most, wanted))]

    def _calls(self, prompt: Prompt, variant: int) -> list[Call]:
        tools = wanted_tools(prompt)
        filler = _Filler(prompt)
        calls = []
        for position, tool in enumerate(tools if prompt.parallel else tools[:1]):
            number = draw(self._seed, "call", prompt.canonical().hex(), position, variant)
            if tool.kind == "custom":
                text = filler.free(tool.name)
            else:
                text = _json(instance(tool.schema, filler.fill) or {})
            calls.append(Call(f"{number:016x}", tool.name, text, tool.kind, tool.namespace))
        return calls


def wanted_tools(prompt: Prompt) -> list[ToolSpec]:
    """The tools to call now:

    the forced one, those the question names, or one fit for writing a file or running a command.
    """
    tools = prompt.tools
    if not tools or prompt.choice == "none":
        return []
    if prompt.choice not in ("auto", "any"):
        return [tool for tool in tools if tool.name == prompt.choice][:1]
    if prompt.results:
        return tools[:1] if prompt.choice == "any" else []
    question = prompt.question
    named = [tool for tool in tools if _names(question, tool.name)]
    if not named and _WRITE.search(question):
        named = [tool for way in _WRITERS for tool in tools if way.search(tool.name)][:1]
    if not named and (_RUN.search(question) or _WRITE.search(question)):
        named = [tool for tool in tools if _RUNNERS.search(tool.name)][:1]
    if not named and (prompt.choice == "any" or "USETOOL" in question):
        named = tools[:1]
    return named[:8]


def _names(question: str, name: str) -> bool:
    """Whether `question` names the tool:

    a plain word must match in case, `get_weather` also as `get weather`.
    """
    if name not in question and "_" not in name and "-" not in name:
        return False
    spaced = re.sub(r"[_-]", "[ _-]", re.escape(name).replace("\\-", "-"))
    flags = re.I if spaced != re.escape(name) else re.NOFLAG
    return re.search(rf"(?<!\w){spaced}(?!\w)", question, flags) is not None


class _Filler:
    """Free strings of arguments, taken from the question where a property's name says what is wanted."""

    def __init__(self, prompt: Prompt) -> None:
        self._question = prompt.question
        self._quoted = [a or b for a, b in _QUOTED.findall(prompt.question)]
        self._prompt = prompt

    def fill(self, name: str) -> str:
        lowered = name.lower()
        if "path" in lowered or lowered in ("file", "filename", "file_name"):
            return self._path("path" in lowered and lowered != "path")
        if lowered in ("command", "cmd", "script"):
            return self._command()
        if lowered in ("city", "location", "place"):
            found = _PLACE.search(self._question)
            return found[1] if found else "Paris"
        return self._quoted.pop(0) if self._quoted else "simulated"

    def free(self, tool: str) -> str:
        """The input of a custom tool: a patch for a tool that takes patches, else free text."""
        if "patch" in tool:
            path, content = self._path(False), self.fill("content")
            return f"*** Begin Patch\n*** Add File: {path}\n+{content}\n*** End Patch\n"
        return self.fill("input")

    def _path(self, absolute: bool) -> str:
        found = _PATH.search(self._question)
        path = found[1] if found else "simulated.txt"
        if absolute and not path.startswith("/"):
            place = _CWD.search("\n".join([self._prompt.system, *self._prompt.turns]))
            path = f"{place[1].rstrip('/')}/{path}" if place else path
        return path

    def _command(self) -> str:
        found = _BACKTICKS.search(self._question)
        if found:
            return found[1]
        path = _PATH.search(self._question)
        if path and _WRITE.search(self._question):
            content = (self._quoted[0] if self._quoted else "simulated").replace("'", "")
            return f"printf '%s\\n' '{content}' > {path[1]}"
        return "echo simulated"


def _size(said: Said) -> int:
    return count(said.text) + sum(count(call.name) + count(call.arguments) for call in said.calls)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
