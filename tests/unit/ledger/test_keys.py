from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from tierwise.errors import BadRequest, ConfigError, NotFound
from tierwise.ledger import Ledger, announcement, apply_local, open_ledger
from tierwise.nouns import Budget


async def test_a_secret_is_shown_once_and_only_its_digest_is_kept(ledger: Ledger, url: str) -> None:
    key, secret = ledger.create_key("team")
    assert re.fullmatch(r"tw-[A-Za-z0-9_-]{40}", secret)
    assert key.id.startswith("key_")
    assert key.hint == secret[-4:]
    assert re.fullmatch(r"[0-9a-f]{64}", key.digest)
    assert ledger.find(ledger.digest_of(secret)) == key
    assert ledger.find(ledger.digest_of(secret + "x")) is None
    stored = Path(url.removeprefix("sqlite:///")).read_bytes()
    wal = Path(url.removeprefix("sqlite:///") + "-wal").read_bytes()
    assert secret.encode() not in stored + wal
    assert key.digest.encode() in stored + wal


async def test_names_may_repeat_and_secrets_never_do(ledger: Ledger) -> None:
    made = [ledger.create_key("same") for _ in range(20)]
    assert len({key.id for key, _ in made}) == len({secret for _, secret in made}) == 20
    assert [key for key, _ in made] == ledger.list_keys()
    with pytest.raises(BadRequest, match="20 keys match"):
        ledger.revoke_key("same")


async def test_revoking_by_id_name_and_beginnings(ledger: Ledger) -> None:
    alpha, _ = ledger.create_key("alpha")
    alphabet, _ = ledger.create_key("alphabet")
    beta, secret = ledger.create_key("beta")
    assert ledger.revoke_key("alpha").id == alpha.id
    assert ledger.revoke_key("alp").id == alphabet.id
    revoked = ledger.revoke_key(beta.id)
    assert revoked.revoked_us is not None
    assert ledger.revoke_key(beta.id) == revoked
    assert ledger.find(ledger.digest_of(secret)) is None
    gamma, _ = ledger.create_key("gamma")
    assert (ledger.key_of(beta.id), ledger.key_of(gamma.id)) == (None, gamma)
    ledger.learn([replace(gamma, revoked_us=1), replace(revoked, revoked_us=None)])
    assert (ledger.key_of(beta.id), ledger.key_of(gamma.id)) == (replace(revoked, revoked_us=None), None)
    assert ledger.find(ledger.digest_of(secret)) is not None
    ledger.learn([gamma, revoked])
    with pytest.raises(NotFound) as missing:
        ledger.revoke_key("gamme")
    assert "gamma" in missing.value.hint
    with pytest.raises(NotFound):
        ledger.revoke_key("")


