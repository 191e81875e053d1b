"""The layout of the code: module names, import cycles, sizes of files and parameter lists."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Each folder at the top, and the package that it is.
PACKAGES = {
    "producers": "trackrelay",
    "worker": "trackrelay.worker",
    "sandbox": "trackrelay.sandbox",
}
FILES = sorted(
    path.relative_to(ROOT) for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")
)
CODE = [path for path in FILES if "migrations" not in path.parts]

#: Names that a framework, or the client that we stand in for, looks for.
DEMANDED = {"__init__", "__main__", "admin", "apps", "celery", "models"}
#: Nouns of the field that end like a gerund.
NOUNS = {"batching", "finding", "testing"}

MAX_LINES = 400
MAX_PARAMETERS = 6
#: A call of the public vocabulary has a keyword for each thing that Customer.io can be told.
VOCABULARY = {
    "producers/operations/event_builders.py",
    "producers/operations/person_builders.py",
    "producers/aio.py",
    "producers/customerio/track.py",
}


def module_of(path: Path) -> str:
    """Return the installed name of the module in a file."""
    parts = [*PACKAGES[path.parts[0]].split("."), *path.with_suffix("").parts[1:]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in CODE}


def test_the_code_was_found() -> None:
    assert len(CODE) > 300


def test_no_two_modules_have_the_same_name() -> None:
    counted = Counter(path.stem for path in CODE if path.stem not in DEMANDED)
    repeated = {
        name: [str(path) for path in CODE if path.stem == name]
        for name, times in counted.items()
        if times > 1
    }
    assert repeated == {}


def test_modules_are_called_by_nouns() -> None:
    gerunds = [
        str(path)
        for path in CODE
        for word in path.stem.split("_")
        if re.fullmatch(r"\w{2,}ing", word) and word not in NOUNS
    ]
    assert gerunds == []


def _imports(path: Path) -> Iterator[str]:
    """Return each module of ours that a file imports, in functions too, but not for types alone."""
    package = module_of(path) if path.stem == "__init__" else module_of(path).rpartition(".")[0]
    tree = ast.parse((ROOT / path).read_text())
    for_types = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for each in node.body
        for inner in ast.walk(each)
    }
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            module = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                inner_module = f"{module}.{alias.name}"
                yield inner_module if inner_module in MODULES else module


def _cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            group = stack[stack.index(module) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_each_other() -> None:
    # `celery -A trackrelay` looks for the app there; nothing else imports that module.
    graph = {
        module: {other for other in _imports(path) if other in MODULES and other != module}
        for module, path in MODULES.items()
    }
    assert _cycles(graph) == []


def test_the_search_for_cycles_finds_one() -> None:
    assert _cycles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_files_have_a_readable_size() -> None:
    lines = {str(path): len((ROOT / path).read_text().splitlines()) for path in CODE}
    assert {path: count for path, count in lines.items() if count > MAX_LINES} == {}


def test_functions_have_few_parameters() -> None:
    found = []
    for path in CODE:
        if str(path) in VOCABULARY:
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _is_command(node):
                names = [
                    each.arg
                    for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                ]
                if len([name for name in names if name not in ("self", "cls")]) > MAX_PARAMETERS:
                    found.append(f"{path}: {node.name}")
    assert found == []


def _is_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether click calls the function, with an argument for each option."""
    return any(
        ast.unparse(each).startswith(("click.", "cli.", "options."))
        for each in function.decorator_list
    )
