"""What OpenAI's models refuse while they reason, by its guides to gpt-5.4, 5.6 and 6 and its own errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tierwise.dialects import registry
from tierwise.nouns import Abilities, DialectName, Model

FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
RESPONSES_FUNCTION = {"type": "function", **FUNCTION["function"]}  # type: ignore[dict-item]
HELLO = [{"role": "user", "content": "hi"}]


def written(dialect: DialectName, model: Model, **more: Any) -> tuple[dict[str, Any], list[str], bool]:
    """What a caller of the same dialect has sent to `model`."""
    key = "messages" if dialect == "openai_chat" else "input"
    known, raw = registry.get(dialect), json.dumps({"model": "m", key: HELLO, **more}).encode()
    out = known.write_request(known.read_request(raw, {}), model)
    return json.loads(out.body), [loss.name for loss in out.losses], out.reworded


def model(name: str, *efforts: str) -> Model:
    return Model(f"p/{name}", "p", name, Abilities(efforts=efforts or None))


@pytest.mark.parametrize(
    ("name", "asked", "sent", "reworded"),
    [
        ("gpt-5.6", None, "none", True),
        ("gpt-5.6-luna", "high", "none", False),
        ("gpt-5.6", "none", "none", False),
        ("gpt-6-sol", None, "none", True),
        ("gpt-5.5", None, "none", True),
        ("gpt-5.4", None, None, False),  # does not reason unasked
        ("gpt-5.4-mini", "low", "none", False),
        ("gpt-5.2", "low", "low", False),
        ("gpt-5", "low", "low", False),
        ("openai/gpt-5.6", "high", "high", False),  # an aggregator asks over responses itself
        ("gpt-5.6-chat-latest", None, None, False),
        ("other", "high", "high", False),
    ],
)
def test_functions_over_chat_are_taken_without_reasoning_only(
    name: str, asked: str | None, sent: str | None, reworded: bool
) -> None:
    said = {} if asked is None else {"reasoning_effort": asked}
    body, losses, told = written("openai_chat", model(name), tools=[FUNCTION], **said)
    assert body.get("reasoning_effort") == sent
    assert losses == (["thinking.effort"] if asked not in (None, sent) else [])
    assert told is reworded
    assert "reasoning_effort" not in written("openai_chat", model(name))[0]


def test_a_model_that_always_reasons_says_itself_that_it_takes_no_functions() -> None:
    body, losses, _ = written(
        "openai_chat", model("gpt-6-astra", "low", "high"), tools=[FUNCTION], reasoning_effort="high"
    )
    assert (body["reasoning_effort"], losses) == ("high", [])


def test_functions_and_reasoning_go_together_over_responses() -> None:
    body, losses, _ = written(
        "openai_responses", model("gpt-5.6"), tools=[RESPONSES_FUNCTION], reasoning={"effort": "high"}
    )
    assert (body["reasoning"], losses) == ({"effort": "high"}, [])


@pytest.mark.parametrize(
    ("name", "effort", "kept"),
    [
        ("gpt-5.6", None, False), ("gpt-5.6", "none", True), ("gpt-5.6", "low", False),
        ("gpt-6-luna", None, False), ("gpt-5.4", None, True), ("gpt-5.4", "low", False),
        ("gpt-5.1", None, True), ("gpt-4.1", None, True), ("gpt-5.2-chat-latest", None, True),
    ],
)  # fmt: skip
def test_sampling_settings_are_taken_without_reasoning_only(
    name: str, effort: str | None, kept: bool
) -> None:
    asked = {"temperature": 0, "top_p": 0.5, "top_logprobs": 1}
    chat, lost, _ = written("openai_chat", model(name), **asked, logprobs=True, reasoning_effort=effort)
    names = ["temperature", "top_p", "logprobs", "top_logprobs"]
    assert [name for name in names if name in chat] == (names if kept else [])
    assert sorted(lost) == ([] if kept else sorted(f"sampling.{name}" for name in names))
    included = {"include": ["message.output_text.logprobs"], "reasoning": {"effort": effort}}
    responses, lost, _ = written("openai_responses", model(name), **asked, **included)
    assert ("temperature" in responses, bool(responses.get("include"))) == (kept, kept)
    assert sorted(lost) == ([] if kept else sorted(f"sampling.{name}" for name in names))


def test_what_is_so_unsaid_is_no_loss() -> None:
    body, losses, _ = written("openai_chat", model("gpt-5.6"), temperature=1, top_p=1.0, logprobs=False)
    assert (body["temperature"], body["top_p"], losses) == (1, 1.0, [])
