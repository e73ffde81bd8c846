"""load: from the environment alone, from a file, and what each mistake is answered with."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import msgspec
import pytest

from tierwise.config import Settings, load, model_for
from tierwise.costing import price_at
from tierwise.errors import ConfigError

AGGREGATOR = """
[[provider]]
name = "agg"
dialect = "openai_chat"
base_url = "http://127.0.0.1:9/v1"
key = "env:UPSTREAM_KEY"
models = ["anthropic/claude-haiku-4", "anthropic/claude-sonnet-4.6", "anthropic/claude-opus-4.7"]
"""
CANARY = "sk-canary-do-not-show"
ENV = {"UPSTREAM_KEY": CANARY}


def write(folder: Path, text: str) -> Path:
    path = folder / "tierwise.toml"
    path.write_text(text)
    return path


def settings_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    return load(write(folder, text), ENV if environ is None else environ)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- nothing configured


@pytest.mark.parametrize(
    ("prefix", "name", "dialect", "base_url"),
    [
        ("ANTHROPIC", "anthropic", "anthropic_messages", "https://api.anthropic.com"),
        ("OPENAI", "openai", "openai_chat", "https://api.openai.com/v1"),
        ("GEMINI", "google", "gemini", "https://generativelanguage.googleapis.com"),
        ("OPENROUTER", "openrouter", "openai_chat", "https://openrouter.ai/api/v1"),
        ("OFOX", "ofox", "openai_chat", "https://api.ofox.ai/v1"),
    ],
)
def test_each_key_that_is_set_is_a_provider(prefix: str, name: str, dialect: str, base_url: str) -> None:
    settings = load(None, {f"{prefix}_API_KEY": CANARY})
    (provider,) = settings.catalog.providers.values()
    assert (provider.name, provider.dialect, provider.base_url) == (name, dialect, base_url)
    assert settings.secrets.get(name) == CANARY
    moved = load(None, {f"{prefix}_API_KEY": CANARY, f"{prefix}_BASE_URL": "http://127.0.0.1:1/x/"})
    assert moved.catalog.providers[name].base_url == "http://127.0.0.1:1/x"


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tierwise.toml"
    path.write_bytes(b"\xef\xbb\xbf[server]\r\nport = 4123\r\n")
    assert load(path, {}).server.port == 4123


def test_with_no_key_nothing_is_served_and_it_says_so() -> None:
    settings = load(None, {"ANTHROPIC_API_KEY": " "})
    assert not settings.catalog.providers
    assert "ANTHROPIC_API_KEY" in settings.notes[0]


def test_the_vendors_own_ids_are_sent_to_the_vendor_and_it_says_so() -> None:
    settings = load(None, {"ANTHROPIC_API_KEY": "k"})
    assert settings.catalog.models["anthropic/claude-haiku-4"].id == "claude-haiku-4-5"
    assert any("is sent as claude-haiku-4-5" in note for note in settings.notes)
    elsewhere = load(None, {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1"})
    assert elsewhere.catalog.models["anthropic/claude-haiku-4"].id == "claude-haiku-4"


def test_providers_without_a_tier_serve_named_models_only_and_it_says_so() -> None:
    settings = load(None, {"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"})
    assert not settings.catalog.tiers
    assert not settings.policy.rules
    assert any("no tier" in note for note in settings.notes)


def test_a_tierwise_toml_in_the_folder_is_read(tmp_path: Path) -> None:
    write(tmp_path, AGGREGATOR)
    assert list(load(None, ENV).catalog.providers) == ["agg"]
    assert list(
        load(None, {**ENV, "TIERWISE_CONFIG": str(tmp_path / "tierwise.toml")}).catalog.providers
    ) == ["agg"]


# --- the aggregator


def test_one_aggregator_serves_every_tier(tmp_path: Path) -> None:
    catalog = settings_of(tmp_path, AGGREGATOR).catalog
    assert {name: tier.model for name, tier in catalog.tiers.items()} == {
        "haiku": "agg/anthropic/claude-haiku-4",
        "sonnet": "agg/anthropic/claude-sonnet-4.6",
        "opus": "agg/anthropic/claude-opus-4.7",
    }
    assert catalog.ladder.tiers == ("haiku", "sonnet", "opus")
    assert catalog.ladder.reference == "opus"
    assert catalog.models["agg/anthropic/claude-haiku-4"].id == "anthropic/claude-haiku-4"


@pytest.mark.parametrize(
    "name", ["agg/anthropic/claude-haiku-4", "anthropic/claude-haiku-4", "claude-haiku-4"]
)
def test_callers_may_leave_out_what_is_plain(tmp_path: Path, name: str) -> None:
    model = model_for(settings_of(tmp_path, AGGREGATOR).catalog, name)
    assert model is not None
    assert model.name == "agg/anthropic/claude-haiku-4"


@pytest.mark.parametrize("name", ["agg/anthropic/claude-3-haiku", "nobody/x", "", "x\ny", "agg/", "claude"])
def test_a_provider_that_lists_models_serves_no_other(tmp_path: Path, name: str) -> None:
    assert model_for(settings_of(tmp_path, AGGREGATOR).catalog, name) is None


@pytest.mark.parametrize(
    ("task", "tiers"),
    [
        ("classification", ("haiku", "sonnet", "opus")),
        ("summarization", ("haiku", "sonnet", "opus")),
        ("extraction", ("haiku", "sonnet", "opus")),
        ("qa", ("haiku", "sonnet", "opus")),
        ("moderation", ("haiku", "sonnet", "opus")),
        ("coding", ("sonnet", "opus")),
        ("reasoning", ("sonnet", "opus")),
        ("agent", ("sonnet", "opus")),
        ("vision", ("opus",)),
    ],
)
def test_the_prior_policy(tmp_path: Path, task: str, tiers: tuple[str, ...]) -> None:
    policy = settings_of(tmp_path, AGGREGATOR).policy
    rule = policy.rules[task]
    assert (rule.tiers, rule.state, rule.evidence) == (tiers, "prior", "unmeasured (prior)")
    assert policy.tasks[task].why
    assert policy.safe_middle == "sonnet"


def test_the_thresholds_users_state_are_the_defaults(tmp_path: Path) -> None:
    bar = settings_of(tmp_path, AGGREGATOR).policy.tasks["coding"].bar
    assert (bar.margin, bar.refuse) == (0.05, 0.10)


@pytest.mark.parametrize(
    ("models", "classification", "coding", "vision", "middle"),
    [
        (["claude-sonnet-4.6", "claude-opus-4.7"], "sonnet", "sonnet", "opus", "sonnet"),
        (["claude-haiku-4", "claude-opus-4.7"], "haiku", "opus", "opus", "opus"),
        (["claude-haiku-4", "claude-sonnet-4.6"], "haiku", "sonnet", "sonnet", "sonnet"),
        (["claude-opus-4.7"], "opus", "opus", "opus", "opus"),
    ],
)
def test_a_missing_tier_is_skipped_upward_and_it_says_so(
    tmp_path: Path, models: list[str], classification: str, coding: str, vision: str, middle: str
) -> None:
    listed = ", ".join(f'"anthropic/{model}"' for model in models)
    settings = settings_of(tmp_path, AGGREGATOR.split("models", maxsplit=1)[0] + f"models = [{listed}]")
    rules = settings.policy.rules
    assert [rules[task].tiers[0] for task in ("classification", "coding", "vision")] == [
        classification,
        coding,
        vision,
    ]
    assert settings.policy.safe_middle == middle
    missing = {"haiku", "sonnet", "opus"} - set(settings.catalog.tiers)
    assert all(any(f"tier {tier} is not served" in note for note in settings.notes) for tier in missing)


def test_the_published_model_of_a_tier_comes_before_others_of_its_family(tmp_path: Path) -> None:
    text = AGGREGATOR.replace("models = [", 'models = ["anthropic/claude-3-haiku", ')
    assert settings_of(tmp_path, text).catalog.tiers["haiku"].model == "agg/anthropic/claude-haiku-4"


# --- providers that pass any id on

OPEN = AGGREGATOR.split("models", maxsplit=1)[0]


def test_an_open_provider_takes_any_id_and_prices_it_by_the_same_rules(tmp_path: Path) -> None:
    catalog = settings_of(tmp_path, OPEN).catalog
    known, unknown = (
        model_for(catalog, "agg/anthropic/claude-opus-4.7"),
        model_for(catalog, "agg/local/model"),
    )
    assert known is not None
    assert known.id == "anthropic/claude-opus-4.7"
    assert price_at(known.prices, "2026-11-22") is not None
    assert unknown is not None
    assert unknown.prices == ()
    assert any("unpriced" in note for note in unknown.notes)


def test_bare_ids_go_to_the_open_vendor_and_prefixed_ones_to_an_open_aggregator() -> None:
    catalog = load(None, {"OPENAI_API_KEY": "k", "OPENROUTER_API_KEY": "k"}).catalog
    for name, served in (
        ("gpt-4o", "openai/gpt-4o"),
        ("mistralai/x", "openrouter/mistralai/x"),
        ("claude-x", None),
        ("openai/../../files", None),
        ("openrouter/a/./b", None),
        ("openrouter/a..b", "openrouter/a..b"),
    ):
        model = model_for(catalog, name)
        assert (model.name if model else None) == served


def test_an_alias_never_hides_what_an_open_provider_would_pass_on(tmp_path: Path) -> None:
    text = (
        AGGREGATOR
        + '[[provider]]\nname="anthropic"\ndialect="anthropic_messages"\nbase_url="http://127.0.0.1:8"\n'
    )
    model = model_for(settings_of(tmp_path, text).catalog, "anthropic/claude-sonnet-4.6")
    assert model is not None
    assert model.provider == "anthropic"


# --- tiers, tasks, aliases, abilities

OWN_TIERS = (
    AGGREGATOR
    + """
