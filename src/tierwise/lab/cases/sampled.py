"""Sampled: a Suite from the calls that tasks have kept, with the reference tier's answers as labels."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ...config.samplefile import Sample, read_samples, samples_folder
from ...errors import SuiteError
from ...nouns import Case, Suite
from .suites import Shape, make_suite
from .template import last_text, messages_of

SCORER = "agreement"


def drawn_suite(policy_path: Path, shape: Shape, reference: str, model: str) -> tuple[Suite, str]:
    """The kept calls of `shape.task` that `reference` (a tier, or its model) answered, each question once
    with its latest answer as the target; and a line on what was left out. Labels are the reference's, so that
    a score is agreement. Turns of one conversation are a cluster. Raises SuiteError where there is none.
    """
    task, folder = shape.task, samples_folder(policy_path, shape.task)
    latest: dict[str, Sample] = {}
    answered: Counter[str] = Counter()
    questions: set[str] = set()
    for sample in read_samples(folder):
        answered[sample.tier] += 1
        content = sample.content
        questions.add(content)
        if reference == sample.tier or model == sample.model:
            latest[content] = sample
    if not answered:
        raise SuiteError(
            f"No calls of the task {task!r} are kept in {folder}.",
            f"Set [task.{task}] sample_share in tierwise.toml; from then on that share of its calls is kept.",
        )
    by = ", ".join(f"{tier} {count}" for tier, count in answered.most_common())
    if not latest:
        raise SuiteError(
            f"None of the {answered.total()} kept calls of {task} was answered by {reference} ({by}).",
            "Name one of these with --reference, or set holdout_share or shadow_share: then it answers some.",
        )
    talks = conversations({content: sample.messages for content, sample in latest.items()})
    cases = [
        (f"sample {sample.exchange}", _case(content, sample, talks.get(content)))
        for content, sample in latest.items()
    ]
    shape = Shape(name=f"{task} samples", task=task, scorer=shape.scorer or SCORER, labels="reference")
    said = (
        f"Drawn from {answered.total()} kept calls ({by}): {len(questions)} different questions, "
        f"{len(latest)} with an answer of {reference}, which is their label."
    )
    if talks:
        said += f" They are turns of {len(set(talks.values()))} conversations, which are its clusters."
    return make_suite(shape.name, cases, shape), said


def conversations(asked: Mapping[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Which conversation each of several questions belongs to, by name: one whose messages begin with all of
    another's goes on from there, and both are as hard as their conversation is. A first question that several
    conversations begin with belongs to none of them. Empty where no two belong together.
    """
    passed = {name: list(_passed(messages)) for name, messages in asked.items()}
    whole = {points[-1][0]: name for name, points in passed.items() if points}
    found, begun = dict[str, str](), defaultdict[str, set[str]](set)
    for name, points in passed.items():
        found[name] = next((whole[at] for at, answered in points if answered and at in whole), name)
        for at, answered in points:
            if not answered and whole.get(at, name) != name:
                begun[whole[at]].add(found[name])
    for first, talks in begun.items():
        if len(talks) == 1:
            found[first] = min(talks)
    return {} if len(set(found.values())) == len(asked) else found


def _passed(messages: Iterable[Mapping[str, Any]]) -> Iterator[tuple[bytes, bool]]:
    """After each message: a digest of all up to it, and whether the model has answered among them."""
    digest, answered = hashlib.sha256(), False
    for message in messages:
        digest.update(msgspec.json.encode(message, order="deterministic") + b"\n")
        answered = answered or message.get("role") == "assistant"
        yield digest.digest(), answered


def _case(content: str, sample: Sample, cluster: str | None) -> Case:
    messages = messages_of(sample.messages, sample.exchange)
    of = None if cluster is None else f"s_{cluster}"
    return Case(f"s_{content}", last_text(messages), sample.answer, of, sample.fields, messages)
