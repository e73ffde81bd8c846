"""Another gateway's configuration as a tierwise.toml: what is common to all of them.

A reader fills a Draft with deployments, prices and fallbacks; `Draft.imported` gives the text, what has no
equivalent, and what is to be done by hand. Secrets are never copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, NamedTuple

from msgspec import Struct

from ..nouns import DialectName
from .models import is_reserved

_LOGIN = re.compile(r"(?<=://)[^/]*@")
_CREDENTIAL = re.compile(r"auth|cookie|credential|key|password|secret|token", re.IGNORECASE)


class Imported(Struct, frozen=True):
    """`toml` loads as it is once the secrets it names are set. `lost`: what has no equivalent, with why;
    `todo`: what is to be done by hand."""

    toml: str
    lost: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()


class Vendor(NamedTuple):
    """A place under the name other gateways know it by. `variable` "" when it usually needs no key."""

    dialect: DialectName
    base_url: str
    variable: str


class Place(Struct, frozen=True):
    """Where a deployment is called: what will be a `[[provider]]`. `key` None: it needs none."""

    called: str
    dialect: DialectName
    base_url: str
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    timeout_s: float | None = None


def _chat(url: str, variable: str = "") -> Vendor:
    return Vendor("openai_chat", url, variable)


# Both LiteLLM's and Portkey's spellings; base URLs are those of the vendors' own documentation.
VENDORS: Mapping[str, Vendor] = MappingProxyType(
    {
        "anthropic": Vendor("anthropic_messages", "https://api.anthropic.com", "ANTHROPIC_API_KEY"),
        "gemini": Vendor("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
        "google": Vendor("gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
        "openai": _chat("https://api.openai.com/v1", "OPENAI_API_KEY"),
        "openrouter": _chat("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
        "groq": _chat("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        "deepseek": _chat("https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"),
        "mistral": _chat("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        "mistral-ai": _chat("https://api.mistral.ai/v1", "MISTRAL_API_KEY"),
        "together_ai": _chat("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
        "together-ai": _chat("https://api.together.xyz/v1", "TOGETHERAI_API_KEY"),
        "fireworks_ai": _chat("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
        "fireworks-ai": _chat("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"),
        "xai": _chat("https://api.x.ai/v1", "XAI_API_KEY"),
        "x-ai": _chat("https://api.x.ai/v1", "XAI_API_KEY"),
        "perplexity": _chat("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
        "perplexity-ai": _chat("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
        "cerebras": _chat("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
        "deepinfra": _chat("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
        "nvidia_nim": _chat("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
        "azure": _chat("", "AZURE_API_KEY"),
        "azure-openai": _chat("", "AZURE_API_KEY"),
        "azure_ai": _chat("", "AZURE_AI_API_KEY"),
        "hosted_vllm": _chat(""),
        "lm_studio": _chat("http://127.0.0.1:1234/v1"),
        "ollama": _chat("http://127.0.0.1:11434"),
        "ollama_chat": _chat("http://127.0.0.1:11434"),
        "litellm_proxy": _chat("", "LITELLM_PROXY_API_KEY"),
        "custom_openai": _chat("", "OPENAI_API_KEY"),
    }
)
PERIODS: Mapping[str, str] = MappingProxyType(
    {
        "1d": "day", "24h": "day", "daily": "day", "7d": "week", "1w": "week", "weekly": "week",
        "30d": "month", "31d": "month", "1mo": "month", "monthly": "month",
    }
)  # fmt: skip
_RESERVED = ("tier", "task")
_MOST_USD = 10_000


class Draft:
    """A configuration in the making. Groups are names callers use; each has deployments, tried in order."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.lost: list[str] = []
        self.todo: list[str] = []
        self.server: dict[str, Any] = {}
        self.cache: dict[str, Any] = {}
        self.groups: dict[str, list[str]] = {}
        self.chains: dict[str, list[str]] = {}
        self.aliases: dict[str, str] = {}
        self.prices: dict[str, dict[str, Decimal]] = {}
        self.abilities: dict[str, dict[str, Any]] = {}
        self.embeddings: set[str] = set()
        """Models that make vectors and answer no chat."""
        self._places: dict[Place, str] = {}
        self._models: dict[str, list[str]] = {}
        self._open: set[str] = set()
        self._tiers: dict[str, str] = {}
        self._tier_of: dict[tuple[str, str], str] = {}
        self._written_out: dict[str, str] = {}

    def deploy(self, group: str, place: Place, model_id: str) -> str:
        """Adds a deployment of `group` and gives its `provider/model`. A `*` in `model_id`: any id is passed
        on."""
        provider = self._places.get(place)
        if provider is None:
            names = {*self._places.values(), *_RESERVED}
            provider = self._places[place] = _free(slug(place.called) or "provider", names)
            self._models[provider] = []
        if "*" in model_id or not model_id:
            self._open.add(provider)
            if group != f"{provider}/*":
                self.must(f"models that {group} stood for are asked for as {provider}/MODEL")
            return f"{provider}/{model_id}"
        if model_id not in self._models[provider]:
            self._models[provider].append(model_id)
        name = f"{provider}/{model_id}"
        if name not in self.groups.setdefault(group, []):
            self.groups[group].append(name)
            self._tier_of[group, name] = tier = _free(slug(group) or "tier", self._tiers)
            self._tiers[tier] = name
        return name

    def secret(self, given: Any, usual: str, where: str) -> str | None:
        """`env:NAME` for a key that names a variable, for none where one is `usual`; None without either.

        A key that is written out is left behind and gets a variable of its own: it must neither stand for
        another key nor be sent to another address.
        """
        text = str(given or "").strip()
        named = re.fullmatch(r"(?:os\.environ/|\$\{?|env[.:])([A-Za-z_][A-Za-z0-9_]*)\}?", text)
        if named:
            return f"env:{named[1]}"
        if not text:
            return f"env:{usual}" if usual else None
        if text not in self._written_out:
            stem = re.sub(r"[^A-Z0-9]+", "_", where.upper()).strip("_")
            taken = sum(name.startswith(f"{stem}_KEY_") for name in self._written_out.values())
            variable = self._written_out[text] = f"{stem}_KEY_{taken + 1}"
            self.must(f"a key of {where} is written out in the file: set the variable {variable} to it")
        return f"env:{self._written_out[text]}"

    def address(self, url: str) -> str:
        """`url` without the user name and password that may stand in it."""
        bare = _LOGIN.sub("", url)
        if bare != url:
            self.must(f"{bare}: its address held a user name or password; a credential goes into `key`")
        return bare

    def headers(self, where: str, given: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Headers to be sent to a provider, without those whose names say that they hold a credential."""
        for name in given:
            if _CREDENTIAL.search(str(name)):
                self.must(f"{where}: its header {name} holds a credential and was not copied")
        return tuple(
            sorted((str(n), str(text)) for n, text in given.items() if not _CREDENTIAL.search(str(n)))
        )

    def lose(self, what: str) -> None:
        """Notes something without an equivalent, once."""
        if what not in self.lost:
            self.lost.append(what)

    def must(self, what: str) -> None:
        """Notes something to be done by hand, once."""
        if what not in self.todo:
            self.todo.append(what)

    def keep_answers(self, seconds: Any) -> None:
        """Turns the response cache on. `seconds`: for how long an answer is given again, where it is said."""
        said = isinstance(seconds, int | float) and seconds > 0
        self.cache = {"on": True, **({"ttl_s": seconds} if said else {})}
        self.must(
            "answers to requests of temperature 0 are cached; to others where their task has cache = true"
        )

    def limits(self, name: str, terms: Mapping[str, Any]) -> None:
        """Notes the command that makes a key with these limits: `budget_usd`, `period`, `rpm`, `tpm`,
        `max_concurrent`."""
        options = [
            f"--{term.replace('_', '-')} {_number(value)}"
            for term, value in terms.items()
            if value is not None
        ]
        if options:
            self.must(f"tierwise keys create {name} {' '.join(options)}")

    def cap(self, project: str, usd: Any, period: str | None) -> None:
        """Notes the commands that cap a project and make a key in it."""
        lasts = f" --period {period}" if period else ""
        self.must(f"tierwise budgets set project:{project} {_number(usd)}{lasts}")
        self.must(f"tierwise keys create NAME --project {project}")

    def imported(self) -> Imported:
        """The text of the configuration, with the other lists as comments above it."""
        tasks = dict(self._tasks())
        for group in tasks:
            self.must(f"ask for task/{slug(group)} instead of {group}: the plain name is pinned to one model")
        lines = [f"# Made from a {self.source} configuration by `tierwise import`."]
        for heading, notes in (("No equivalent:", self.lost), ("To be done by hand:", self.todo)):
            lines += ["#", f"# {heading}", *(f"#   {_one_line(note)}" for note in notes)] if notes else []
        lines += _block("[server]", self.server) if self.server else []
        lines += _block("[cache]", self.cache) if self.cache else []
        for place, name in self._places.items():
            lines += _block("[[provider]]", self._provider(place, name))
        needed = {tier for ladder in tasks.values() for tier in ladder}
        for tier, model in self._tiers.items():
            if model in self.embeddings and tier not in needed:
                continue  # on the ladder it would stand behind the others
            lines += _block("[[tier]]", {"name": tier, "model": model})
        for group, ladder in tasks.items():
            lines += _block(f"[task.{_key(slug(group))}]", {"ladder": ladder, "start": ladder[0]})
        for name, price in self.prices.items():
            lines += _block("[[price]]", {"model": name, **price})
        for name, able in self.abilities.items():
            lines += _block("[[model]]", {"name": name, **able})
        aliases = dict(self._aliases())
        lines += _block("[alias]", aliases) if aliases else []
        return Imported("\n".join(lines) + "\n", tuple(self.lost), tuple(self.todo))

    def _provider(self, place: Place, name: str) -> dict[str, Any]:
        row: dict[str, Any] = {"name": name, "dialect": place.dialect, "base_url": place.base_url}
        row |= {"key": place.key} if place.key else {}
        row |= {} if name in self._open else {"models": self._models[name]}
        row |= {"first_byte_timeout_s": place.timeout_s} if place.timeout_s else {}
        return row | ({"headers": dict(place.headers)} if place.headers else {})

    def _tasks(self) -> Iterator[tuple[str, list[str]]]:
        """Groups that have more than one deployment or fallbacks, as ladders of tiers."""
        for group, models in self.groups.items():
            ladder = [self._tier_of[group, model] for model in models]
            for other in self.chains.get(group, ()):
                if other not in self.groups:
                    self.lose(f"fallback of {group} to {other}: no model of that name is taken over")
                ladder += [self._tier_of[other, model] for model in self.groups.get(other, ())]
            if len(ladder) > 1:
                yield group, list(dict.fromkeys(ladder))

    def _aliases(self) -> Iterator[tuple[str, str]]:
        names = {name for models in self.groups.values() for name in models}
        wanted = {group: models[0] for group, models in self.groups.items()}
        for alias, group in self.aliases.items():
            if group in self.groups:
                wanted[alias] = self.groups[group][0]
            else:
                self.lose(f"alias {alias}: no model {group} is taken over")
        for alias, to in wanted.items():
            if is_reserved(alias):
                self.lose(f"name {alias}: it means something else here; ask for {to}")
            elif alias not in names and alias:
                yield alias, to


def slug(name: str) -> str:
    """A name for a tier, task or provider: letters, digits, `.`, `_` and `-` only."""
    return re.sub(r"[^a-zA-Z0-9._-]+", "-", name).strip("-.")


def table_of(value: Any) -> dict[Any, Any]:
    """`value`, {} where it is no object."""
    return value if isinstance(value, dict) else {}


def usd_per_million(per_token: Any) -> Decimal | None:
    """Dollars per million tokens of dollars per token, exact as written.

    None when it is no price that tierwise takes: negative, above $10,000 per million, or finer than a
    pico-dollar per token.
    """
    try:
        amount = Decimal(str(per_token)) * 1_000_000
    except InvalidOperation:
        return None
    usable = amount.is_finite() and 0 <= amount <= _MOST_USD and amount * 1_000_000 % 1 == 0
    return amount.normalize() if usable else None


def _free(name: str, taken: Iterable[str]) -> str:
    names = set(taken)
    if name not in names:
        return name
    number = 2
    while f"{name}-{number}" in names:
        number += 1
    return f"{name}-{number}"


def _block(heading: str, row: Mapping[str, Any]) -> list[str]:
    return ["", heading, *(f"{_key(key)} = {_value(value)}" for key, value in row.items())]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return _number(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(each) for each in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(k)} = {_value(v)}' for k, v in value.items())} }}"
    return _text(str(value))


def _number(value: Any) -> str:
    """Without an exponent: TOML and people read `0.0000001` alike."""
    if not isinstance(value, int | float | Decimal):
        return str(value)
    return f"{Decimal(str(value)).normalize():f}" if not isinstance(value, bool) else _value(value)


def _text(text: str) -> str:
    """A TOML basic string; JSON's escapes are a part of TOML's."""
    return json.dumps(text.encode("utf-8", "replace").decode(), ensure_ascii=False).replace("\x7f", "\\u007F")


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
