"""evaluate: a Suite and the names of tiers → an Evaluation. Everything the command does, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, structs

from ..clock import now_us, rfc3339
from ..config import Settings, load
from ..errors import SuiteError
from ..http1 import Pool
from ..judging import Pair
from ..judging.decision import Terms as JudgingTerms
from ..judging.decision import check_bar
from ..nouns import Bar, Case, Suite
from .cases.sampled import drawn_suite
from .cases.suites import Shape, by_content, read_suite, text_hash
from .compare import Seen, evaluate_seen, holm_over_suites
from .grading.desk import Asking
from .grading.hearing import Hearing, Summons, hears, summoned
from .grading.scoring import Spec, judge_of, parse_spec
from .results import Evaluation
from .running.asking import Knobs
from .running.batching import by_batch, collect_all, goes_by_batch, mark_collected
from .running.fixed import check_fixed, check_names, check_same
from .running.looking import Look, Looking, after_a_look
from .running.order import ordered
from .running.plan import Plan, bill, total, warnings_of, what_n_shows
from .running.records import Manifest, SuiteCard, Terms
from .running.replies import Answering
from .running.runner import Runner, Work
from .running.store import RUNS, RunFolder, find_run, new_run_id
from .running.tally import Differing, differing_of, pairs_of
from .running.tiers import Places, dearer_than, ladder_order, named, open_tiers, reference_of


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to evaluate; None leaves it to the task, the resumed run, or the default.

    `cost_limit_pico` in pico-dollars. `resume`: a run's id, "" the last one. `base_url`, `key`: ask there
    instead of at the configured providers. `from_ledger`: the suite is drawn from the kept calls of `task`.
    `judge`, `rubric` (its text), `embedder`: whom the scorer asks;
    `calibrate`: a file of human labels. `tests`: comparisons judged together with this suite's.
    """

    reference: str | None = None
    margin: float | None = None
    alpha: float | None = None
    n: int | None = None
    seed: int = 0
    repeats: int | None = None
    jobs: int = 32
    retries: int = 6
    backoff_s: float = 0.5
    sequential: bool = False
    cost_limit_pico: int | None = None
    scorer: str | None = None
    allow_code: bool = False
    judge: str = ""
    rubric: str = ""
    embedder: str = ""
    calibrate: str = ""
    tests: int = 1
    task: str = ""
    labels: Literal["", "human", "reference"] = ""
    prompt: str = ""
    system: str = ""
    columns: dict[str, str] = {}
    base_url: str = ""
    key: str = ""
    config: str | None = None
    runs: str = str(RUNS)
    resume: str | None = None
    from_ledger: bool = False
    batch: bool = False
    max_tokens: int | None = None
    temperature: float | None = None
    plan_only: bool = False


class Watching(Protocol):
    """Who is told of a run: its plan before, each Trial, its end."""

    def planned(self, plan: Plan, run: str) -> None: ...

    def began(self, runner: Runner) -> None: ...

    def trial(self, runner: Runner, tier: str) -> None: ...

    def ended(self, runner: Runner) -> None: ...

    def told(self, words: str) -> None: ...


class Done(Struct, frozen=True):
    """An evaluation, its folder, the pairs its Verdicts rest on, what counts against the cost limit; `alone`:
    as if no other suite had been judged with it."""

    folder: Path | None
    plan: Plan | None
    evaluation: Evaluation | None
    pairs: dict[str, list[Pair]] = {}
    differing: dict[str, list[Differing]] = {}
    spent_pico: int = 0
    alone: Evaluation | None = None


async def evaluate(
    suite: Suite | Path | str, tiers: Sequence[str] = (), watching: Watching | None = None, **options: Any
) -> Evaluation:
    """Runs a Suite over tiers and judges the cheap ones against the reference.

    `suite` is a Suite or the path of one; `tiers` as `--tiers` takes them; `options` are the fields of
    Options (`margin=0.05, n=200, seed=1` …). Raises SuiteError, UpstreamError, ConfigError.
    """
    if not isinstance(suite, Suite | Path | str | None):
        raise SuiteError(f"A suite is a file or a Suite, not a {type(suite).__name__}.", "Name a file.")
    names = tiers.split(",") if isinstance(tiers, str) else tiers
    done = await carry_out(suite, names, read_options(options), watching)
    if done.evaluation is None:
        raise SuiteError("Only the plan was asked for.", "Leave plan_only out.")
    return done.evaluation


