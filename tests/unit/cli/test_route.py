"""`tierwise route`: the same decision as serving, for a request in a file, and nothing is sent."""

import json

import pytest
from click.testing import CliRunner

from tierwise.cli.route import command, guess_dialect
from tierwise.errors import BadRequest, UnknownModel

CONFIG = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
models = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7"]
"""
HELLO = [{"role": "user", "content": "hello"}]
PIXEL = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
IMAGE = [{"role": "user", "content": [PIXEL]}]
CACHED = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run({...}, "--task", "x") → what the command prints for that body, read as JSON unless `text`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tierwise.toml").write_text(CONFIG)

    def call(body, *options, text=False):
        (tmp_path / "body.json").write_text(body if isinstance(body, str) else json.dumps(body))
        arguments = ["body.json", "--config", "tierwise.toml", *options, *([] if text else ["--json"])]
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout if text else json.loads(result.stdout)

    return call


def test_a_task_named_in_the_model(run):
    told = run({"model": "task/classification", "messages": HELLO})
    assert (told["task"], told["tier"], told["how"], told["asked"]) == (
        "classification", "haiku", "task", "task/classification",
    )  # fmt: skip
    assert "claude-haiku-4" in told["model"]
    assert "unmeasured (prior)" in told["reason"]
    assert [each["tier"] for each in told["candidates"]] == ["haiku", "sonnet", "opus"]


def test_a_task_by_option_and_by_metadata(run):
    assert run({"model": "auto", "messages": HELLO}, "--task", "coding")["tier"] == "sonnet"
    assert run({"model": "auto", "messages": HELLO, "metadata": {"task": "vision"}})["tier"] == "opus"
    assert run({"model": "auto", "messages": HELLO}, "--task", "poetry-slam")["tier"] == "sonnet"


def test_an_answer_longer_than_the_task_allows_is_refused_as_by_the_gateway(run, tmp_path):
    with (tmp_path / "tierwise.toml").open("a") as file:
        file.write("[task.qa]\nmax_output_tokens = 100\n")
    assert run({"model": "task/qa", "messages": HELLO, "max_tokens": 100})["tier"] == "haiku"
    with pytest.raises(BadRequest, match="allows 100 output tokens"):
        run({"model": "task/qa", "messages": HELLO, "max_tokens": 101})
    pinned = {"model": "anthropic/claude-haiku-4", "messages": HELLO, "max_tokens": 101}
    assert run(pinned, "--task", "qa")["how"] == "pinned"


def test_a_task_inferred(run):
    told = run({"model": "auto", "messages": IMAGE})
    assert (told["task"], told["tier"]) == ("vision", "opus")
    assert "image" in told["reason"]


def test_estimates_are_exact_sums_of_the_tokens_shown(run):
    told = run({"model": "tier/haiku", "messages": HELLO, "max_tokens": 50})
    cheap = told["candidates"][0]
    assert told["output_tokens"] == 50
    assert cheap["estimated_pico"] == told["prompt_tokens"] * 10**6 + 50 * 5 * 10**6
    assert float(cheap["estimated_usd"]) == pytest.approx(cheap["estimated_pico"] / 1e12)


def test_a_pinned_model(run):
    told = run({"model": "tier/opus", "messages": HELLO}, "--model", "anthropic/claude-haiku-4")
    assert (told["how"], told["tier"]) == ("pinned", None)
    assert "claude-haiku-4" in told["model"]


def test_as_text_it_says_task_tier_model_reason_and_what_was_left_out(run):
    text = run({"model": "task/coding", "messages": HELLO}, text=True)
    for line in ("task    coding", "tier    sonnet", "reason  task coding -> sonnet", "Left out:", "haiku:"):
        assert line in text
    assert "$0.00" in text


def test_standard_input(run, tmp_path):
    body = json.dumps({"model": "auto", "messages": HELLO})
    result = CliRunner().invoke(
        command, ["-", "--config", "tierwise.toml"], input=body, catch_exceptions=False
    )
    assert "tier    sonnet" in result.stdout


def test_an_anthropic_body_is_read_as_one(run):
    body = {"model": "auto", "system": "x", "max_tokens": 20, "messages": HELLO}
    assert run(body)["dialect"] == "anthropic_messages"
    assert run(body)["output_tokens"] == 20


def test_mistakes_are_told(run):
    with pytest.raises(UnknownModel, match="no/such-model"):
        run({"model": "no/such-model", "messages": HELLO})
    for body in ("", "[1]", "{", '"x"'):
        with pytest.raises(BadRequest, match="not a JSON object"):
            run(body)


@pytest.mark.parametrize(
    ("body", "dialect"),
    [
        ({"contents": []}, "gemini"),
        ({"model": "x", "input": "hi"}, "openai_responses"),
        ({"model": "x", "messages": HELLO}, "openai_chat"),
        ({"model": "x", "messages": HELLO, "max_tokens": 5}, "openai_chat"),
        ({"model": "x", "messages": IMAGE}, "openai_chat"),
        ({"model": "x", "messages": HELLO, "system": "be brief"}, "anthropic_messages"),
        ({"model": "x", "messages": HELLO, "stop_sequences": ["x"]}, "anthropic_messages"),
        ({"model": "x", "messages": HELLO, "output_config": {"effort": "low"}}, "anthropic_messages"),
        (
            {"model": "x", "messages": HELLO, "tools": [{"name": "t", "input_schema": {}}]},
            "anthropic_messages",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "anthropic_messages"),
        ({"messages": [{"role": "user", "content": [CACHED]}]}, "anthropic_messages"),
        ({"messages": [3, {"content": [4]}], "tools": "x"}, "openai_chat"),
    ],
)
def test_the_dialect_is_guessed_from_the_body(body, dialect):
    assert guess_dialect(json.dumps(body).encode()) == dialect


def test_a_byte_order_mark_is_no_part_of_the_body(run):
    body = {"model": "task/qa", "messages": HELLO}
    assert run("\ufeff" + json.dumps(body)) == run(body)


def test_bytes_that_are_no_utf_8_are_told(run, tmp_path):
    (tmp_path / "latin.json").write_bytes(b'{"model": "\xe9"}')
    with pytest.raises(BadRequest, match="not a JSON object"):
        CliRunner().invoke(command, ["latin.json"], catch_exceptions=False, standalone_mode=False)
