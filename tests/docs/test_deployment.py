"""The files of deploy/ hold together with the code, and docs/deployment.md runs as written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripts import reference

import live
from tierwise.config import Server, load

from .test_start import blocks, shell

DEPLOY = live.ROOT / "deploy"
PAGE = (live.ROOT / "docs/deployment.md").read_text()
SECRETS = {"ANTHROPIC_API_KEY": "x", "TIERWISE_ADMIN_SECRET": "x"}
KUBERNETES = sorted(
    path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml"
)


def manifests() -> dict[str, dict[str, Any]]:
    """`Kind/name` → object."""
    found = [each for path in KUBERNETES for each in yaml.safe_load_all(path.read_text())]
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in found}


def container() -> dict[str, Any]:
    """The gateway's container in the Deployment."""
    (found,) = manifests()["Deployment/tierwise"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """(where, PromQL) of every alert and panel, and the metric of the autoscaler."""
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in json.loads((DEPLOY / "grafana/dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for metric in manifests()["HorizontalPodAutoscaler/tierwise"]["spec"]["metrics"]:
        yield "autoscaling", metric["pods"]["metric"]["name"]


def test_alerts_panels_and_autoscaling_name_only_metrics_that_there_are() -> None:
    kinds = {name: kind for name, kind, _ in reference.exposed()}
    series = set(kinds)
    for name, kind in kinds.items():
        if kind == "histogram":
            series |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    named = [(where, name) for where, text in expressions() for name in re.findall(r"tierwise_[a-z_]+", text)]
    assert len(named) > 30
    assert not [pair for pair in named if pair[1] not in series]


def test_counters_are_rated_and_gauges_are_not() -> None:
    kinds = {name: kind for name, kind, _ in reference.exposed()}
    for where, text in expressions():
        for function, name in re.findall(r"(rate|increase)\((tierwise_[a-z_]+)", text):
            assert kinds[re.sub(r"_bucket$", "", name)] in ("counter", "histogram"), (where, function, name)
        for name in re.findall(r"tierwise_[a-z_]+_total", text):
            assert re.search(rf"(rate|increase)\({name}", text), (where, name)


def test_every_alert_says_what_to_do() -> None:
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"].keys() == {"summary", "action"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads((DEPLOY / "grafana/dashboard.json").read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("place", ["compose", "kubernetes"])
def test_the_configurations_load(place: str, tmp_path: Path) -> None:
    text = (DEPLOY / "etc/tierwise.toml").read_text()
    if place == "kubernetes":
        text = manifests()["ConfigMap/tierwise"]["data"]["tierwise.toml"]
    (tmp_path / "secret").write_text("x" * 32)
    (tmp_path / "tierwise.toml").write_text(
        text.replace("/run/secrets/admin_secret", str(tmp_path / "secret"))
    )
    settings = load(tmp_path / "tierwise.toml", SECRETS)
    assert settings.secrets.admin
    assert settings.server.db.startswith("postgres://")
    assert settings.policy_path == Path("/var/lib/tierwise/policy.toml")


def test_the_image_is_small_in_rights() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.M)[1:]
    assert len(stages) == 2
    assert re.search(r"^USER 10001", stages[1], re.M)
    for sources in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        for source in sources.split()[:-1]:
            assert (live.ROOT / source).exists(), source
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
        assert all(f"!{source}" in kept.splitlines() for source in sources.split()[:-1])


def test_the_image_finds_its_pins() -> None:
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    define = re.search(r"RUN (pins\(\) \{.*?; \})", text)
    assert define is not None
    names = re.findall(r"pins '([^']+)'", text)
    assert len(names) == 3
    for wanted in names:
        done = subprocess.run(
            ["sh", "-c", f"{define[1]}; pins '{wanted}'"], capture_output=True, text=True, cwd=live.ROOT
        )
        pinned = re.findall(r"^([\w-]+)(?:\[[^]]*\])?==", done.stdout, re.M)
        assert sorted(pinned) == sorted(wanted.split("|"))
        assert done.stdout.count("--hash=sha256:") >= len(pinned)


def test_compose_keeps_the_gateway_in() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert {"tierwise", "postgres", "valkey", "prometheus", "grafana"} <= compose["services"].keys()
    gateway = compose["services"]["tierwise"]
    assert gateway["read_only"] is True
    assert gateway["cap_drop"] == ["ALL"]
    assert int(gateway["stop_grace_period"].rstrip("s")) > Server().drain_timeout_s
    for service in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose["volumes"]
    ignored = (DEPLOY / ".gitignore").read_text().split()
    assert {".env", "secrets"} <= set(ignored)


def test_prometheus_reads_the_alerts_with_the_admin_secret() -> None:
    prometheus = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert prometheus["rule_files"] == ["alerts.yml"]
    (job,) = prometheus["scrape_configs"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/admin_secret"
    assert job["dns_sd_configs"][0]["port"] == Server().admin_port


def test_kubernetes_probes_drains_and_scales() -> None:
    found = manifests()
    gateway = container()
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    assert ports == {"models": Server().port, "control": Server().admin_port}
    probes = {name: gateway[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz",
    }  # fmt: skip
    pod = found["Deployment/tierwise"]["spec"]["template"]["spec"]
    waits = gateway["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] > waits + Server().drain_timeout_s
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert gateway["securityContext"]["readOnlyRootFilesystem"] is True
    labels = found["Deployment/tierwise"]["spec"]["template"]["metadata"]["labels"]
    for name in ("Service/tierwise", "Service/tierwise-control"):
        assert found[name]["spec"]["selector"] == labels
    # Each replica knows its own sign-ins only.
    assert found["Service/tierwise-control"]["spec"]["sessionAffinity"] == "ClientIP"
    assert found["PodDisruptionBudget/tierwise"]["spec"]["selector"]["matchLabels"] == labels
    assert found["HorizontalPodAutoscaler/tierwise"]["spec"]["scaleTargetRef"]["name"] == "tierwise"
    kustomization = yaml.safe_load((DEPLOY / "kubernetes/kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == [path.name for path in KUBERNETES]


def test_the_unit_starts_what_there_is(tmp_path: Path) -> None:
    unit = (DEPLOY / "tierwise.service").read_text()
    start = re.search(r"^ExecStart=(\S+) (.*)$", unit, re.M)
    assert start is not None
    done = subprocess.run(
        [sys.executable, "-m", "tierwise", *start[2].split(), "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    stop = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.M)
    assert stop is not None
    assert int(stop[1]) > Server().drain_timeout_s
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not here")
    (tmp_path / "tierwise.service").write_text(unit.replace(start[1], sys.executable))
    done = subprocess.run(
        [analyze, "verify", str(tmp_path / "tierwise.service")], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("promtool", ["check", "rules", "deploy/alerts.yml"]),
        ("kubeconform", ["-strict", *(str(path) for path in KUBERNETES)]),
        ("kubectl", ["kustomize", "deploy/kubernetes"]),
    ],
)
def test_their_own_tools_agree(tool: str, arguments: list[str]) -> None:
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not here")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, cwd=live.ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_for_the_adapter_is_yaml() -> None:
    (example,) = blocks(PAGE, "yaml")
    assert "tierwise_in_flight" in yaml.safe_load(example)["rules"][0]["seriesQuery"]


@live.NEEDS_CURL
def test_reload_backup_and_restore_run_as_written(tmp_path: Path) -> None:
    # The last block, of Postgres, is what tests/faults/test_backup.py does.
    reload, backup, verify, restore, _ = blocks(PAGE)
    upstream, model, control = (live.free_port() for _ in range(3))
    toml = live.config("openai_chat", upstream)
    (tmp_path / "tierwise.toml").write_text(toml)
    call = (
        f'curl -sSf http://127.0.0.1:{model}/v1/chat/completions -H "x-api-key: $KEY" -d '
        '\'{"model": "tier/haiku", "messages": [{"role": "user", "content": "Hi"}]}\' >>answers\n'
    )
    ready = f"until curl -sf http://127.0.0.1:{model}/readyz; do sleep 0.1; done\n"
    up, reloaded = (
        f"until grep -q '{words}' {file}; do sleep 0.1; done\n"
        for words, file in (("ready", "up"), ("configuration reloaded", "log"))
    )
    serve = f"tierwise serve --port {model} --admin-port {control} 2>>log &\n"
    script = (
        f"set -m\n{serve}PID=$!\ntierwise simulator --port {upstream} --speed 0 >up &\n{ready}{up}"
        "KEY=$(tierwise keys create me | head -1)\n"
        f"{call}echo '[alias]' >>tierwise.toml\n{reload}{reloaded}"
        f"{backup}{verify}"
        f"{call}kill -TERM $PID\nwait $PID\necho drained $?\n{restore}"
        f"{serve}{ready}{call}tierwise keys list\n"
    )
    done = shell(script, tmp_path, UPSTREAM_KEY="x")
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "log").read_text()
    assert "drained 0" in done.stdout
    assert (tmp_path / "answers").read_text().count('"usage"') == 3


def test_what_the_unit_and_the_page_say_of_the_policy() -> None:
    text = (DEPLOY / "etc/tierwise.toml").read_text()
    assert tomllib.loads(text)["default"]["policy"].startswith("/var/lib/tierwise/")
    assert "`/var/lib/tierwise/policy.toml`" in PAGE
