"""Writes the generated parts of docs/configuration.md, docs/commands.md and docs/api.md; `--check` only says
whether they are up to date.

Meanings stand next to what they describe: the string below a field in config/rows.py, the help of a click
command, the HELP line of a metric.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from msgspec import NODEFAULT, Struct, structs

from tierwise.cli.root import root
from tierwise.config import VENDORS, load, rows
from tierwise.ledger import open_ledger
from tierwise.nouns import Task

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src/tierwise"
PAGES = ("configuration.md", "commands.md", "api.md")
TABLES = (
    ("[server]", rows.ServerRow), ("[[provider]]", rows.ProviderRow), ("[[tier]]", rows.TierRow),
    ("[alerts]", rows.AlertsRow),
    ("[default]", rows.DefaultRow), ("[task.NAME]", rows.TaskRow), ("[alias]", None),
    ("[[price]]", rows.PriceRow), ("steps of a price", rows.StepRow), ("[[model]]", rows.ModelRow),
    ("[cache]", rows.CacheRow), ("[batch]", rows.BatchRow), ("[telemetry]", rows.TelemetryRow),
)  # fmt: skip
TYPES = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Decimal": "number",
    "list[str]": "list of texts", "list[int]": "list of whole numbers",
    "dict[str, str]": "table of texts", "dict[str, Any]": "table",
    "dict[str, Decimal]": "table of numbers", "list[StepRow]": "list of tables",
    "DialectName": "a dialect", "Literal['off', 'auto']": "`off` or `auto`",
    "Literal['key', 'project']": "`key` or `project`",
}  # fmt: skip
# What code that reads a key looks like, for keys that others of the same name could be taken for.
READING = {
    "provider.max_concurrent": r"provider\.max_concurrent", "provider.stream_usage": r"\.stream_usage\b",
    "server.redis": r"server\.redis", "task.max_output_tokens": r"task\.max_output_tokens",
    "task.shadow_share": r"\.shadow_share\b", "task.shadow_tier": r"\.shadow_tier\b",
    "task.shadow_daily_usd": r"\.shadow_daily_usd\b",
    "task.holdout_share": r"\.holdout_share\b", "task.sample_share": r"\.sample_share\b",
    "task.sample_daily": r"\.sample_daily\b",
    "task.cache_breakpoints": r"\.cache_breakpoints\b",
    "task.cache_wait_s": r"\.cache_wait_s\b", "task.cache_edits": r"\.cache_edits\b",
}  # fmt: skip
WIDTH = 90
# What every call of the admin API may be refused with, and what one with a name or a body besides: told once.
ALWAYS = ("400", "401", "403", "429", "503")
CHANGING = ("404", "409", "413", "500")


def main() -> int:
    """Exit status 0, or 1 when `--check` found a page that is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    stale = []
    check = parser.parse_args().check
    for page in PAGES:
        path = ROOT / "docs" / page
        fresh = refreshed(path.read_text())
        if fresh != path.read_text():
            stale.append(page)
            if not check:
                path.write_text(fresh)
    for page in stale:
        print(f"docs/{page} {'is not up to date: run scripts/reference.py' if check else 'written'}")
    return 1 if stale and check else 0


def refreshed(text: str) -> str:
    """A page with each `<!-- generated NAME -->` part written anew."""
    parts = {
        "tables": tables,
        "environment": environment,
        "commands": commands,
        "metrics": metrics,
        "api": api,
    }

    def part(found: re.Match[str]) -> str:
        return f"{found[1]}\n{parts[found[2]]()}\n<!-- end -->"

    return re.sub(r"(<!-- generated (\w+) -->)\n.*?<!-- end -->", part, text, flags=re.S)


def tables() -> str:
    """Every table of tierwise.toml with its keys."""
    told = meanings()
    named = " · ".join(f"[{_title(heading)}](#{_anchor(heading)})" for heading, _ in TABLES)
    return "\n\n".join([named, *(_table(heading, row, told) for heading, row in TABLES)])


def meanings() -> dict[str, dict[str, str]]:
    """Class → field → what its docstring says; "" is the class's own."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse((SOURCE / "config/rows.py").read_text()).body:
        if isinstance(node, ast.ClassDef):
            told = found[node.name] = {"": ast.get_docstring(node) or ""}
            for field, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    told[field.target.id] = _text(after)
    return found


def unread() -> set[str]:
    """Keys (`table.key`) that no code outside the configuration reads."""
    skipped = ("config", "nouns", "dialects", "simulator")
    code = "\n".join(
        path.read_text() for path in SOURCE.rglob("*.py") if path.relative_to(SOURCE).parts[0] not in skipped
    )
    return {key for key, pattern in READING.items() if not re.search(pattern, code)}


def environment() -> str:
    """The variables that make a provider without any file."""
    lines = ["| variable | provider | dialect | base URL unless `…_BASE_URL` says |", "|---|---|---|---|"]
    lines += [
        f"| `{each.variable}_API_KEY` | `{each.name}` | `{each.dialect}` | `{each.base_url}` |"
        for each in VENDORS
    ]
    return "\n".join(lines)


def commands() -> str:
    """Every command's --help."""
    names = list(root.context_settings["help_option_names"])
    top = click.Context(root, info_name="tierwise", terminal_width=WIDTH, help_option_names=names)
    return "\n\n".join(f"### {name}\n\n```text\n{text}\n```" for name, text in _helps(root, top))


def metrics() -> str:
    """Every metric that a gateway exposes, read off a gateway that has served nothing."""
    lines = ["| metric | type | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {kind} | {_cell(text)} |" for name, kind, text in exposed()]
    return "\n".join(lines)