[[tier]]
name = "big"
model = "agg/anthropic/claude-opus-4.7"
[[tier]]
name = "small"
model = "claude-haiku-4"
settings = { temperature = 0.5, max_tokens = 100 }
[[tier]]
name = "mid"
model = "anthropic/claude-sonnet-4.6"
"""
)


def test_own_tiers_stand_in_order_of_price_and_take_the_prior_by_place(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, OWN_TIERS)
    assert settings.catalog.ladder.tiers == ("small", "mid", "big")
    assert settings.catalog.ladder.reference == "big"
    assert settings.policy.rules["classification"].tiers == ("small", "mid", "big")
    assert settings.policy.rules["coding"].tiers == ("mid", "big")
    assert settings.policy.rules["vision"].tiers == ("big",)
    assert settings.policy.safe_middle == "mid"
    assert settings.catalog.tiers["small"].settings == {"temperature": 0.5, "max_tokens": 100}
    msgspec.json.encode(settings.catalog.tiers["small"].settings)


def test_tasks_take_over_field_by_field(tmp_path: Path) -> None:
    text = (
        OWN_TIERS
        + """
[default]
ladder = ["small", "big"]
reference = "big"
safe_middle = "small"
[task.classification]
margin = 0.02
max_output_tokens = 20
[task.triage]
ladder = ["small", "mid"]
start = "mid"
shadow_daily_usd = "1.50"
[task.other]
"""
    )
    policy = settings_of(tmp_path, text).policy
    assert policy.tasks["classification"].bar.margin == 0.02
    assert policy.tasks["classification"].bar.refuse == 0.10
    assert policy.tasks["classification"].max_output_tokens == 20
    assert policy.rules["classification"].tiers == ("small", "big")
    assert policy.rules["triage"].tiers == ("mid",)
    assert policy.tasks["triage"].shadow_daily_usd == "1.50"
    assert policy.rules["other"].tiers == ("small", "big")


def test_aliases_and_abilities(tmp_path: Path) -> None:
    text = (
        AGGREGATOR
        + """
