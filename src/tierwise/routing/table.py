"""Table: a Catalog and a Policy compiled for choosing, once per snapshot of the configuration, and never
changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from ..nouns import Abilities, Candidate, Catalog, DialectName, Model, Policy, Price, Skipped
from .reason import plain, plain_name

_EVIDENCE_LENGTH = 120


class Rung(Struct, frozen=True):
    """One place that can answer: a Tier (or, with tier "", a pinned Model), what it can do and what it
    charges.
    """

    candidate: Candidate
    able: Abilities = Abilities()
    price: Price | None = None

    @property
    def label(self) -> str:
        return self.candidate.tier or self.candidate.model


class Line(Struct, frozen=True):
    """What the Policy says of one task: rungs in order (the start, then dearer ones), those left out, and
    its evidence.

    `start` is the label the evidence speaks of; `output_tokens` the answer's expected size, None: the
    policy does not say.
    """

    task: str
    start: str
    rungs: tuple[Rung, ...]
    skipped: tuple[Skipped, ...] = ()
    evidence: str = ""
    output_tokens: int | None = None


class Table:
    """Everything `choose` looks up, by name, prepared from one snapshot; read only.

    `tasks`: the Policy's lines. `middle`: the line of what no rule covers. `tiers`: each Tier, then the
    dearer ones of the ladder. `models`: by name and alias. `passing`: providers that pass any model id on.
    `beside`: the same model at other providers, by `tier/NAME` or the name a caller wrote. `dialects`: by
    provider.
    """

    __slots__ = (
        "_day", "_find", "beside", "dialects", "middle", "models", "passing", "rungs", "task_names", "tasks",
        "tiers",
    )  # fmt: skip

    def __init__(
        self,
        catalog: Catalog,
        policy: Policy,
        day: str | None = None,
        find: Callable[[str], Model | None] | None = None,
    ) -> None:
        """`day` (YYYY-MM-DD) picks the prices used for ordering by cost; None: the latest known. `find` gives
        the Model of a name that the catalog does not list, if a provider serves it all the same."""
        self.models = {name: _pinned(model, day) for name, model in catalog.models.items()}
        for alias, name in catalog.aliases.items():
            if name in self.models:
                self.models.setdefault(alias, self.models[name])
        self.rungs = {
            name: Rung(Candidate(pinned.candidate.model, name), pinned.able, pinned.price)
            for name, tier in catalog.tiers.items()
            if (pinned := self.models.get(tier.model)) is not None
        }
        self.beside = {
            alias: tuple(self.models[name] for name in names) for alias, names in catalog.beside.items()
        }
        for name, tier in catalog.tiers.items():
            others = [self.models[each] for each in tier.beside]
            if others:
                self.beside[f"tier/{name}"] = tuple(
                    Rung(Candidate(each.candidate.model, name), each.able, each.price) for each in others
                )
        ladder = catalog.ladder.tiers or tuple(catalog.tiers)
        self.tasks = {
            task: _task_line(task, policy, self.rungs, ladder) for task in {**policy.tasks, **policy.rules}
        }
        self.task_names = tuple(self.tasks)
        self.tiers = {name: _tier_line(name, self.rungs, ladder) for name in self.rungs}
        self.middle = _line("", (policy.safe_middle,), ladder, self.rungs)
        self._day = day
        self._find = find
        self.dialects = {name: provider.dialect for name, provider in catalog.providers.items()}
        self.passing = frozenset(name for name, provider in catalog.providers.items() if not provider.models)

    def unlisted(self, name: str) -> Rung | None:
        """The rung of a model that the catalog does not list, such as a vendor's bare id at a provider that
        takes any; None when no provider serves it."""
        model = self._find(name) if self._find is not None else None
        return _pinned(model, self._day) if model is not None else None

    def dialect(self, rung: Rung) -> DialectName | None:
        """What the rung's provider speaks."""
        return self.dialects.get(rung.candidate.model.partition("/")[0])

    def names(self) -> list[str]:
        """Every name a caller may write as `model`."""
        return ["auto", *self.models, *(f"tier/{t}" for t in self.tiers), *(f"task/{t}" for t in self.tasks)]


def price_on(prices: Iterable[Price], day: str | None) -> Price | None:
    """The first price in force on `day` (YYYY-MM-DD): the user's own stands before the library's. With None
    the one without an end, else the one that ends last.
    """
    if day is None:
        return max(prices, key=lambda p: (p.until is None, p.until or "", p.since or ""), default=None)
    valid = (p for p in prices if (p.since is None or p.since <= day) and (p.until is None or day < p.until))
    return next(valid, None)


def _pinned(model: Model, day: str | None) -> Rung:
    return Rung(Candidate(model.name), model.abilities, price_on(model.prices, day))


def _tier_line(name: str, rungs: dict[str, Rung], ladder: tuple[str, ...]) -> Line:
    return Line("", name, _present(rungs, (name, *_dearer(ladder, name))), evidence="as asked")


def _task_line(name: str, policy: Policy, rungs: dict[str, Rung], ladder: tuple[str, ...]) -> Line:
    task, rule = policy.tasks.get(name), policy.rules.get(name)
    own = (task.ladder if task else ()) or ladder
    start = (task.start if task else "") or policy.safe_middle
    line = _line(name, (rule.tiers if rule else ()) or (start,), own, rungs)
    evidence = rule.evidence if rule else "unmeasured (prior)"
    if rule and rule.state in ("expired", "contradicted") and rule.state not in evidence:
        evidence = f"{rule.state}: {evidence}"
    return Line(
        task=line.task,
        start=line.start,
        rungs=line.rungs,
        skipped=line.skipped,
        evidence=plain(evidence, _EVIDENCE_LENGTH),
        output_tokens=task.default_output_tokens if task else None,
    )


def _line(task: str, tiers: tuple[str, ...], ladder: tuple[str, ...], rungs: dict[str, Rung]) -> Line:
    """The named tiers, then the dearer ones of the ladder; cheaper ones are left out, and it says so."""
    start = tiers[0]
    order = dict.fromkeys((*tiers, *_dearer(ladder, start)))
    present = _present(rungs, order)
    skipped = [Skipped(plain_name(name), "not served here") for name in order if name and name not in rungs]
    if not present:
        # Nothing from the start on is served here: whatever the ladder has, in its order.
        order = dict.fromkeys((*order, *ladder, *rungs))
        present = _present(rungs, order)
    skipped += [
        Skipped(name, f"cheaper than {start}, where the policy starts")
        for name in ladder
        if name in rungs and name not in order
    ]
    return Line(task, plain_name(start), present, tuple(skipped))


def _dearer(ladder: tuple[str, ...], start: str) -> tuple[str, ...]:
    return ladder[ladder.index(start) + 1 :] if start in ladder else ()


def _present(rungs: dict[str, Rung], names: Iterable[str]) -> tuple[Rung, ...]:
    return tuple(rungs[name] for name in names if name in rungs)
