"""The reference pages say all there is, and what they say is up to date."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from scripts import reference

import live
from tierwise.config import load, rows

DOCS = live.ROOT / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text()
COMMANDS = (DOCS / "commands.md").read_text()
STRUCTS = [
    each for each in vars(rows).values() if isinstance(each, type) and each.__module__ == rows.__name__
]


@pytest.mark.parametrize("page", reference.PAGES)
def test_the_generated_parts_are_up_to_date(page: str) -> None:
    text = (DOCS / page).read_text()
    assert "<!-- generated" in text
    assert reference.refreshed(text) == text, "run: .venv/bin/python scripts/reference.py"


@pytest.mark.parametrize("row", STRUCTS, ids=lambda row: row.__name__)
def test_every_key_has_a_meaning(row: type[msgspec.Struct]) -> None:
    told = reference.meanings()[row.__name__]
    lacking = [name for name in row.__struct_fields__ if not told.get(name)]
    assert not lacking, f"say in config/rows.py below the field what it means: {lacking}"


def test_every_table_is_on_the_page() -> None:
    listed = {row for _, row in reference.TABLES if row is not None} | {rows.ConfigFile}
    assert set(STRUCTS) == listed
    shown = {heading.strip("[]").partition(".")[0] for heading, _ in reference.TABLES}
    assert set(rows.ConfigFile.__struct_fields__) <= shown


def test_a_key_without_a_reader_is_marked() -> None:
    for key in reference.READING:
        table, name = key.split(".")
        section = re.search(rf"^## `\[+{table}(?:\.NAME)?\]+`\n(.*?)(?=^## |\Z)", CONFIGURATION, re.S | re.M)
        assert section is not None
        line = next(line for line in section[1].splitlines() if line.startswith(f"| `{name}` "))
        assert ("nothing reads it yet" in line) == (key in reference.unread()), key


def test_the_example_loads(tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", CONFIGURATION, re.S)[0]
    tomllib.loads(example, parse_float=Decimal)
    (tmp_path / "tierwise.toml").write_text(example)
    settings = load(tmp_path / "tierwise.toml", {"ANTHROPIC_API_KEY": "x"})
    assert settings.policy.rules["tickets"].tiers == ("small", "large")
    assert settings.policy.tasks["tickets"].bar.margin == pytest.approx(0.03)


def section(heading: str) -> str:
    """The part of commands.md under a heading."""
    return COMMANDS.split(f"## {heading}\n")[1].split("\n## ")[0]


def of_gateway() -> Iterator[str]:
    """Every x-tierwise- header that the gateway's code names, and those it reads by their ending."""
    for path in (live.ROOT / "src/tierwise/gateway").rglob("*.py"):
        text = path.read_text()
        yield from re.findall(r"x-tierwise-[a-z]+(?:-[a-z]+)*", text)
        if path.name == "walk.py":
            reading = text.split("def _read_ours")[1].split("\n    def ")[0]
            yield from (f"x-tierwise-{name}" for name in re.findall(r'name == b"([a-z-]+)"', reading))


def test_every_header_of_the_gateway_is_documented() -> None:
    told = section("Request headers") + section("Reply headers")
    named = set(of_gateway())
    assert {"x-tierwise-task", "x-tierwise-max-cost-usd", "x-tierwise-route"} <= named
    lacking = sorted(name for name in named if f"`{name}`" not in told)
    assert not lacking, f"add to docs/commands.md: {lacking}"


def test_no_header_is_documented_that_the_gateway_does_not_know() -> None:
    told = set(re.findall(r"^\| `(x-tierwise-[a-z-]+)`", COMMANDS, re.M))
    assert told <= set(of_gateway())


def test_every_metric_is_documented_with_a_line() -> None:
    told = dict(re.findall(r"^\| `(tierwise_\w+)` \| \w+ \| (.+) \|$", section("Metrics"), re.M))
    source = (live.ROOT / "src/tierwise/web/exposition.py").read_text()
    named = set(re.findall(r'"(tierwise_[a-z_]+)"', source))
    assert len(named) > 5
    assert named == set(told)
    assert all(told.values())


def test_every_command_is_shown_with_an_example() -> None:
    helps = re.findall(r"^### (tierwise[\w -]*)\n\n```text\n(.*?)```", COMMANDS, re.S | re.M)
    assert {"tierwise check", "tierwise import litellm", "tierwise keys create"} <= {
        name for name, _ in helps
    }
    bare = [name for name, text in helps if "Commands:" not in text and "Example" not in text]
    assert not bare


def test_the_table_of_pages_names_every_page() -> None:
    told = set(re.findall(r"\]\(([\w-]+\.md)\)", (DOCS / "README.md").read_text()))
    assert told == {path.name for path in DOCS.glob("*.md")} - {"README.md"}