@pytest.mark.parametrize(
    ("name", "terms", "param"),
    [
        ("", {}, "name"),
        ("  ", {}, "name"),
        ("a\nb", {}, "name"),
        ("x" * 201, {}, "name"),
        ("ok", {"project": "a\x00"}, "project"),
        ("ok", {"rpm": 0}, "rpm"),
        ("ok", {"tpm": -1}, "tpm"),
        ("ok", {"max_concurrent": 2**63}, "max_concurrent"),
        ("ok", {"budget_pico": -1}, "budget_usd"),
        ("ok", {"budget_pico": 10**31}, "budget_usd"),
        ("ok", {"budget_pico": 1, "period": "year"}, "period"),
    ],
)
async def test_wrong_terms_are_refused_and_make_no_key(
    ledger: Ledger, name: str, terms: dict[str, object], param: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        ledger.create_key(name, **terms)  # type: ignore[arg-type]
    assert refused.value.param == param
    assert ledger.list_keys() == []
    assert ledger.budgets() == []


async def test_an_unknown_zone_makes_no_budget(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="no time zone"):
        ledger.set_budget(Budget("key:k", 1, "day", "Mars/Olympus"))
    assert ledger.budgets() == []


async def test_a_notice_comes_at_the_cap_at_the_latest(ledger: Ledger) -> None:
    with pytest.raises(BadRequest, match=r"refused at \$2\.00: no notice would come at \$2\.01"):
        ledger.set_budget(Budget("key:k", 2 * 10**12, soft_pico=201 * 10**10))
    assert ledger.budgets() == []
    ledger.set_budget(Budget("key:k", 2 * 10**12, soft_pico=2 * 10**12))


async def test_the_pepper_of_the_environment_keeps_its_keys_and_another_is_refused(url: str) -> None:
    ledger = open_ledger(url, {"TIERWISE_SECRET": "one"})
    key, secret = ledger.create_key("team")
    await ledger.shutdown()
    for other in ({"TIERWISE_SECRET": "two"}, {}):
        with pytest.raises(ConfigError, match="another TIERWISE_SECRET"):
            open_ledger(url, other)
    with pytest.raises(ConfigError, match="is empty"):
        open_ledger(url, {"TIERWISE_SECRET": " "})
    ledger = open_ledger(url, {"TIERWISE_SECRET": "one"})
    assert ledger.find(ledger.digest_of(secret)) == key
    await ledger.shutdown()


async def test_the_pepper_may_change_while_there_are_no_keys(url: str) -> None:
    for environ in ({}, {"TIERWISE_SECRET": "one"}, {}):
        ledger = open_ledger(url, environ)
        await ledger.shutdown()


async def test_two_ledgers_have_two_peppers(ledger: Ledger, url: str) -> None:
    other = open_ledger(url.replace("ledger.db", "other.db"), {})
    assert other.digest_of("tw-same") != ledger.digest_of("tw-same")
    await other.shutdown()


async def test_local_commands_make_and_revoke_keys_and_set_budgets(ledger: Ledger) -> None:
    made = apply_local(
        ledger, "/api/v1/local/keys", {"name": "team", "budget_usd": "0.0105", "rpm": 5, "project": "p"}
    )
    key = ledger.find(ledger.digest_of(made["key"]))
    assert key is not None
    assert (key.id, key.rpm, key.project) == (made["id"], 5, "p")
    assert ledger.budgets()[0].budget == Budget(f"key:{key.id}", 10_500_000_000)
    typed = apply_local(ledger, "/api/v1/local/keys", {"name": "n", "budget_usd": 0.1})
    assert sorted(b.budget.cap_pico for b in ledger.budgets()) == [10_500_000_000, 10**11]
    assert apply_local(ledger, "/api/v1/local/keys/revoke", {"id": typed["id"]})["revoked"] is True
    told = apply_local(
        ledger, "/api/v1/local/budgets", {"scope": "project:p", "cap_usd": "0", "period": "month"}
    )
    assert "calls are refused" in told["note"]
    gone = apply_local(ledger, "/api/v1/local/budgets/remove", {"scope": "project:p"})
    assert gone == {"scope": "project:p", "removed": True}
    assert [b.budget.scope for b in ledger.budgets() if not b.budget.scope.startswith("key:")] == []
    most = apply_local(ledger, "/api/v1/local/keys", {"name": "n", "tpm": 2**63 - 1, "rpm": 1})
    key = ledger.find(ledger.digest_of(most["key"]))
    assert key is not None
    assert (key.tpm, key.rpm) == (2**63 - 1, 1)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/local/keys", {}),
        ("/api/v1/local/keys", {"name": 5}),
        ("/api/v1/local/keys", {"name": "a", "budget_euro": 1}),
        ("/api/v1/local/keys", {"name": "a", "rpm": True}),
        ("/api/v1/local/keys", ["a"]),
        ("/api/v1/local/keys", None),
        ("/api/v1/local/keys", {"name": "a", "budget_usd": "lots"}),
        ("/api/v1/local/keys", {"name": "a", "budget_usd": float("nan")}),
        ("/api/v1/local/keys", {"name": "a", "budget_usd": "1e999999999"}),
        ("/api/v1/local/keys", {"name": "a", "budget_usd": 1e300}),
        ("/api/v1/local/keys", {"name": "a", "budget_usd": "9" * 19}),
        ("/api/v1/local/keys/revoke", {"id": "ghost"}),
        ("/api/v1/local/budgets/remove", {"scope": "project:p"}),
        ("/api/v1/local/none", {}),
    ],
)
async def test_local_commands_not_understood_are_refused(ledger: Ledger, path: str, body: object) -> None:
    with pytest.raises((BadRequest, NotFound, ConfigError)):
        apply_local(ledger, path, body)
    assert ledger.list_keys() == []


async def test_a_refused_start_gives_the_lock_back(url: str) -> None:
    ledger = open_ledger(url, {})
    ledger.create_key("team")
    await ledger.shutdown()
    with pytest.raises(ConfigError) as refused:
        open_ledger(url, {"TIERWISE_SECRET": "other"})
    assert announcement(url) is None
    del refused