def read_options(options: Mapping[str, Any]) -> Options:
    """Options from plain values. Raises SuiteError on an unknown name or a wrong type."""
    try:
        return msgspec.convert(dict(options), Options)
    except msgspec.ValidationError as error:
        known = ", ".join(Options.__struct_fields__)
        raise SuiteError(f"That option does not fit: {error}.", f"Options: {known}.") from None


async def carry_out(
    suite: Suite | Path | str | None, names: Sequence[str], options: Options, watching: Watching | None = None
) -> Done:
    """The whole evaluation, with what the command needs besides."""
    settings = settings_of(options)
    if not isinstance(suite, Suite) and suite is not None:
        suite = read_suite(suite, shape_of(options, settings))
    pool = Pool(max_idle_per_origin=max(64, options.jobs))
    try:
        bench = _Bench(options, settings, places_of(pool, options))
        return await bench.run(suite, names, watching)
    finally:
        await pool.close()


class _Bench:
    """One evaluation being put together."""

    def __init__(self, options: Options, settings: Settings, places: Places) -> None:
        self.options = options
        self.settings = settings
        self.places = places
        self.hearing: Hearing | None = None
        self.drawn = ""
        self.batch = False

    async def run(self, suite: Suite | None, names: Sequence[str], watching: Watching | None) -> Done:
        folder, options = None, self.options
        if self.options.resume is not None:
            folder = find_run(self.options.resume, Path(self.options.runs))
            suite, names, manifest = self._resumed(RunFolder(folder), suite, names)
        elif suite is None and not options.from_ledger:
            raise SuiteError("There is no suite.", "Name a file, or a run with --resume.")
        tiers = open_tiers(names, self.places)
        self.batch = options.batch or (folder is not None and goes_by_batch(RunFolder(folder)))
        if self.batch:
            tiers = by_batch(tiers, self.places.pool)
        if suite is None:
            suite = self._drawn(tiers)
        if folder is None:
            # Only of a new run, which keeps this order: one of an older version goes on as it began.
            suite = structs.replace(suite, cases=by_content(suite.cases))
            manifest = self._manifest(suite, tiers)
        order = ordered(suite.cases, manifest.terms.seed, manifest.terms.n)
        spec = parse_spec(manifest.suite.scorer)
        if self.options.plan_only and folder is None:
            self.hearing = hearing_of(spec, self.options, self.places, None, suite.cases)
            return Done(None, self._plan(manifest, order, tiers, None), None)
        run = RunFolder(folder) if folder else RunFolder.create(manifest, suite, Path(self.options.runs))
        manifest = manifest if folder else run.manifest()
        run.open_to_write()
        try:
            if not self.options.plan_only:
                run.write_manifest(manifest)
            self.hearing = hearing_of(spec, self.options, self.places, run, suite.cases)
            judge = self.hearing.scorer if self.hearing else judge_of(spec, suite.cases, options.allow_code)
            runner = self._runner(run, order, tiers, judge, manifest)
            check_same(manifest, [tier.card for tier in tiers], runner.missing)
            plan = self._plan(manifest, order, tiers, runner)
            if watching is not None:
                watching.planned(plan, run.id)
                runner.observer = watching
                watching.began(runner)
            if self.options.plan_only:
                return Done(run.path, plan, None)
            try:
                if self.hearing is not None:
                    await self.hearing.calibrate()
                if self.batch:
                    most = plan.about_pico if plan.most_pico is None else plan.most_pico
                    await collect_all(runner, most, watching.told if watching is not None else None)
                await runner.run()
                if self.batch:
                    mark_collected(run)
                if self.hearing is not None:
                    await self.hearing.compare(order, runner.tallies, manifest.terms.reference)
            finally:
                if watching is not None:
                    watching.ended(runner)
            return self._judged(run, runner, manifest, plan)
        finally:
            run.close()

    def _resumed(
        self, run: RunFolder, suite: Suite | None, names: Sequence[str]
    ) -> tuple[Suite, Sequence[str], Manifest]:
        """The run to go on with: its suite, tiers (old and added), and terms; what was fixed stays fixed."""
        manifest, options = run.manifest(), self.options
        if suite is not None and suite.hash != manifest.suite.hash:
            raise SuiteError(
                f"The suite is not the one of run {run.id}.", "A changed suite or prompt starts a new run."
            )
        check_fixed(manifest, structs.asdict(options), suite is not None)
        check_names(manifest, names)
        spec = spec_of(options.scorer or manifest.suite.scorer, options, manifest.terms.sequential)
        if spec.text() != manifest.suite.scorer:
            raise SuiteError(
                f"Run {run.id} is scored by {manifest.suite.scored_by}.",
                f"Use --rescore {run.id} with that scorer.",
            )
        whole = run.suite()
        held = {card.name: card for card in manifest.tiers}
        specs = [f"{card.name}={card.target}" for card in manifest.tiers]
        specs += [name for name in names if named(name)[0] not in held]
        base_url = options.base_url or next((card.base_url for card in manifest.tiers if card.base_url), "")
        knobs = Knobs(manifest.terms.max_tokens, manifest.terms.temperature)
        self.places = structs.replace(self.places, knobs=knobs, base_url=base_url)
        added = open_tiers(specs, self.places)
        cards = tuple(held.get(each.card.name, each.card) for each in added)
        terms = manifest.terms
        if options.n is not None and options.n > terms.n:
            terms = structs.replace(terms, n=min(options.n, len(whole.cases)))
        if options.cost_limit_pico is None:
            self.options = structs.replace(options, cost_limit_pico=terms.limit_pico)
        tests = terms.tests + (len(cards) - len(held) if terms.tests > 1 else 0)
        terms = structs.replace(terms, limit_pico=self.options.cost_limit_pico, tests=tests)
        return whole, specs, structs.replace(manifest, tiers=cards, terms=terms)

    def _manifest(self, suite: Suite, tiers: Sequence[Answering]) -> Manifest:
        options = self.options
        bar = self._bar(suite.task)
        reference = self._reference(tiers)
        order = ordered(suite.cases, options.seed, options.n)
        clusters = {case.cluster for case in order if case.cluster is not None}
        card = SuiteCard(
            name=suite.name,
            task=suite.task,
            hash=suite.hash,
            cases=len(suite.cases),
            scorer=spec_of(options.scorer or suite.scorer, options, options.sequential).text(),
            prompt_hash=text_hash(suite.prompt),
            labels=suite.labels,
            clusters=len(clusters) or None,
        )
        terms = Terms(
            reference=reference,
            bar=bar,
            seed=options.seed,
            n=len(order),
            repeats=_positive(1 if options.repeats is None else options.repeats, "repeats"),
            sequential=options.sequential,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            limit_pico=options.cost_limit_pico,
            tests=options.tests,
        )
        at_us = now_us()
        return Manifest(new_run_id(at_us), rfc3339(at_us), card, terms, tuple(tier.card for tier in tiers))

    def _bar(self, task: str) -> Bar:
        known = self.settings.policy.tasks.get(task)
        bar = known.bar if known else Bar()
        given = {
            word: value for word in ("margin", "alpha") if (value := getattr(self.options, word)) is not None
        }
        bar = structs.replace(bar, **given)
        check_bar(bar)
        return bar

    def _reference(self, tiers: Sequence[Answering]) -> str:
        names = [tier.card.name for tier in tiers]
        prices = {tier.card.name: tier.price for tier in tiers}
        reference = self.options.reference or reference_of(names, self.settings.catalog.ladder, prices)
        if reference not in names:
            raise SuiteError(
                f"The reference {reference!r} is not among {', '.join(names)}.", "Name it in --tiers."
            )
        return reference

    def _drawn(self, tiers: Sequence[Answering]) -> Suite:
        """The suite of kept calls, labelled by the reference."""
        name = self._reference(tiers)
        card = next(tier.card for tier in tiers if tier.card.name == name)
        shape = shape_of(self.options, self.settings)
        suite, self.drawn = drawn_suite(self.settings.policy_path, shape, name, card.model)
        return suite

    def _ladder(self, tiers: Sequence[Answering]) -> list[str]:
        prices = {tier.card.name: tier.price for tier in tiers}
        return ladder_order(list(prices), self.settings.catalog.ladder.tiers, prices)

    def _runner(
        self, run: RunFolder, order: list[Case], tiers: Sequence[Answering], judge: Any, manifest: Manifest
    ) -> Runner:
        options, terms = self.options, manifest.terms
        work = Work(
            jobs=_positive(options.jobs, "jobs"),
            retries=options.retries,
            backoff_s=options.backoff_s,
            limit_pico=options.cost_limit_pico,
            seed=terms.seed,
        )
        if work.limit_pico is not None:
            for tier in tiers:
                if tier.price is None and not tier.free:
                    raise SuiteError(
                        f"No price of {tier.card.name} is known, so a cost limit cannot be kept.",
                        "Add a [[price]] row to tierwise.toml, or leave --cost-limit out.",
                    )
        runner = Runner(run, order, tiers, judge, work)
        runner.hearing = self.hearing
        runner.load([tier.card.name for tier in tiers], terms.repeats)
        if self.hearing is not None:
            self.hearing.desk.others_pico = runner.spent_pico + runner.doubtful_pico
            runner.in_doubt += self.hearing.desk.in_doubt
        if terms.sequential and len(tiers) > 1:
            reference = runner.tallies[terms.reference]
            judging = JudgingTerms(bar=terms.bar, running=True, seed=terms.seed, labels=manifest.suite.labels)
            looks = {
                name: Look(tally, reference, order, judging)
                for name, tally in runner.tallies.items()
                if name != terms.reference
            }
            runner.looking = Looking(looks, terms.reference, 2 * work.jobs)
        return runner

    def _plan(
        self, manifest: Manifest, order: Sequence[Case], tiers: Sequence[Answering], runner: Runner | None
    ) -> Plan:
        terms, suite = manifest.terms, manifest.suite
        bills = {}
        for tier in tiers:
            name = tier.card.name
            calls = runner.missing(name) if runner else len(order) * terms.repeats
            bills[name] = bill(order, calls, tier.price, tier.longest, tier.free)
        hearing, judging = self.hearing, {}
        if hearing is not None:
            judging["judge"] = hearing.bill(order, len(tiers), terms.repeats, terms.max_tokens)
        about, most = total({**bills, **judging})
        return Plan(
            suite=suite.name,
            suite_hash=suite.hash,
            scorer=suite.scored_by,
            n=len(order),
            clusters=suite.clusters,
            repeats=terms.repeats,
            bar=terms.bar,
            reference=terms.reference,
            sequential=terms.sequential,
            shown=what_n_shows(len(order), terms.bar),
            tiers=tuple(tier.card for tier in tiers),
            bills=bills,
            about_pico=about,
            most_pico=most,
            limit_pico=self.options.cost_limit_pico,
            spent_pico=runner.spent_pico if runner else 0,
            in_doubt=runner.in_doubt if runner else 0,
            warnings=warnings_of(order, suite.clusters, terms.bar),
            judge=hearing.desk.tier.card.name if hearing else "",
            judge_bill=judging.get("judge"),
            drawn=self.drawn,
        )

    def _judged(self, run: RunFolder, runner: Runner, manifest: Manifest, plan: Plan) -> Done:
        looks = runner.looking.looks if runner.looking is not None else {}
        notes = [self.drawn] if self.drawn else []
        further = f"Raise --cost-limit and go on with --resume {run.id}"
        if runner.halted:
            notes.append(f"The run ended early: {runner.halted}. {further}.")
        if self.batch:
            notes.append("Answers came by batch: they are not timed.")
        if runner.in_doubt:
            notes.append(f"{runner.in_doubt} calls were cut off by a crash and may have been billed besides.")
        if runner.halted and not all(tally.ended for tally in runner.tallies.values()):
            raise SuiteError(f"Nothing can be compared yet: {runner.halted}.", f"{further}.")
        manifest = after_a_look(run, runner.tallies, manifest)
        ladder = self._ladder(list(runner.tiers.values()))
        seen = Seen(
            manifest,
            runner.order,
            runner.tallies,
            cheap_tiers(manifest, ladder),
            {name: look.position for name, look in looks.items()},
            dearer_than(
                manifest.terms.reference,
                ladder,
                self.settings.catalog.ladder.tiers,
                {name: tier.price for name, tier in runner.tiers.items()},
            ),
            tuple(notes),
            self.hearing.result() if self.hearing is not None else None,
        )
        return structs.replace(finish(run, seen, plan, "verdict.json"), spent_pico=runner.counted_pico())