[alias]
"gpt-4" = "claude-opus-4.7"
[[model]]
name = "claude-haiku-4"
documents = false
context = 100000
thinking = ["enabled"]
"""
    )
    catalog = settings_of(tmp_path, text).catalog
    model = model_for(catalog, "gpt-4")
    assert model is not None
    assert model.name == "agg/anthropic/claude-opus-4.7"
    able = catalog.models["agg/anthropic/claude-haiku-4"].abilities
    assert (able.documents, able.context, able.thinking, able.vision) == (False, 100_000, ("enabled",), True)


def test_the_hash_of_the_policy_changes_with_it(tmp_path: Path) -> None:
    one = settings_of(tmp_path, AGGREGATOR).policy.hash
    assert one == settings_of(tmp_path, AGGREGATOR).policy.hash
    assert one != settings_of(tmp_path, AGGREGATOR + "[task.coding]\nmargin=0.01\n").policy.hash


def test_server_settings_and_stream_usage(tmp_path: Path) -> None:
    text = (
        AGGREGATOR.replace("models =", "stream_usage = true\nmodels =")
        + """
[server]
port = 0
admin_port = 5001
db = "postgresql://x/y"
drain_timeout_s = 5
log_level = "DEBUG"
admin_secret = "env:ADMIN"
"""
    )
    settings = settings_of(tmp_path, text, {**ENV, "ADMIN": "admin-canary"})
    assert (settings.server.port, settings.server.admin_port, settings.server.log_level) == (0, 5001, "debug")
    assert settings.secrets.admin == "admin-canary"
    assert settings.stream_usage == {"agg"}
    assert "admin-canary" not in repr(settings)


# --- the user's own prices


def own_price(folder: Path, rows: str, day: str = "2026-11-22") -> tuple[str, int | None, int | None]:
    catalog = settings_of(folder, AGGREGATOR + rows).catalog
    price = price_at(catalog.models["agg/anthropic/claude-haiku-4"].prices, day)
    assert price is not None
    return price.id, price.input, price.output


@pytest.mark.parametrize(
    "model", ["agg/anthropic/claude-haiku-4", "anthropic/claude-haiku-4", "claude-haiku-4"]
)
def test_own_prices_outrank_all_others(tmp_path: Path, model: str) -> None:
    rows = f'[[price]]\nmodel = "{model}"\ninput = 0.9\noutput = "4.5"\n'
    assert own_price(tmp_path, rows) == (f"config:{model}", 900_000, 4_500_000)


def test_own_prices_hold_between_their_dates_only(tmp_path: Path) -> None:
    rows = """
