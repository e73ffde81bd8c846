"""The shape limits of the design, checked: file and function length, line width, parameters, cycles, names,
broad excepts; and that the unit tests' folders mirror the packages."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES, LINE_WIDTH, FUNCTION_LINES, PARAMETERS = 500, 110, 60, 6
BANNED_FILES = {
    "utils",
    "helpers",
    "common",
    "misc",
    "manager",
    "service",
    "context",
    "data",
    "info",
    "handler",
    "processor",
}


def main() -> int:
    """Prints one line per violation; exit status 1 if there is any."""
    faults: list[str] = []
    imports: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        faults += file_faults(path)
        imports[module_name(path)] = imported(path)
    for path in sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "benchmarks").rglob("*.py")):
        faults += file_faults(path, functions=False)
    faults += [
        f"{path.relative_to(ROOT)} tests no package of src/tierwise"
        for path in sorted((ROOT / "tests/unit").rglob("test_*.py"))
        if not (ROOT / "src/tierwise" / path.parent.relative_to(ROOT / "tests/unit")).is_dir()
    ]
    faults += [f"import cycle: {' -> '.join(cycle)}" for cycle in cycles(imports)]
    print("\n".join(faults) if faults else f"shape: {len(imports)} modules within the limits")
    return bool(faults)


def file_faults(path: Path, functions: bool = True) -> list[str]:
    """Violations within one file, as `path:line what`."""
    name, text = path.relative_to(ROOT), path.read_text()
    lines = text.splitlines()
    faults = [
        f"{name}:{i} line of {len(line)} characters"
        for i, line in enumerate(lines, 1)
        if len(line) > LINE_WIDTH
    ]
    if len(lines) > FILE_LINES:
        faults.append(f"{name} has {len(lines)} lines")
    if path.stem in BANNED_FILES:
        faults.append(f"{name} has a name that says nothing")
    tree = ast.parse(text)
    if not functions:
        return faults
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            faults += function_faults(f"{name}:{node.lineno} {node.name}", node)
        if (
            isinstance(node, ast.ExceptHandler)
            and is_broad(node)
            and not re.search(r"# recorded: \S", lines[node.lineno - 1])
        ):
            faults.append(f"{name}:{node.lineno} broad except without `# recorded: where`")
    faults += [
        f"{name}:{node.lineno} module-level mutable state" for node in tree.body if is_mutable_state(node)
    ]
    return faults


def function_faults(where: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    count = len([a for a in arguments if a.arg not in ("self", "cls")])
    faults = []
    if size > FUNCTION_LINES:
        faults.append(f"{where} has {size} lines")
    # A click command's parameters are its options: the terminal's contract, not a call's.
    if count > PARAMETERS:
        faults.append(f"{where} has {count} parameters")
    return faults


def is_broad(node: ast.ExceptHandler) -> bool:
    """Whether a handler catches everything and swallows it: one that raises again need not say where."""
    last = node.body[-1]
    if isinstance(last, ast.Raise) and last.exc is None:
        return False
    return node.type is None or (
        isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
    )


def is_mutable_state(node: ast.stmt) -> bool:
    """An empty container bound at module level: something that is filled later."""
    value = getattr(node, "value", None) if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.List | ast.Dict):
        return not (value.elts if isinstance(value, ast.List) else value.keys)
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Name)
        and value.func.id in ("dict", "list", "set")
        and not value.args
    )


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> set[str]:
    """Every tierwise module a file imports anywhere, lazy imports included, type-checking ones too."""
    here = module_name(path)
    package = here if path.stem == "__init__" else here.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("tierwise")}
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            root = ".".join([*base, *([node.module] if node.module else [])])
            if root.startswith("tierwise"):
                # `from . import name` names a module of the package, not the package's own __init__.
                found |= ({root} if node.module else set()) | {f"{root}.{alias.name}" for alias in node.names}
    return found


def cycles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Import cycles among the modules, each found once, by depth-first search."""
    graph = {name: sorted((targets & imports.keys()) - {name}) for name, targets in imports.items()}
    found: list[list[str]] = []
    state: dict[str, int] = {}

    def visit(name: str, trail: list[str]) -> None:
        state[name] = 1
        for target in graph[name]:
            if state.get(target) == 1:
                loop = [*trail[trail.index(target) :], target] if target in trail else [name, target]
                # A package's own __init__ re-exporting its modules is not a cycle unless they import it back.
                found.append(loop)
            elif target not in state:
                visit(target, [*trail, target])
        state[name] = 2

    for name in graph:
        if name not in state:
            visit(name, [name])
    return found


if __name__ == "__main__":
    sys.exit(main())