def cheap_tiers(manifest: Manifest, ladder: Sequence[str]) -> tuple[str, ...]:
    """Every tier but the reference, cheap to dear."""
    return tuple(name for name in ladder if name != manifest.terms.reference)


def finish(run: RunFolder, seen: Seen, plan: Plan | None, name: str) -> Done:
    """Judges what was seen and writes it into the run's folder under `name`."""
    evaluation = alone = evaluate_seen(seen)
    reference = seen.tallies[seen.manifest.terms.reference]
    pairs = {
        cheap: pairs_of(seen.tallies[cheap], reference, seen.order, seen.upto.get(cheap))
        for cheap in seen.cheap
    }
    differing = {
        cheap: differing_of(seen.tallies[cheap], reference, seen.order, seen.upto.get(cheap))
        for cheap in seen.cheap
    }
    if alone.tests > 1:
        [evaluation] = holm_over_suites([alone], [pairs], alone.tests)
    run.write_json(name, evaluation)
    return Done(run.path, plan, evaluation, pairs, differing, alone=alone)


def spec_of(scorer: str, options: Options, sequential: bool) -> Spec:
    """The scorer's spec with what the options say of its judge. Raises SuiteError."""
    given = (options.judge, options.rubric, options.embedder)
    return summoned(parse_spec(scorer), given, options.calibrate, sequential)


