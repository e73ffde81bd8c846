"""load: values that look right until they are used, each refused with its key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import load
from tierwise.errors import ConfigError

PROVIDER = """
[[provider]]
name = "p"
dialect = "anthropic_messages"
base_url = "http://127.0.0.1:9"
models = ["claude-haiku-4", "claude-opus-4.7"]
"""
TASK = PROVIDER + "[task.qa]\n"
MODEL = PROVIDER + '[[model]]\nname = "claude-haiku-4"\n'
MISTAKES = [
    (TASK + "shadow_daily_usd = nan\n", "task.qa.shadow_daily_usd is NaN. Write dollars"),
    (TASK + "shadow_daily_usd = inf\n", "task.qa.shadow_daily_usd is Infinity. Write dollars"),
    (TASK + "shadow_daily_usd = 1e308\n", "task.qa.shadow_daily_usd is 1E+308. Write dollars"),
    (TASK + "shadow_daily_usd = 1e-13\n", "12 decimals at most"),
    (TASK + "shadow_daily_usd = -1\n", "task.qa.shadow_daily_usd is -1. Write dollars"),
    (TASK + "margin = 0\n", "task.qa.margin is 0.0. Write a share above 0 and below 1."),
    (TASK + "alpha = 0.5\n", "task.qa.alpha is 0.5. Write a share above 0 and below 0.5."),
    (TASK + "ladder = []\n", "task.qa.ladder is empty"),
    (PROVIDER + "[default]\nladder = []\n", "default.ladder is empty. Name at least one tier"),
    (TASK + 'shadow_tier = "opuss"\n', "task.qa names the tier 'opuss', which is not there."),
    (TASK + '[task."a.b"]\nmargin = "x"\n', "task.a.b.margin: expected a number, got a text."),
    (TASK + "cache_edits = 1\n", "task.qa.cache_edits: expected true or false, got a whole number."),
    (
        PROVIDER + "headers = {a = 'b', c = 1}\n",
        "provider[0].headers.c: expected a text, got a whole number.",
    ),
    (PROVIDER + '[alias]\nfast = "claude-haiku-4"\nslow = []\n', "alias.slow: expected a text, got a list."),
    (PROVIDER.replace('"claude-haiku-4", "claude-opus-4.7"', '""'), "models has an empty id."),
    (PROVIDER + "connect_timeout_s = 1e6\n", "Write seconds, more than 0 and less than a day."),
    (PROVIDER + "[server]\ndrain_timeout_s = 1e6\n", "server.drain_timeout_s is 1000000.0. Write seconds"),
    (PROVIDER + '[server]\nhost = ""\n', "server.host is ''. Write an address of this machine alone"),
    (PROVIDER + '[server]\nadmin_host = "[::1]"\n', "server.admin_host is '[::1]'. Write an address"),
    (PROVIDER + '[server]\nhost = "a\\u0000b"\n', "server.host is 'a\\x00b'."),
    (
        PROVIDER.replace(":9", ":9/v1/messages"),
        "base_url ends with /messages, which is appended to it. Write 'http://127.0.0.1:9/v1'.",
    ),
    (PROVIDER + 'key = "file:empty"\n', "/empty cannot be read: No such file or directory."),
    (
        PROVIDER + "[[tier]]\nname = 't'\nmodel = 'claude-haiku-4'\nsettings = {a = [{b = nan}]}\n",
        "settings cannot hold NaN.",
    ),
    (TASK + "cache_similarity = 0.9\n", "a task sets cache_similarity, and nothing makes vectors"),
    (PROVIDER.replace('"p"', '"tier"'), "provider[0] (tier): the name 'tier' is taken"),
    (PROVIDER.replace('"p"', '"task"'), "provider[0] (task): the name 'task' is taken"),
    (PROVIDER + PROVIDER, "provider[1] (p): the name 'p' is taken"),
    (PROVIDER.replace("http://127.0.0.1:9", "http:///v1"), "not an http or https URL"),
    (TASK + "shadow_share = 2\n", "task.qa.shadow_share is 2.0. Write a share from 0 to 1."),
    (PROVIDER + 'api_version = "2023-06-01\\r\\nx: y"\n', "provider[0] (p): api_version"),
    (PROVIDER + 'api_version = ""\n', "provider[0] (p): api_version is ''. Write a version"),
    (PROVIDER + 'key = "file:a\\u0000b"\n', "provider[0] (p): key"),
    (PROVIDER + '[server]\nadmin_secret = ""\n', "server.admin_secret must say where the secret is"),
    (PROVIDER + '[server]\nadmin_secret = "s"\n', 'Write it as "env:NAME" or "file:/path".'),
    (PROVIDER + '[default]\npolicy = ""\n', "default.policy is ''. Write the path of a file"),
    (PROVIDER + '[default]\npolicy = "a\\u0000b"\n', "default.policy is 'a\\x00b'."),
    (MODEL + 'thinking = ["adaptiv"]\n', "thinking has 'adaptiv'. Did you mean 'adaptive'?"),
    (PROVIDER + '[telemetry]\notlp_headers = {"a b" = "c"}\n', "telemetry.otlp_headers: the header 'a b'"),
    (
        PROVIDER + '[telemetry]\notlp_headers = {a = "x\\r\\ny: z"}\n',
        "telemetry.otlp_headers: the header 'a'",
    ),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES, ids=[words for _, words in MISTAKES])
def test_a_value_that_cannot_be_used_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "tierwise.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert words in caught.value.sentence()
    assert caught.value.message.startswith("tierwise.toml: ")


def test_a_policy_whose_name_is_too_long_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tierwise.toml"
    path.write_text(PROVIDER + f'[default]\npolicy = "{"z" * 3000}"\n')
    with pytest.raises(ConfigError, match="File name too long"):
        load(path, {})


@pytest.mark.parametrize(
    ("to", "beside"), [("claude-haiku-4", ("q/claude-haiku-4",)), ("p/claude-haiku-4", ())]
)
def test_a_tier_may_be_an_alias(tmp_path: Path, to: str, beside: tuple[str, ...]) -> None:
    path = tmp_path / "tierwise.toml"
    tier = f'[alias]\nfast = "{to}"\n[[tier]]\nname = "small"\nmodel = "fast"\n'
    path.write_text(PROVIDER + PROVIDER.replace('"p"', '"q"') + tier)
    found = load(path, {}).catalog.tiers["small"]
    assert (found.model, found.beside) == ("p/claude-haiku-4", beside)