[[price]]
model = "claude-haiku-4"
input = 2
output = 3
since = 2026-12-01
until = "2027-01-01"
"""
    assert own_price(tmp_path, rows)[0].startswith("published:")
    assert own_price(tmp_path, rows, "2026-12-01") == (
        "config:claude-haiku-4@2026-12-01",
        2_000_000,
        3_000_000,
    )
    assert own_price(tmp_path, rows, "2027-01-01")[0].startswith("published:")


def test_own_prices_are_exact_and_what_they_leave_out_is_unknown(tmp_path: Path) -> None:
    rows = """
[[price]]
model = "claude-haiku-4"
input = 0.000001
output = 0.1
batch = 0.5
extra = { web_search = "0.01" }
steps = [{ above = 200000, input = 0.000002, output = 0.2 }]
"""
    catalog = settings_of(tmp_path, AGGREGATOR + rows).catalog
    price = catalog.models["agg/anthropic/claude-haiku-4"].prices[0]
    assert (price.input, price.output, price.cache_read) == (1, 100_000, None)
    assert price.batch == (1, 2)
    assert price.extra == {"web_search": 10**10}
    assert price.steps[0].input == 2


def test_a_price_of_something_not_served_is_pointed_out(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path, AGGREGATOR + '[[price]]\nmodel = "claude-hiaku"\ninput = 1\noutput = 1\n'
    )
    assert any("claude-hiaku" in note for note in settings.notes)


# --- mistakes

PRICE = AGGREGATOR + '[[price]]\nmodel = "claude-haiku-4"\n'
MISTAKES = [
    ("[[provider]]\nname = 'a'", ["missing key", "dialect", "provider[0]"]),
    (AGGREGATOR.replace("base_url", "base_ulr"), ["provider[0]", "'base_ulr'", "'base_url'"]),
    (AGGREGATOR + "[servr]\nport=1\n", ["'servr'", "'server'"]),
    (AGGREGATOR + "[server]\nprot = 1\n", ["server", "'prot'", "'port'"]),
    (AGGREGATOR + "[server]\nport = '4000'\n", ["server.port", "expected a whole number, got a text"]),
    (AGGREGATOR + "[server]\nport = 70000\n", ["server.port", "70000"]),
    (AGGREGATOR + "[server]\nlog_level = 'inof'\n", ["log_level", "'info'"]),
    (AGGREGATOR + "[task.coding]\nmargn = 0.1\n", ["task.coding", "'margn'", "'margin'"]),
    (AGGREGATOR + "[task.coding]\nmargin = 5\n", ["task.coding.margin", "5"]),
    (AGGREGATOR + "[task.coding]\nstart = 'haiko'\n", ["'haiko'", "'haiku'"]),
    (AGGREGATOR + "[task.coding]\nladder = ['opus']\nstart = 'haiku'\n", ["not on its ladder"]),
    (AGGREGATOR + "[default]\nsafe_middle = 'sonet'\n", ["default.safe_middle", "'sonnet'"]),
    (
        AGGREGATOR + "[[tier]]\nname = 'x'\nmodel = 'agg/anthropic/claude-haiku-5'\n",
        ["claude-haiku-4", "tier[0]"],
    ),
    (AGGREGATOR + "[alias]\nx = 'claude-haiku'\n", ["alias.x", "Did you mean"]),
    (AGGREGATOR + AGGREGATOR, ["'agg' is taken"]),
    (AGGREGATOR.replace('"openai_chat"', '"openai"'), ["provider[0].dialect", "openai"]),
    (AGGREGATOR.replace("http://127.0.0.1:9/v1", "ftp://x"), ["base_url", "http"]),
    (AGGREGATOR.replace("http://127.0.0.1:9/v1", "127.0.0.1:9"), ["base_url", "http"]),
    (AGGREGATOR.replace("http://", "http://me:hunter2@"), ["user name or password"]),
    (AGGREGATOR.replace("/v1", "/v1?x=1"), ["base_url"]),
    (AGGREGATOR.replace(":9/", ":0/"), ["base_url", "no usable port"]),
    (AGGREGATOR.replace("127.0.0.1:9/v1", "h..:9/v1"), ["base_url", "no usable host name"]),
    (AGGREGATOR.replace("/v1", "/v1/é"), ["base_url", "characters that a URL cannot have"]),
    (
        AGGREGATOR.replace("env:UPSTREAM_KEY", "env:UPSTREM_KEY"),
        ["UPSTREM_KEY", "not set", "'UPSTREAM_KEY'", "agg"],
    ),
    (AGGREGATOR.replace("env:UPSTREAM_KEY", "sk-hunter2"), ["env:NAME"]),
    (AGGREGATOR.replace("env:UPSTREAM_KEY", "file:no/such"), ["no/such"]),
    (AGGREGATOR.replace('"agg"', '"a/b"'), ["'a/b'"]),
    (PRICE + "input = -1\n", ["price[0]", "negative"]),
    (PRICE + "input = 20000\n", ["price[0]", "10,000", "per million"]),
    (PRICE + "input = 'nan'\n", ["price[0]"]),
    (PRICE + "input = 0.0000001\n", ["price[0]", "whole pico-dollars"]),
    (PRICE + "input = 'cheap'\n", ["price[0].input"]),
    (PRICE + "input = 1\ncurrency = 'EUR'\n", ["EUR", "USD"]),
    (PRICE + "inputs = 1\n", ["'inputs'", "'input'"]),
    (PRICE, ["no price at all"]),
    (PRICE + "input = 1\nsince = '2026-13-01'\n", ["since", "2026-13-01"]),
    (PRICE + "input = 1\nsince = '2026-02-01'\nuntil = '2026-01-01'\n", ["not after"]),
    (
        PRICE + "input=1\n[[price]]\nmodel='claude-haiku-4'\ninput=2\nsince='2027-01-01'\n",
        ["same time", "until"],
    ),
    (PRICE + "input = 1\nbatch = 2\n", ["batch"]),
    (AGGREGATOR + "x = y\n", ["not TOML", "line"]),
    (AGGREGATOR + "[[model]]\nname='x'\nvison=true\n", ["'vison'", "'vision'"]),
    (AGGREGATOR + "[[model]]\nname='x'\ncontext=0\n", ["context is 0"]),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES, ids=[str(words) for _, words in MISTAKES])
def test_a_mistake_is_named_and_says_what_to_do(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, text)
    sentence = caught.value.sentence()
    assert [word for word in words if word not in sentence] == []
    assert "tierwise.toml" in sentence
    assert "hunter2" not in sentence
    assert CANARY not in sentence


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*absent\.toml"):
        load(tmp_path / "absent.toml", {})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "binary.toml", {})


# --- secrets


def test_a_secret_may_lie_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{CANARY}\n")
    settings = settings_of(tmp_path, AGGREGATOR.replace("env:UPSTREAM_KEY", "file:key"), {})
    assert settings.secrets.get("agg") == CANARY


def test_a_secret_is_shown_nowhere(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, AGGREGATOR)
    for shown in (repr(settings), str(settings), f"{settings.secrets}", f"{settings.catalog.providers!r}"):
        assert CANARY not in shown
    for write_out in (pickle.dumps, copy.copy, msgspec.json.encode):
        with pytest.raises(TypeError):
            write_out(settings.secrets)  # type: ignore[operator]


def test_a_secret_that_would_break_the_request_head_is_refused_unshown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of(tmp_path, AGGREGATOR, {"UPSTREAM_KEY": f"{CANARY}\r\nx: y"})
    assert CANARY not in caught.value.sentence()