def hearing_of(
    spec: Spec, options: Options, places: Places, folder: RunFolder | None, cases: Sequence[Case]
) -> Hearing | None:
    """The judge a scorer asks, None where it asks nobody. `folder`: where judgements are kept."""
    if not hears(spec):
        return None
    asking = Asking(
        jobs=_positive(options.jobs, "jobs"),
        retries=options.retries,
        backoff_s=options.backoff_s,
        limit_pico=options.cost_limit_pico,
        seed=options.seed,
    )
    return Hearing(Summons(spec, options.calibrate, asking), places, folder, cases)


def places_of(pool: Pool, options: Options) -> Places:
    """Where tiers and judges are looked for."""
    knobs = Knobs(options.max_tokens, options.temperature)
    return Places(pool, settings_of(options), options.base_url, options.key, knobs)


def settings_of(options: Options) -> Settings:
    """The configuration in force."""
    return load(Path(options.config) if options.config else None, os.environ)


def shape_of(options: Options, settings: Settings) -> Shape:
    task = settings.policy.tasks.get(options.task)
    return Shape(
        task=options.task,
        prompt=options.prompt,
        system=options.system,
        scorer=options.scorer or (task.scorer if task else ""),
        labels=options.labels,
        columns=options.columns,
    )


def _positive(value: int, word: str) -> int:
    if value < 1:
        raise SuiteError(f"{word} cannot be {value}.", "Use 1 or more.")
    return value
