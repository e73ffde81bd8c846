from __future__ import annotations

from pathlib import Path

import pytest

from tierwise.config import Settings, load
from tierwise.errors import ConfigError


def loaded(folder: Path, toml: str, **environ: str) -> Settings:
    (folder / "t.toml").write_text(f"[alerts]\n{toml}\n")
    return load(folder / "t.toml", environ)


def test_thresholds_are_sorted_and_told_once_each(tmp_path: Path) -> None:
    assert loaded(tmp_path, "").alerts.thresholds == (50, 80, 100)
    assert loaded(tmp_path, "thresholds = [90, 10, 90]").alerts.thresholds == (10, 90)
    assert loaded(tmp_path, "thresholds = []").alerts.thresholds == ()


def test_a_webhook_and_its_secret(tmp_path: Path) -> None:
    hook = 'webhook = "https://hooks.example.com/x"\nsecret = "env:HOOK_SECRET"'
    settings = loaded(tmp_path, hook, HOOK_SECRET="canary-secret")
    assert settings.alerts.webhook == "https://hooks.example.com/x"
    assert settings.secrets.webhook == "canary-secret"
    assert "canary" not in repr(settings)
    assert b"canary" not in settings.secrets.masked(b"the canary-secret")
    assert loaded(tmp_path, 'webhook = "http://127.0.0.1:9/x"').alerts.webhook


@pytest.mark.parametrize(
    "toml",
    [
        'webhook = "http://hooks.example.com/x"',
        'webhook = "ftp://example.com"',
        'webhook = "https://user:pass@example.com/x"',
        'webhook = "https://example.com/x?token=1"',
        'webhook = "https://"',
        'webhook = "https://example.com:0/"',
        'webhook = "https://[::1/x"',
        "thresholds = [0]",
        "thresholds = [-5]",
        "thresholds = [1001]",
        'thresholds = ["50"]',
        'secret = "env:X"',
        'webhook = "https://example.com"\nsecret = "plain"',
        "treshold = [1]",
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, toml: str) -> None:
    with pytest.raises(ConfigError):
        loaded(tmp_path, toml, X="x")
