"""Alert rules and Grafana panels against a live scrape: the metrics, labels and values they name are there,
and every expression is balanced. (promtool, where it is installed, checks the grammar: tests/docs.)"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import yaml

import live
from conformance.test_web_pages import World
from tierwise.nouns import Outcome

DEPLOY = live.ROOT / "deploy"
SCRAPED = {"instance", "job", "le", "namespace", "pod"}
"""Labels that Prometheus adds, and a histogram's own."""
SELECTOR = re.compile(r"\b(tierwise_[a-z0-9_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
KINDS = set(re.findall(r'kind = "(\w+)"', (live.ROOT / "src/tierwise/errors.py").read_text()))

SCOPES = ("key:key_1", "project:web", "task:qa", "tag:team", "shadow:qa")
"""What a budget may be on: one of each kind."""

Labels = dict[str, set[str]]


def rules() -> Iterator[tuple[str, str, str]]:
    """(name, expression, what is said of it) of every alert and panel."""
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"], " ".join(rule["annotations"].values())
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield panel["title"], target["expr"], target.get("legendFormat", "")


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Labels]]:
    """Series → label → values, of a gateway that answered, failed, refused and reserved."""
    world = World(tmp_path_factory.mktemp("metrics"))
    key = world.gateway.key("--budget-usd", "5")
    for words in ("hello", "fail"):
        world.call(key, words)
    assert world.call("tw-nobody", "hello").status == 401
    found: dict[str, Labels] = {}
    for line in world.get("/metrics").body.decode().splitlines():
        sample = re.match(r"([a-z_0-9]+)(?:\{(.*)\})? \S+$", line)
        if sample is not None:
            labels = found.setdefault(sample[1], defaultdict(set))
            for name, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', sample[2] or ""):
                labels[name].add(value)
    yield found
    assert world.gateway.stop() == 0


@pytest.mark.parametrize(("name", "text", "said"), [pytest.param(*each, id=each[0]) for each in rules()])
def test_what_an_expression_names_is_there(
    name: str, text: str, said: str, scraped: dict[str, Labels]
) -> None:
    series = SELECTOR.findall(text)
    assert series or "up{" in text
    assert all(text.count(left) == text.count(right) for left, right in ("()", "{}", "[]"))
    for metric, matchers in series:
        assert metric in scraped, metric
        assert MATCHER.sub("", matchers).strip(", ") == ""
        for label, how, values in MATCHER.findall(matchers):
            assert label in {*scraped[metric], *SCRAPED}, (metric, label)
            known = {"outcome": set(get_args(Outcome)), "kind": KINDS}.get(label, scraped[metric][label])
            if label == "bucket":
                known = {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h"}
            if label == "scope":
                assert any(re.fullmatch(values, scope) for scope in SCOPES), (metric, values)
                continue
            assert set(values.split("|") if "~" in how else [values]) <= known, (metric, label, values)
    grouped = {word.strip() for words in GROUPED.findall(text) for word in words.split(",")}
    for label in grouped - SCRAPED:
        assert all(label in scraped[metric] for metric, _ in series), label
    told = set(re.findall(r"\$labels\.(\w+)|\{\{\s*(\w+)\s*\}\}", said))
    assert {one or other for one, other in told} <= grouped | {"instance", "job"}


def test_names_are_as_prometheus_has_them(tmp_path: Path) -> None:
    """Base units; counters end in _total and nothing else does; HELP and TYPE once, before the samples."""
    world = World(tmp_path / "w")
    assert world.call(world.gateway.key(), "hello").status == 200
    text = world.get("/metrics").body.decode()
    assert world.gateway.stop() == 0
    kinds: dict[str, str] = {}
    helped: set[str] = set()
    for line in text.splitlines():
        words = line.split(" ", 3)
        if words[:2] == ["#", "HELP"]:
            assert words[2] not in helped
            assert len(words[3]) > 10
            helped.add(words[2])
        elif words[:2] == ["#", "TYPE"]:
            assert words[2] in helped
            assert words[2] not in kinds
            kinds[words[2]] = words[3]
        else:
            family = re.split(r"[ {]", line)[0]
            base = re.sub(r"_(bucket|sum|count)$", "", family)
            assert family in kinds or kinds.get(base) == "histogram", line
            float(line.rpartition(" ")[2])
    for family, kind in kinds.items():
        assert family.startswith("tierwise_")
        assert family.endswith("_total") == (kind == "counter"), family
        assert not re.search(r"_(ms|us|milliseconds|kb|percent)(_|$)", family)
