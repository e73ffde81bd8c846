"""Sampled: a Suite from the calls that tasks have kept, with the reference tier's answers as labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..config.samplefile import Sample, read_samples, samples_folder
from ..errors import SuiteError
from ..nouns import Case, Suite
from .suites import Shape, make_suite
from .template import last_text, messages_of

SCORER = "agreement"


def drawn_suite(policy_path: Path, shape: Shape, reference: str, model: str) -> tuple[Suite, str]:
    """The kept calls of `shape.task` that `reference` (a tier, or its model) answered, each question once
    with its latest answer as the target; and a line on what was left out. Labels are the reference's, so that
    a score is agreement. Raises SuiteError where there is none.
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
    cases = [(f"sample {sample.exchange}", _case(content, sample)) for content, sample in latest.items()]
    shape = Shape(name=f"{task} samples", task=task, scorer=shape.scorer or SCORER, labels="reference")
    said = (
        f"Drawn from {answered.total()} kept calls ({by}): {len(questions)} different questions, "
        f"{len(latest)} with an answer of {reference}, which is their label."
    )
    return make_suite(shape.name, cases, shape), said


def _case(content: str, sample: Sample) -> Case:
    messages = messages_of(sample.messages, sample.exchange)
    return Case(f"s_{content}", last_text(messages), sample.answer, metadata=sample.fields, messages=messages)
