"""What a simulated model answers."""

from __future__ import annotations

import msgspec
import pytest

from tierwise.simulator.labels import Truth
from tierwise.simulator.mind import Mind
from tierwise.simulator.profile import ModelProfile, Profile, resolve
from tierwise.simulator.prompt import Prompt, Said, ToolOutput, ToolSpec, count

CLASSIFY = "Classify the support ticket into: Billing, Technical, Account, or General."
TEXT = {"type": "string"}
WEATHER = ToolSpec("get_weather", {"type": "object", "properties": {"city": TEXT}, "required": ["city"]})
HAIKU, SONNET, OPUS = "claude-haiku-4", "claude-sonnet-4.6", "claude-opus-4.7"


def say(question: str = "", model: str = HAIKU, seed: int = 0, **fields: object) -> Said:
    prompt = Prompt(model=model, question=question, turns=[question], **fields)  # type: ignore[arg-type]
    return Mind(Truth(), seed, 0.5).answer(prompt, resolve(Profile(seed=seed), model))


@pytest.mark.parametrize("model", [HAIKU, SONNET, OPUS])
def test_the_first_ticket_is_about_billing(model: str) -> None:
    said = say("I was charged twice for my subscription this month.", model, system=CLASSIFY)
    assert (said.text, said.finish, said.output) == ("Billing", "stop", 2)


def test_the_same_seed_model_and_words_give_the_same_answer() -> None:
    one, two = say("Tell me about cheese."), say("Tell me about cheese.")
    assert one == two
    assert say("Tell me about cheese.", seed=1) != one
    assert say("Tell me about cheese.", SONNET) != one


def test_a_profile_can_make_a_model_always_wrong_or_always_right() -> None:
    for accuracy, expected in ((0.0, False), (1.0, True)):
        profile = Profile(model={"haiku": ModelProfile(accuracy={"classification": accuracy})})
        mind = Mind(Truth(), 0, 0.5)
        for i in range(50):
            prompt = Prompt(model=HAIKU, system=CLASSIFY, question=f"refund {i}")
            label = mind.answer(prompt, resolve(profile, HAIKU)).text
            assert (label == "Billing") is expected
            assert label in {"Billing", "Technical", "Account", "General"}


def test_known_questions_are_answered_by_their_task() -> None:
    truth = Truth([("What is 2+2?", "4", "reasoning"), ("Capital of France?", "Paris", "qa")])
    profile = Profile(model={"*": ModelProfile(accuracy={"reasoning": 1.0, "qa": 0.0})})
    mind, how = Mind(truth, 0, 0.5), resolve(profile, HAIKU)
    assert mind.answer(Prompt(model=HAIKU, question="What is 2+2?"), how).text == "4"
    assert mind.answer(Prompt(model=HAIKU, question="Q: Capital of France?"), how).text == "4"


def test_a_label_goes_into_the_schema_that_offers_it() -> None:
    schema = {
        "type": "object",
        "properties": {"why": {"type": "string"}, "kind": {"enum": ["Billing", "General"]}},
        "required": ["kind", "why"],
    }
    said = say("I want a refund", schema=schema, wants_json=True)
    assert msgspec.json.decode(said.text) == {"kind": "Billing", "why": "simulated"}
    assert say("I want a refund", system=CLASSIFY, wants_json=True).text == '{"label":"Billing"}'


def test_the_token_limit_cuts_the_text_and_says_so() -> None:
    said = say("Tell me a long story about ships.", max_tokens=10)
    assert said.finish == "length"
    assert count(said.text) <= 10
    assert said.output <= 10


def test_a_stop_sequence_ends_the_text_before_it() -> None:
    whole = say("Tell me a long story about ships.").text
    stop = whole.split()[5]
    said = say("Tell me a long story about ships.", stops=["never there", stop])
    assert said.text == whole[: whole.index(stop)]
    assert (said.finish, said.stop_sequence) == ("stop_sequence", stop)


def test_kinds_of_request_get_kinds_of_answer() -> None:
    assert "```python" in say("Write a python function that adds.").text
    short = sum(say(f"Summarize item {i}").output for i in range(20))
    assert short < sum(say(f"Explain item {i}").output for i in range(20)) / 2
    assert len(say("Describe a tree in 12 words.").text.split()) == 12
    assert "imulated" in say("hello").text
    assert "imulated" in say("Describe a tree in 12 words.").text


def test_a_fixed_length_is_exact() -> None:
    how = resolve(Profile(model={"*": ModelProfile(answer_tokens=50)}), HAIKU)
    assert Mind(Truth(), 0, 0.5).answer(Prompt(model=HAIKU, question="hi"), how).output == 50


def test_thinking_is_counted_within_the_limit() -> None:
    said = say("hello", thinking=200, max_tokens=100)
    assert said.thinking
    assert 0 < said.reasoning <= 50
    assert said.output <= 100


def test_tools_are_called_when_named_forced_or_any() -> None:
    assert not say("hello", tools=[WEATHER]).calls
    assert not say("get_weather now", tools=[WEATHER], choice="none").calls
    for question, choice in (
        ("get_weather in Oslo", "auto"),
        ("hi in Oslo", "any"),
        ("hi in Oslo", "get_weather"),
    ):
        said = say(question, tools=[WEATHER], choice=choice)
        assert said.finish == "tool_calls"
        assert msgspec.json.decode(said.calls[0].arguments) == {"city": "Oslo"}


def test_two_named_tools_are_called_at_once_unless_forbidden() -> None:
    tools = [WEATHER, ToolSpec("get_time", {"type": "object"})]
    both = say("get_weather and get_time", tools=tools)
    assert [call.name for call in both.calls] == ["get_weather", "get_time"]
    assert len({call.id for call in both.calls}) == 2
    assert len(say("get_weather and get_time", tools=tools, parallel=False).calls) == 1


def test_plain_words_are_no_tool_names_and_reminders_none_either() -> None:
    tools = [ToolSpec("Read", {"type": "object"}), ToolSpec("Bash", {"type": "object"})]
    assert not say("I read a book about birds", tools=tools).calls
    assert say("Use Read on it", tools=tools).calls[0].name == "Read"


def test_writing_a_file_and_running_a_command_find_their_tools() -> None:
    write = {"type": "object", "properties": {"file_path": TEXT, "content": TEXT}}
    write["required"] = ["file_path", "content"]
    tools = [
        ToolSpec("Bash", {"type": "object", "properties": {"command": TEXT}, "required": ["command"]}),
        ToolSpec("Edit", {"type": "object"}),
        ToolSpec("Write", write),
    ]
    written = say(
        "Please create a file notes.md with 'hi'", tools=tools, system="Primary working directory: /w/x\n"
    )
    assert written.calls[0].name == "Write"
    assert msgspec.json.decode(written.calls[0].arguments) == {"file_path": "/w/x/notes.md", "content": "hi"}
    ran = say("run `ls -l`", tools=tools)
    assert msgspec.json.decode(ran.calls[0].arguments) == {"command": "ls -l"}


def test_a_tool_result_is_quoted() -> None:
    said = say("get_weather in Oslo", tools=[WEATHER], results=[ToolOutput("get_weather", "22C and sunny")])
    assert not said.calls
    assert "22C and sunny" in said.text