def exposed() -> list[tuple[str, str, str]]:
    """(name, type, help) of each metric family."""
    from tierwise.serve import Options, Running
    from tierwise.web.exposition import exposition

    with tempfile.TemporaryDirectory() as folder:
        ledger = open_ledger(f"sqlite:///{folder}/empty.db")
        text = exposition(Running(Options(), load(None, {}), ledger).gate)
        _shut(ledger)
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.M))
    return [(name, kind, helps[name]) for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)]


def api() -> str:
    """Every path of the admin API, from its own description: a table of all, then each with its fields."""
    from tierwise.web.openapi import document

    described = document("tierwise")
    calls = [
        (f"{method.upper()} {path}", operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
    ]
    subjects = list(dict.fromkeys(_subject(name) for name, _ in calls))
    calls.sort(key=lambda call: subjects.index(_subject(call[0])))
    lines = ["| call | does |", "|---|---|"]
    lines += [f"| [`{name}`](#{_anchor(name)}) | {_cell(each['summary'])} |" for name, each in calls]
    blocks = [_operation(name, each, described["components"]["schemas"]) for name, each in calls]
    return "\n\n".join(["\n".join(lines), *blocks])


def _subject(name: str) -> str:
    """`POST /api/v1/keys/revoke` → `keys`: what stands together on the page."""
    return name.partition("/api/v1/")[2].partition("/")[0] or name


def _anchor(name: str) -> str:
    return re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-")


def _operation(name: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    lines = [f"### `{name}`", "", operation["summary"]]
    fields = {each["name"]: each["schema"] for each in operation.get("parameters", [])}
    needed = [each["name"] for each in operation.get("parameters", []) if each["required"]]
    if "requestBody" in operation:
        body = _resolved(operation["requestBody"]["content"]["application/json"]["schema"], schemas)
        fields, needed = body["properties"], body.get("required", [])
    if fields:
        lines += ["", "| field | type | default |", "|---|---|---|"]
        lines += [
            f"| `{each}` | {_kind(schema, schemas)} | "
            f"{'required' if each in needed else _absent(schema.get('default'))} |"
            for each, schema in fields.items()
        ]
    (status, reply), *refusals = operation["responses"].items()
    content = next(iter(reply.get("content", {"": {}}).items()))
    schema = content[1].get("schema", {})
    answer = schema["$ref"].rpartition("/")[2] if "$ref" in schema else ""
    told = f"{status}: {content[0]}"
    if answer:
        found = _resolved(schema, schemas)
        told = f"{status}, {answer}: {', '.join(f'`{each}`' for each in found['properties'])}"
    further = [code for code, _ in refusals if code not in (*ALWAYS, *CHANGING) and code != "default"]
    told += f". Refused with {', '.join(further)} too" if further else ""
    told += ". Or what the model port says" if "default" in operation["responses"] else ""
    lines += ["", told + "."]
    return "\n".join(lines)


def _resolved(schema: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    return schema


def _kind(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    schema = _resolved(schema, schemas)
    if "enum" in schema:
        return " or ".join(f"`{each}`" for each in schema["enum"] if each is not None)
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(each, schemas) for each in schema["anyOf"])
        return " or ".join(kind for kind in kinds if kind != "null")
    return {"integer": "whole number", "string": "text", "boolean": "true or false"}.get(
        schema.get("type", ""), schema.get("type", "any")
    )


def _absent(value: Any) -> str:
    return "–" if value in (None, "") else f"`{json.dumps(value)}`"


def _shut(ledger: Any) -> None:
    import asyncio

    asyncio.run(ledger.shutdown())


def _table(heading: str, row: type[Struct] | None, told: dict[str, dict[str, str]]) -> str:
    if row is None:
        return f"## `{heading}`\n\n{told['ConfigFile']['alias']}"
    own = told[row.__name__]
    intro = re.sub(r"^`[^`]+`( of a price)?: ", "", " ".join(own[""].split()))
    lines = [
        f"## {_title(heading)}",
        "",
        intro[0].upper() + intro[1:],
        "",
        "| key | type | default | meaning |",
    ]
    lines += ["|---|---|---|---|", *_rows(heading, row, own)]
    return "\n".join(lines)


def _title(heading: str) -> str:
    return f"`{heading}`" if heading.startswith("[") else heading[0].upper() + heading[1:]


def _rows(heading: str, row: type[Struct], own: dict[str, str]) -> Iterator[str]:
    lacking = unread()
    table = heading.strip("[]").partition(".")[0]
    for field in structs.fields(row):
        kind = row.__annotations__[field.name].removesuffix(" | None")
        meaning = own.get(field.name) or ""
        if f"{table}.{field.name}" in lacking:
            meaning += " *Accepted, but nothing reads it yet.*"
        yield f"| `{field.name}` | {TYPES[kind]} | {_default(row, field)} | {_cell(meaning)} |"


def _default(row: type[Struct], field: structs.FieldInfo) -> str:
    value = field.default
    if value is NODEFAULT:
        value = field.default_factory() if field.default_factory is not NODEFAULT else NODEFAULT
    if value is NODEFAULT:
        return "required"
    if value is None and row is rows.TaskRow:
        task = Task("")
        value = getattr(task.bar if hasattr(task.bar, field.name) else task, field.name)
    if value is None or value in ([], {}, (), ""):
        return "–"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _helps(command: click.Command, context: click.Context) -> Iterable[tuple[str, str]]:
    # click keeps the help option of the first context a command was shown in, which may have been a test's.
    command._help_option = None
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                below = click.Context(inner, context, name, terminal_width=WIDTH)
                yield from _helps(inner, below)


def _text(node: ast.stmt) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split())
    return ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
